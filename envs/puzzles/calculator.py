"""Long arithmetic with a calculator: the environment answers `<calc>347*829</calc>` with the result.

The tool never evaluates Python. It takes a short text of allowed characters, parses it to a syntax tree and walks the
tree in exact rational arithmetic (`simko.envs.verifiers.expression.evaluate`). The verifier is `numeric`, on the
policy's last turn.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np

from simko.envs.puzzles.procedural import Draft, ProceduralSource
from simko.envs.turns import tool_reply
from simko.envs.verifiers.expression import MAX_EXPRESSION, evaluate, to_ascii
from simko.types import Task

MAX_CALLS = 3
MAX_RESULT = 60  # characters
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_DECIMAL = re.compile(r"([0-9]+)\.([0-9]{1,12})(?![0-9.])")


class Calculator(ProceduralSource):
    """Endless products of long numbers. The gold answer is an integer."""

    name = "calculator"
    levels: ClassVar = {
        1: "a product of two three-digit numbers",
        2: "a product of two four-digit numbers, and one more term",
        3: "two products of three-digit numbers, added or subtracted",
        4: "a product of sums of three-digit numbers, and a product of four-digit numbers",
    }

    def generate(self, rng: np.random.Generator, level: int) -> Draft:
        """One problem. The key that decides the split has the terms, and the factors of each, in sorted order."""

        def draw(digits: int) -> int:
            return int(rng.integers(10 ** (digits - 1) + 1, 10**digits))

        def product(digits: int) -> tuple[str, int]:
            a, b = draw(digits), draw(digits)
            return f"{a} * {b}", a * b

        def product_of_sums() -> tuple[str, int]:
            a, b, c, d = (draw(3) for _ in range(4))
            return f"({a} + {b}) * ({c} + {d})", (a + b) * (c + d)

        if level == 1:
            terms = [product(3)]
        elif level == 2:
            more = draw(4)
            terms = [product(4), (str(more), more)]
        elif level == 3:
            terms = [product(3), product(3)]
        else:
            terms = [product_of_sums(), product(4)]
        signs = [1, *(1 if rng.integers(2) else -1 for _ in terms[1:])]
        text = terms[0][0] + "".join(
            f" {'+' if s > 0 else '-'} {t}" for s, (t, _) in zip(signs[1:], terms[1:], strict=True)
        )
        value = sum(sign * worth for sign, (_, worth) in zip(signs, terms, strict=True))
        key = sorted(("+-"[sign < 0], *sorted(term.split(" * "))) for sign, (term, _) in zip(signs, terms, strict=True))
        return Draft(f"What is {text}?", str(value), key=f"calculator {key}")

    def answer(self, task: Task) -> str:
        """The number alone."""
        return task.gold


def calculate(text: str) -> str:
    """The exact value of an arithmetic expression, as an integer or a reduced fraction.

    The expression has numbers (also decimals), + - * / and parentheses. LaTeX and Unicode operators are read too. Raises
    `ValueError` with a short reason for anything else.
    """
    if len(text) > MAX_EXPRESSION:
        raise ValueError(f"at most {MAX_EXPRESSION} characters")
    plain = _DECIMAL.sub(lambda m: f"({int(m[1] + m[2])}/1{'0' * len(m[2])})", _THOUSANDS.sub("", text))
    try:
        value, _ = evaluate(to_ascii(plain))
    except ZeroDivisionError:
        raise ValueError("division by zero") from None
    except ValueError:
        raise ValueError("write numbers, + - * / and parentheses") from None
    result = str(value)
    if len(result) > MAX_RESULT:
        raise ValueError("the result is too long")
    return result


reply = tool_reply({"calc": calculate}, max_calls=MAX_CALLS)
"""The environment's reply to each of the policy's turns."""
