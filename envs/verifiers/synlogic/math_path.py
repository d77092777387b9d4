"""Math path: replace every `?` of an equation by a digit so that it is true. `%` is Python's; arithmetic is exact."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from simko.envs.verifiers.synlogic.arithmetic import ascii_signs, value_of
from simko.envs.verifiers.synlogic.common import last_double_brackets, marked_or_last_line

_EQUATION = re.compile(r"[-+*/%()\d]{1,300}=-?\d[\d.]{0,20}")

_ROUNDING = Fraction(1, 10**9)
"""Tolerance if the right side is a decimal: a generator prints it from floating point."""


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the last `[[...]]` (or box, or line) is the equation with one digit for each `?`, and is true."""
    answer = last_double_brackets(text)
    if answer is None:
        answer = marked_or_last_line(text, lambda line: bool(_EQUATION.fullmatch(ascii_signs(line))))
    if answer is None:
        return None
    written, query = ascii_signs(answer), ascii_signs(game["metadata"]["query_expr"])
    if len(written) != len(query):
        return False
    if not all(a in "0123456789" if q == "?" else a == q for a, q in zip(written, query, strict=True)):
        return False
    left, _, right = written.partition("=")
    try:
        value, target = value_of(left), Fraction(right)
        return abs(value - target) <= (_ROUNDING if "." in right else 0)
    except (ValueError, ZeroDivisionError):
        return False
