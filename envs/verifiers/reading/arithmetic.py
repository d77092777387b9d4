"""The one reader of arithmetic: exact values of sums and products in tokens, by recursive descent, without evaluation.

Callers cut a text to tokens and cap its length, since what they take for a number differs. The order of operations is
that of Python: products before sums, from left to right, and a sign binds to the factor behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple


class MalformedError(ValueError):
    """Not an arithmetic expression of the allowed form."""


class _Rules(NamedTuple):
    number: Callable[[str], Fraction | int]
    max_depth: int
    products: tuple[str, ...]


def compute(
    tokens: Sequence[str], number: Callable[[str], Fraction | int], max_depth: int, products: str = "*/"
) -> Fraction:
    """The exact value of `tokens`: numbers, `+`, `-`, parentheses and the `products`, which may include `%`.

    `number` reads a token that is no operator. `max_depth` bounds the parentheses and signs round any one number; a
    parenthesis takes three frames of Python's stack. The result of `%` has the sign of the divisor, as in Python. Raises
    `MalformedError` for anything else, `ZeroDivisionError` for a division by zero, and what `number` raises.
    """
    rest = ["", *reversed(tokens)]  # the next token is the last item
    value = _sum(rest, 0, _Rules(number, max_depth, tuple(products)))
    if rest[-1]:
        raise MalformedError(f"{rest[-1]!r} is too much")
    return value


def _sum(rest: list[str], depth: int, rules: _Rules) -> Fraction:
    value = _product(rest, depth, rules)
    while rest[-1] in ("+", "-"):
        sign = 1 if rest.pop() == "+" else -1
        value += sign * _product(rest, depth, rules)
    return value


def _product(rest: list[str], depth: int, rules: _Rules) -> Fraction:
    value = _factor(rest, depth, rules)
    while rest[-1] in rules.products:
        operator = rest.pop()
        factor = _factor(rest, depth, rules)
        value = value * factor if operator == "*" else value / factor if operator == "/" else value % factor
    return value


def _factor(rest: list[str], depth: int, rules: _Rules) -> Fraction:
    sign = 1
    while rest[-1] == "-":
        rest.pop()
        sign, depth = -sign, depth + 1
    if depth > rules.max_depth:
        raise MalformedError("nested too deeply")
    token = rest.pop() if rest[-1] else ""
    if token == "(":
        value = _sum(rest, depth + 1, rules)
        if rest[-1] != ")":
            raise MalformedError("a parenthesis is not closed")
        rest.pop()
        return sign * value
    if token in ("", "+", ")", *rules.products):
        raise MalformedError(f"{token!r} is no number")
    return Fraction(sign * rules.number(token))
