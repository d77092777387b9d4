"""Kukurasu: every cell is 1 or X. A 1 adds its column's number to its row, and its row's number to its column."""

from __future__ import annotations

from typing import Any

from simko.envs.verifiers.synlogic.common import is_shape, last_grid


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the weights of the last grid add up to the given sums."""
    grid = last_grid(text)
    if grid is None:
        return None
    rows, columns = game["metadata"]["row_sums"], game["metadata"]["col_sums"]
    if not is_shape(grid, len(rows), len(columns)) or any(cell not in ("1", "X") for row in grid for cell in row):
        return False
    return rows == [_weight(row) for row in grid] and columns == [_weight(column) for column in zip(*grid, strict=True)]


def _weight(line: Any) -> int:
    return sum(place for place, cell in enumerate(line, 1) if cell == "1")
