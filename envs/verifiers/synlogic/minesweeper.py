"""Minesweeper: which covered cells must be mines?"""

from __future__ import annotations

import re
from typing import Any

from simko.envs.verifiers.synlogic.common import last_boxed, last_list, parse_list, to_int

MAX_STEPS = 100_000  # rules that one answer may look at: some tenths of a second

Cell = tuple[int, int]
Rule = tuple[frozenset[Cell], int]
"""`(cells, n)`: n of these cells are mines."""

_ONE_STEP = re.compile(r"one-step|single-step|一步", re.IGNORECASE)
_PAIRS = re.compile(r"(?:[\[(]\s{0,9}\d{1,4}\s{0,9}[,，]\s{0,9}\d{1,4}\s{0,9}[\])][\s,，、.。]{0,9}){1,2000}")


class _TooLongError(Exception):
    """The search took more than `MAX_STEPS`."""


def minesweeper(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the answer lists exactly the cells that must be mines: (row, column) from 0, in any order.

    State: `revealed_grid` (`X` is covered) and `current_mines`. SynLogic's generator found the latter by looking at one
    number at a time, so more cells may have to be mines. Both the stored list and the full one are correct. If the
    puzzle asks for one-step reasoning, only the stored list is.
    """
    state = game["metadata"]
    grid = state["revealed_grid"]
    listed = _listed(text)
    if listed is None:
        return None
    answer = set(listed)
    if len(answer) < len(listed):
        return False
    stored = {(int(r), int(c)) for r, c in state["current_mines"]}
    if answer == stored:
        return True
    if not stored < answer <= _covered(grid) or _ONE_STEP.search(game.get("question", "")):
        return False
    try:
        return answer == must_be_mines(grid)
    except _TooLongError:
        return False


def must_be_mines(grid: list[list[Any]]) -> set[Cell]:
    """The covered cells that are mines in every arrangement that fits all numbers. The number of mines is unknown."""
    rules = _rules(grid)
    cells = _in_search_order(rules)
    budget = [MAX_STEPS]
    return {cell for cell in cells if not _can_be(rules, cells, {cell: 0}, budget)}


def _listed(text: str) -> list[Cell] | None:
    """The cells of the last list of pairs, or of a boxed or whole answer that holds only pairs."""
    tree = last_list(text)
    if tree is None:
        bare = (last_boxed(text) or text).strip(" \t\n*`$。.")
        if len(bare) > 5_000 or not _PAIRS.fullmatch(bare):
            return None
        parsed = parse_list(f"[{bare}]")
        tree = parsed[0] if parsed else None
    while tree and len(tree) == 1 and isinstance(tree[0], list) and tree[0] and isinstance(tree[0][0], list):
        tree = tree[0]
    cells: list[Cell] = []
    for pair in tree or []:
        numbers = [to_int(number) for number in pair] if isinstance(pair, list) else []
        if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
            return None
        cells.append((numbers[0], numbers[1]))
    return cells or None


def _covered(grid: list[list[Any]]) -> set[Cell]:
    return {(r, c) for r, row in enumerate(grid) for c, cell in enumerate(row) if to_int(cell) is None}


def _rules(grid: list[list[Any]]) -> list[Rule]:
    covered = _covered(grid)
    rules = []
    for r, row in enumerate(grid):
        for c, cell in enumerate(row):
            number = to_int(cell)
            around = frozenset((r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)) & covered
            if number is not None and around:
                rules.append((around, number))
    return rules


def _in_search_order(rules: list[Rule]) -> list[Cell]:
    """All cells that have a rule. Cells of one rule come close together, so that the search meets a contradiction early."""
    return list(dict.fromkeys(cell for around, _ in rules for cell in sorted(around)))


def _can_be(rules: list[Rule], cells: list[Cell], fixed: dict[Cell, int], budget: list[int]) -> bool:
    """Whether some arrangement (1: mine, 0: free) fits `fixed`. Raises `_TooLongError` if the budget is used up."""
    fixed = dict(fixed)
    changed = True
    while changed:
        changed = False
        for around, number in rules:
            budget[0] -= 1
            if budget[0] < 0:
                raise _TooLongError
            open_cells = [cell for cell in around if cell not in fixed]
            missing = number - sum(fixed.get(cell, 0) for cell in around)
            if not 0 <= missing <= len(open_cells):
                return False
            if open_cells and missing in (0, len(open_cells)):
                fixed.update(dict.fromkeys(open_cells, int(missing > 0)))
                changed = True
    free = next((cell for cell in cells if cell not in fixed), None)
    return free is None or any(_can_be(rules, cells, {**fixed, free: value}, budget) for value in (1, 0))
