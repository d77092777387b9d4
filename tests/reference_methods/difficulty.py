"""The difficulty pass: which tasks to keep by the base model's solve rate (`--keep-solved 0.1:0.9`).

Read in: the issue ("solve rates of the base kept in a file"). RECONSTRUCTED: both bounds are inclusive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def solve_rate(correct: Sequence[bool]) -> float:
    return sum(bool(right) for right in correct) / len(correct)


def keep(rates: Mapping[str, float], low: float = 0.1, high: float = 0.9) -> list[str]:
    """Return the tasks with `low <= rate <= high`, in their order."""
    return [task for task, rate in rates.items() if low <= rate <= high]
