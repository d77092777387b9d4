"""Futoshiki: a Latin square that keeps the given numbers and meets the inequalities."""

from __future__ import annotations

from typing import Any

from simko.envs.verifiers.synlogic.common import int_grid, is_latin, last_grid


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the last grid satisfies every rule. The state holds places from 0; the given numbers are the stored answer's."""
    found = last_grid(text)
    if found is None:
        return None
    grid, known = int_grid(found), game["metadata"]
    if grid is None or not is_latin(grid, known["grid_size"]):
        return False
    if any(grid[r][c] != game["answer"][r][c] for r, c in known["prefilled_coords"]):
        return False
    return all(
        grid[r][c] < grid[i][j] if sign == "<" else grid[r][c] > grid[i][j]
        for (r, c), (i, j), sign in known["constraints"]
    )
