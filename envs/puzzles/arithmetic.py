"""Arithmetic chains: "What is 23 + 48 - 7?". The gold answer is an integer; the verifier is `numeric`.

Results are integers and never negative. Multiplication and parentheses come at the higher levels. Sums that differ only
in the order of their terms count as one problem for the split.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simko.envs.puzzles.procedural import Draft, ProceduralSource
from simko.types import Task


class Arithmetic(ProceduralSource):
    """Endless arithmetic problems of six levels."""

    name = "arithmetic"
    levels: ClassVar = {
        1: "one + or -: a number up to 20 and one of one digit",
        2: "one + or - of two-digit numbers",
        3: "three terms of one or two digits, + and -",
        4: "one product of one-digit numbers, and one more term",
        5: "a sum in parentheses times a one-digit number, and one more term",
        6: "five numbers: a product, a product of a sum in parentheses, and one more term",
    }

    def generate(self, rng: np.random.Generator, level: int) -> Draft:
        """One problem: terms with signs, drawn again until the result is not negative."""
        while True:
            terms = self._terms(rng, level)
            value = sum(sign * worth for sign, _, worth in terms)
            if value >= 0:
                break
        (_, text, _), *rest = terms
        for sign, term, _ in rest:
            text += f" {'+' if sign > 0 else '-'} {term}"
        key = " ".join(sorted(f"{'+' if sign > 0 else '-'}{term}" for sign, term, _ in terms))
        return Draft(f"What is {text}?", str(value), key=f"arithmetic {key}")

    def answer(self, task: Task) -> str:
        """The number alone."""
        return task.gold

    def _terms(self, rng: np.random.Generator, level: int) -> list[tuple[int, str, int]]:
        """The terms as (sign, text, value). The sign of the first term is +."""

        def draw(low: int, high: int) -> int:
            return int(rng.integers(low, high + 1))

        def sign() -> int:
            return 1 if rng.integers(2) else -1

        def number(low: int, high: int) -> tuple[str, int]:
            n = draw(low, high)
            return str(n), n

        def product() -> tuple[str, int]:
            a, b = draw(2, 9), draw(2, 9)
            return f"{a} * {b}", a * b

        def product_of_sum() -> tuple[str, int]:
            a, b, c = draw(1, 20), draw(1, 20), draw(2, 9)
            if rng.integers(2):
                return f"({a} + {b}) * {c}", (a + b) * c
            a, b = max(a, b) + 1, min(a, b)
            return f"({a} - {b}) * {c}", (a - b) * c

        if level == 1:
            parts = [number(1, 20), number(1, 9)]
            parts = parts[::-1] if rng.integers(2) else parts
        elif level == 2:
            parts = [number(10, 99), number(10, 99)]
        elif level == 3:
            parts = [number(1, 9) if rng.integers(3) == 0 else number(10, 99) for _ in range(3)]
        elif level == 4:
            parts = [product(), number(1, 20)]
        elif level == 5:
            parts = [product_of_sum(), number(1, 50)]
        else:
            parts = [product_of_sum(), product(), number(1, 99)]
            parts = [parts[int(i)] for i in rng.permutation(3)]
        return [(1 if i == 0 else sign(), text, value) for i, (text, value) in enumerate(parts)]
