"""Futoshiki: a Latin square that keeps the given numbers and meets the inequalities."""

from __future__ import annotations

from typing import Any

from simko.envs.verifiers.synlogic.common import int_grid, is_latin, last_grid


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the last grid satisfies every rule. Places in the state count from 0; the stored answer has the clues."""
    answer = last_grid(text)
    if answer is None:
        return None
    grid, state = int_grid(answer), game["metadata"]
    if grid is None or not is_latin(grid, state["grid_size"]):
        return False
    if any(grid[r][c] != game["answer"][r][c] for r, c in state["prefilled_coords"]):
        return False
    return all(
        grid[r][c] < grid[i][j] if sign == "<" else grid[r][c] > grid[i][j]
        for (r, c), (i, j), sign in state["constraints"]
    )
