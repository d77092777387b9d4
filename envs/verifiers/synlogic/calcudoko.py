"""Calcudoko: a Latin square whose regions meet their sums, products, differences and ratios without a repeated number."""

from __future__ import annotations

import math
import re
from typing import Any

from simko.envs.verifiers.synlogic.common import int_grid, is_latin, last_grid

_CELL = re.compile(r"\(?\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)?")


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the last grid satisfies every rule."""
    answer = last_grid(text)
    if answer is None:
        return None
    grid, state = int_grid(answer), game["metadata"]
    if grid is None or not is_latin(grid, state["grid_size"]):
        return False
    return all(_holds([_at(grid, cell) for cell in r["cells"]], r["operator"], r["target"]) for r in state["regions"])


def _at(grid: list[list[int]], cell: str) -> int:
    match = _CELL.fullmatch(cell)
    if match is None:
        raise ValueError(f"region cell {cell!r}")
    return grid[int(match[1]) - 1][int(match[2]) - 1]


def _holds(values: list[int], operator: str, target: int) -> bool:
    """Whether a region meets its target. Differences and ratios start from its largest number."""
    if len(set(values)) != len(values):
        return False
    largest, rest = max(values), sorted(values)[:-1]
    match operator:
        case _ if len(values) == 1:
            return largest == target
        case "+":
            return sum(values) == target
        case "*" | "×":
            return math.prod(values) == target
        case "-" | "−":
            return largest - sum(rest) == target
        case "/" | "÷":
            return largest == target * math.prod(rest)
    raise ValueError(f"region operator {operator!r}")
