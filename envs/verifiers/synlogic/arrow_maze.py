"""Arrow maze: every number is the total length of the straight runs of arrows that lead away from it."""

from __future__ import annotations

from typing import Any

from simko.envs.verifiers.synlogic.common import is_shape, last_grid

ARROWS = {
    "↑": (-1, 0),
    "↓": (1, 0),
    "←": (0, -1),
    "→": (0, 1),
    "↖": (-1, -1),
    "↗": (-1, 1),
    "↘": (1, 1),
    "↙": (1, -1),
}
_EMPTY = "X"


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the last grid keeps the given cells, fills the others with arrows in runs from a number, and all counts hold."""
    answer = last_grid(text)
    if answer is None:
        return None
    maze = game["metadata"]["maze"]
    grid = [[cell.replace("\ufe0f", "") for cell in row] for row in answer]
    if not is_shape(grid, len(maze), len(maze[0])):
        return False
    for row, clues in zip(grid, maze, strict=True):
        for cell, clue in zip(row, clues, strict=True):
            if cell not in ARROWS if clue == _EMPTY else cell != clue:
                return False
    numbers = [(r, c) for r, row in enumerate(grid) for c, cell in enumerate(row) if cell not in ARROWS]
    runs = [sum(_run(grid, r, c, arrow) for arrow in ARROWS) for r, c in numbers]
    arrows = sum(len(row) for row in grid) - len(numbers)
    return sum(runs) == arrows and all(str(n) == grid[r][c] for n, (r, c) in zip(runs, numbers, strict=True))


def _run(grid: list[list[str]], row: int, column: int, arrow: str) -> int:
    """How many cells in the arrow's direction hold that arrow without a gap."""
    down, right = ARROWS[arrow]
    length = 0
    while True:
        row, column = row + down, column + right
        if not (0 <= row < len(grid) and 0 <= column < len(grid[0])) or grid[row][column] != arrow:
            return length
        length += 1
