"""Number wall: walls separate islands. Each island has one number and as many cells as it says."""

from __future__ import annotations

from typing import Any

from simko.envs.verifiers.synlogic.common import is_shape, last_grid, to_int

Cell = tuple[int, int]


def number_wall(text: str, game: dict[str, Any]) -> bool | None:
    """Whether every island has one number and that size, no 2x2 block is all wall, and the clues are kept.

    State: `grid` with `X` for a blank. In the answer a wall is `A` and any other blank cell is `X`. "All islands must be
    separated by walls" is read as the puzzle's authors score it: two islands may not touch at a corner. (At an edge they
    cannot touch, because they would be one island.)
    """
    clues = game["metadata"]["grid"]
    answer = last_grid(text)
    if answer is None:
        return None
    if not is_shape(answer, len(clues), len(clues[0])):
        return False
    grid = [[cell.upper() for cell in row] for row in answer]
    pairs = (pair for row, line in zip(grid, clues, strict=True) for pair in zip(row, line, strict=True))
    if not all(_keeps(cell, clue) for cell, clue in pairs):
        return False
    groups = islands(grid)
    return not _has_block(grid) and all(_is_sound(grid, group) for group in groups) and not _touch(groups)


def islands(grid: list[list[str]]) -> list[list[Cell]]:
    """The cells that are not a wall, in groups that are connected by edges."""
    left = {(r, c) for r, row in enumerate(grid) for c, cell in enumerate(row) if cell != "A"}
    groups = []
    while left:
        group = [left.pop()]
        for r, c in group:  # the group grows in this loop
            for cell in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
                if cell in left:
                    left.remove(cell)
                    group.append(cell)
        groups.append(group)
    return groups


def _keeps(cell: str, clue: Any) -> bool:
    number = to_int(clue)
    return cell in ("A", "X") if number is None else to_int(cell) == number


def _has_block(grid: list[list[str]]) -> bool:
    return any(
        grid[r][c] == grid[r][c + 1] == grid[r + 1][c] == grid[r + 1][c + 1] == "A"
        for r in range(len(grid) - 1)
        for c in range(len(grid[0]) - 1)
    )


def _touch(groups: list[list[Cell]]) -> bool:
    """Whether cells of two different groups meet at a corner."""
    owner = {cell: i for i, group in enumerate(groups) for cell in group}
    return any(owner.get((r + 1, c + side), i) != i for (r, c), i in owner.items() for side in (-1, 1))


def _is_sound(grid: list[list[str]], island: list[Cell]) -> bool:
    numbers = [to_int(grid[r][c]) for r, c in island if grid[r][c] != "X"]
    return numbers == [len(island)]
