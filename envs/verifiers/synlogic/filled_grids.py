"""Grids to fill with numbers: Numbrix, skyscrapers, Sudoku and Survo. An answer must keep all clues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import isqrt
from typing import Any

from simko.envs.verifiers.synlogic.common import int_grid, is_latin, is_shape, last_grid, to_int

Grid = list[list[int]]


def numbrix(text: str, game: dict[str, Any]) -> bool | None:
    """Numbrix: 1 to n*n once each, with consecutive numbers in adjacent cells. State: `grid` with `X` for a blank."""
    clues = game["metadata"]["grid"]

    def holds(grid: Grid) -> bool:
        place = {value: (r, c) for r, row in enumerate(grid) for c, value in enumerate(row)}
        count = len(clues) * len(clues[0])
        if sorted(place) != list(range(1, count + 1)):
            return False
        steps = zip(range(1, count), range(2, count + 1), strict=True)
        return all(_distance(place[a], place[b]) == 1 for a, b in steps)

    return _graded(text, clues, holds)


def skyscraper_puzzle(text: str, game: dict[str, Any]) -> bool | None:
    """Skyscrapers: a Latin square in which each clue says how many towers are visible from its edge.

    State: `n` and the clues `top`, `bottom` (left to right), `left`, `right` (top to bottom).
    """
    state = game["metadata"]
    size = int(state["n"])

    def holds(grid: Grid) -> bool:
        if not is_latin(grid, size):
            return False
        columns = list(zip(*grid, strict=True))
        views = (
            *zip(state["top"], columns, strict=True),
            *((clue, column[::-1]) for clue, column in zip(state["bottom"], columns, strict=True)),
            *zip(state["left"], grid, strict=True),
            *((clue, row[::-1]) for clue, row in zip(state["right"], grid, strict=True)),
        )
        return all(visible(line) == to_int(clue) for clue, line in views if to_int(clue))

    return _graded(text, [["X"] * size] * size, holds)


def sudoku(text: str, game: dict[str, Any]) -> bool | None:
    """Sudoku: every row, column and box holds each digit once. State: `original_sudoku` with `X` for a blank."""
    clues = game["metadata"]["original_sudoku"]
    size = len(clues)
    side = isqrt(size)

    def holds(grid: Grid) -> bool:
        boxes = [
            [grid[r + i][c + j] for i in range(side) for j in range(side)]
            for r in range(0, size, side)
            for c in range(0, size, side)
        ]
        return is_latin(grid, size) and all(len(set(box)) == size for box in boxes)

    return _graded(text, clues, holds)


def survo(text: str, game: dict[str, Any]) -> bool | None:
    """Survo: the last cell of every row and column is the sum of the others. Each candidate fills at most one blank.

    State: `original_matrix` with 0 for a blank, `candidate_numbers`.
    """
    state = game["metadata"]
    clues = [["X" if cell == 0 else cell for cell in row] for row in state["original_matrix"]]

    def holds(grid: Grid) -> bool:
        lines = (*grid, *zip(*grid, strict=True))
        if any(sum(line[:-1]) != line[-1] for line in lines):
            return False
        pairs = (pair for row, line in zip(grid, clues, strict=True) for pair in zip(row, line, strict=True))
        filled = Counter(cell for cell, clue in pairs if clue == "X")
        return filled <= Counter(state["candidate_numbers"])

    return _graded(text, clues, holds)


def visible(line: Sequence[int]) -> int:
    """How many towers are visible from the start of the line: those higher than all towers before them."""
    return sum(all(height > other for other in line[:i]) for i, height in enumerate(line))


def _graded(text: str, clues: list[list[Any]], holds: Callable[[Grid], bool]) -> bool | None:
    """Whether the last grid in `text` has the clues' shape, holds integers, keeps the clues, and satisfies `holds`."""
    answer = last_grid(text)
    if answer is None:
        return None
    grid = int_grid(answer)
    if grid is None or not is_shape(grid, len(clues), len(clues[0])):
        return False
    pairs = (pair for row, line in zip(grid, clues, strict=True) for pair in zip(row, line, strict=True))
    return all(to_int(clue) in (None, cell) for cell, clue in pairs) and holds(grid)


def _distance(a: tuple[int, int], b: tuple[int, int]) -> int:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])
