"""Campsite: as many tents as trees, each beside a tree, none touching another, with a given count in each row and column.

The English problem says "exactly one tree", the Chinese "a tree". In both, upstream's generator puts tents beside two
trees: in 15 of 35 rows that we saw this is the only solution. So here a tent may stand beside several trees.
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
    state = game["metadata"]
    clues = state["grid"]
    if not is_shape(grid, len(clues), len(clues[0])):
        return False
    cells = [(r, c) for r in range(len(grid)) for c in range(len(grid[0]))]
    if any(grid[r][c] != TREE if clues[r][c] == TREE else grid[r][c] not in (TENT, FREE) for r, c in cells):
        return False
    trees = {(r, c) for r, c in cells if grid[r][c] == TREE}
    tents = {(r, c) for r, c in cells if grid[r][c] == TENT}
    rows = [sum(r == row for r, _ in tents) for row in range(len(grid))]
    columns = [sum(c == column for _, c in tents) for column in range(len(grid[0]))]
    if rows != state["row_constraints"] or columns != state["col_constraints"] or len(tents) != len(trees):
        return False
    placed = all(any((r + i, c + j) in trees for i, j in _BESIDE) for r, c in tents)
    touching = any(
        (r + i, c + j) in tents for r, c in tents for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)
    )
    return placed and not touching
