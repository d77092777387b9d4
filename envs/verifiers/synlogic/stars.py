"""Star placement: `k` stars in every row, column and region, none next to another."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from simko.envs.verifiers.synlogic.common import MAX_TRIES, fenced_blocks, parse_list, to_int

MAX_REGIONS = 100

Stars = list[tuple[str, int, int]]
"""(region, row, column) of each star; row and column count from 1."""

_KEY = re.compile(r"""\s{0,200}(["']?)(\w{1,4})\1\s{0,20}[:：]\s{0,200}(?=[\[(])""")
_BETWEEN = re.compile(r"\s{0,200}(,?)\s{0,200}(\\?\})?")


def star_placement_puzzle(text: str, game: dict[str, Any]) -> bool | None:
    """Whether each row, column and region has `k` stars, none adjacent or diagonal, each in the region that lists it.

    State: `region_grid` of region names and `k`. The answer is `{'A': [(row, column), ...], ...}`, counted from 1.
    """
    state = game["metadata"]
    regions, each = state["region_grid"], int(state["k"])
    stars = last_stars(text)
    if stars is None:
        return None
    height, width = len(regions), len(regions[0])
    if any(not (1 <= r <= height and 1 <= c <= width) or regions[r - 1][c - 1] != name for name, r, c in stars):
        return False
    cells = [(r, c) for _, r, c in stars]
    apart = all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) > 1 for i, a in enumerate(cells) for b in cells[:i])
    names = {name for row in regions for name in row}
    return (
        apart
        and Counter(r for r, _ in cells) == Counter(dict.fromkeys(range(1, height + 1), each))
        and Counter(c for _, c in cells) == Counter(dict.fromkeys(range(1, width + 1), each))
        and Counter(name for name, _, _ in stars) == Counter(dict.fromkeys(names, each))
    )


def last_stars(text: str) -> Stars | None:
    """The stars of the last dictionary in `text`, or None. A dictionary in a fenced block comes before all others."""
    for place in (*reversed(fenced_blocks(text)[-MAX_TRIES:]), text):
        for start in [i for i, char in enumerate(place) if char == "{"][: -MAX_TRIES - 1 : -1]:
            stars = _parse(place, start + 1)
            if stars:
                return stars
    return None


def _parse(text: str, at: int) -> Stars | None:
    stars: Stars = []
    seen: set[str] = set()
    while match := _KEY.match(text, at):
        parsed = parse_list(text, match.end())
        if parsed is None or match[2] in seen or len(seen) >= MAX_REGIONS:
            return None
        seen.add(match[2])
        cells, at = parsed
        for cell in [cells] if cells and isinstance(cells[0], str) else cells:  # `'A': (1, 1)`
            pair = [to_int(number) for number in cell] if isinstance(cell, list) else []
            if len(pair) != 2 or pair[0] is None or pair[1] is None:
                return None
            stars.append((match[2], pair[0], pair[1]))
        between = _BETWEEN.match(text, at)
        if between is None or between[2]:
            return stars if between else None
        if not between[1]:
            return None
        at = between.end()
    return None
