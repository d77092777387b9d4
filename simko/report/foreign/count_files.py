"""Counts: a line `{"id": ..., "c": correct, "n": samples}` for each problem. The smallest common form; also written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simko.errors import UserError
from simko.report.foreign.rows import Row, identity, rows
from simko.report.foreign.samples import stem, summary
from simko.report.measured import Measured

MOST = 1_000_000
"""Samples of a problem. pass@K takes time in proportion to them."""


def holds(row: Row) -> bool:
    """Whether a row has the fields of a count."""
    return {"id", "c", "n"} <= row.keys()


def read(path: Path) -> Measured:
    """The counts of a file. The ids `3` and `"3"` are one.

    Raises:
        UserError: a row has no id or no whole numbers `0 <= c <= n`, an id occurs twice, or there is no row.
    """
    counts: dict[str, tuple[int, int]] = {}
    places: dict[str, str] = {}
    for place, row in rows(path):
        problem = identity(row.get("id"), place)
        if problem in places:
            raise UserError(f"{place}: the id '{problem[:80]}' stands in {places[problem]} already; leave one out")
        c, n = (_whole(row.get(name), name, place) for name in ("c", "n"))
        if c > n:
            raise UserError(f"{place}: c is {c} and n is {n}; c of n samples are correct, so give c of at most n")
        places[problem] = place
        counts[problem] = (n, c)
    if not counts:
        raise UserError(f'{path}: no row; give a line {{"id", "c", "n"}} for each problem')
    return Measured(stem(path), None, counts, facts=summary({}, counts), source="counts", place=str(path))


def write(measured: Measured) -> str:
    """The file's content, in the order of the arm's problems. Problems without a verdict are left out."""
    lines = (
        json.dumps({"id": task, "c": c, "n": n}, ensure_ascii=False) for task, (n, c) in measured.counts.items() if n
    )
    return "".join(f"{line}\n" for line in lines)


def _whole(value: Any, name: str, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise UserError(f"{place}: field '{name}' is {value!r:.40}; give a whole number from 0 to {MOST}")
    return value
