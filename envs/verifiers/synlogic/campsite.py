"""Campsite: as many tents as trees, each beside a tree, none touching another, with the given counts a row and a column.

The English problem says "exactly one tree", the Chinese "a tree". Upstream's generator gives tents two trees in both (15 of
35 rows seen, whose only solution that is), so a tent beside several trees counts here as beside one.
"""

from __future__ import annotations

from typing import Any

from simko.envs.verifiers.synlogic.common import is_shape, last_grid

TENT, TREE, FREE = "C", "T", "X"
_BESIDE = ((-1, 0), (1, 0), (0, -1), (0, 1))


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the last grid satisfies every rule."""
    grid = last_grid(text)
    if grid is None:
        return None
    known = game["metadata"]
    given = known["grid"]
    if not is_shape(grid, len(given), len(given[0])):
        return False
    cells = [(r, c) for r in range(len(grid)) for c in range(len(grid[0]))]
    if any(grid[r][c] != TREE if given[r][c] == TREE else grid[r][c] not in (TENT, FREE) for r, c in cells):
        return False
    trees = {(r, c) for r, c in cells if grid[r][c] == TREE}
    tents = {(r, c) for r, c in cells if grid[r][c] == TENT}
    rows = [sum(r == row for r, _ in tents) for row in range(len(grid))]
    columns = [sum(c == column for _, c in tents) for column in range(len(grid[0]))]
    if rows != known["row_constraints"] or columns != known["col_constraints"] or len(tents) != len(trees):
        return False
    placed = all(any((r + i, c + j) in trees for i, j in _BESIDE) for r, c in tents)
    touching = any(
        (r + i, c + j) in tents for r, c in tents for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)
    )
    return placed and not touching
