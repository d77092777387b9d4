"""Countdown: use every number exactly once with + - * / and parentheses to reach the target.

A problem is made from a random expression, so it always has a solution. Arithmetic is exact (rational). The sorted
numbers and the target decide the split; the order in which the numbers are shown does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simko.envs.puzzles.procedural import MAX_REJECTIONS, Draft, ProceduralSource
from simko.errors import UserError
from simko.types import Task

DEFAULT_LEVEL = 2
LARGE = (25, 50, 75, 100)
SMALL = tuple(range(1, 11)) * 2


@dataclass(frozen=True, slots=True)
class Rule:
    """The rules of a level: `count` numbers, each in 1..`highest` (0: the tiles of the classic game), and the targets."""

    count: int
    highest: int
    targets: tuple[int, int]


RULES = {
    1: Rule(3, 9, (1, 99)),
    2: Rule(4, 9, (1, 99)),
    3: Rule(4, 25, (1, 99)),
    4: Rule(5, 25, (1, 199)),
    5: Rule(6, 0, (100, 999)),
}


def random_expression(numbers: Sequence[int], below: Callable[[int], int]) -> tuple[str, int, int] | None:
    """A random expression that uses every number once, and its value as numerator and denominator (not reduced).

    Two random parts are joined by a random operator until one part is left. Parentheses are written only where they are
    needed. `below(n)` draws an integer of 0..n-1. Returns None if a division by zero came up.
    """
    parts = [(str(n), n, 1, 3) for n in numbers]  # text, numerator, denominator, binding strength
    while len(parts) > 1:
        a, an, ad, ap = parts.pop(below(len(parts)))
        b, bn, bd, bp = parts.pop(below(len(parts)))
        operator = below(4)
        if operator == 0:
            parts.append((f"{a}+{b}", an * bd + bn * ad, ad * bd, 1))
        elif operator == 1:
            parts.append((f"{a}-({b})" if bp == 1 else f"{a}-{b}", an * bd - bn * ad, ad * bd, 1))
        else:
            left = f"({a})" if ap == 1 else a
            if operator == 2:
                parts.append((f"{left}*({b})" if bp == 1 else f"{left}*{b}", an * bn, ad * bd, 2))
            else:
                if bn == 0:
                    return None
                parts.append((f"{left}/({b})" if bp < 3 else f"{left}/{b}", an * bd, ad * bn, 2))
    text, numerator, denominator, _ = parts[0]
    return text, numerator, denominator


def draw_numbers(level: int, below: Callable[[int], int]) -> list[int]:
    """The numbers of one problem, in the order shown."""
    rule = RULES[level]
    if rule.highest:
        return [1 + below(rule.highest) for _ in range(rule.count)]
    large, small = list(LARGE), list(SMALL)
    picked = [large.pop(below(len(large))) for _ in range(2)]
    picked += [small.pop(below(len(small))) for _ in range(rule.count - 2)]
    return [picked.pop(below(len(picked))) for _ in range(rule.count)]


def draw_problem(level: int, below: Callable[[int], int]) -> tuple[list[int], int, str]:
    """The numbers in the order shown, the target, and an expression that reaches it. `below(n)` draws from 0..n-1."""
    low, high = RULES[level].targets
    while True:
        numbers = draw_numbers(level, below)
        expression = random_expression(numbers, below)
        if expression is not None:
            text, numerator, denominator = expression
            if numerator % denominator == 0 and low <= numerator // denominator <= high:
                return numbers, numerator // denominator, text


def problem_text(numbers: Sequence[int], target: int) -> str:
    """The problem as the policy sees it."""
    shown = ", ".join(map(str, numbers))
    return (
        f"Using each of the numbers {shown} exactly once with + - * / and parentheses, "
        f"write an expression that equals {target}."
    )


def gold_text(numbers: Sequence[int], target: int) -> str:
    """The gold answer: JSON text with the sorted numbers and the target. It is also the key that decides the split."""
    return json.dumps({"numbers": sorted(numbers), "target": target})


class Countdown(ProceduralSource):
    """Endless Countdown problems: graded by the `expression` verifier, gold is `{"numbers": [...], "target": n}`.

    `level=None` is level 2. Raises `UserError` for an unknown split or level.
    """

    name = "countdown"
    levels: ClassVar = {
        1: "three numbers 1-9, target 1-99",
        2: "four numbers 1-9, target 1-99",
        3: "four numbers 1-25, target 1-99",
        4: "five numbers 1-25, target 1-199",
        5: "six numbers as in the television game, target 100-999",
    }

    def __init__(self, split: str = "train", level: int | None = None, data: str | None = None) -> None:
        super().__init__(split, DEFAULT_LEVEL if level is None else level, data)

    def generate(self, rng: np.random.Generator, level: int) -> Draft:
        """One solvable problem."""
        numbers, target, _ = draw_problem(level, lambda n: int(rng.integers(n)))
        gold = gold_text(numbers, target)
        return Draft(problem_text(numbers, target), gold, key=gold)

    def answer(self, task: Task) -> str:
        """The expression that `task` was made from. The task is made again from its id to get it."""
        level, seed = map(int, self.get(task.id).id.split("/")[2:])
        rng = np.random.default_rng([seed, level])
        for _ in range(MAX_REJECTIONS):
            numbers, target, expression = draw_problem(level, lambda n: int(rng.integers(n)))
            if gold_text(numbers, target) == task.gold:
                return expression
        raise UserError(
            f"countdown: task '{task.id}' does not have the gold answer {task.gold[:80]!r}; draw it again from this environment"
        )
