"""Exact arithmetic on short texts: integers, + - * / % and parentheses, in Python's order of operations, no evaluation.

A recursive descent over our own tokens. `%` is Python's: the remainder has the sign of the divisor.
"""

from __future__ import annotations

import re
from fractions import Fraction

MAX_CHARS = 300
MAX_DEPTH = 30
_TOKENS = re.compile(r"\d{1,12}|[-+*/%()]")
_SIGNS = str.maketrans("×·∙⋅÷∕⁄−–", "****///--")


class MalformedError(ValueError):
    """Not an expression of the allowed form."""


def ascii_signs(text: str) -> str:
    """Unicode operators as + - * / and no white space."""
    return "".join(text.translate(_SIGNS).split())


def value_of(text: str) -> Fraction:
    """The value. Raises `ValueError` for anything but an expression, `ZeroDivisionError` for a division by zero."""
    text = ascii_signs(text)
    tokens = _TOKENS.findall(text)
    if len(text) > MAX_CHARS or "".join(tokens) != text:
        raise MalformedError(text[:80])
    tokens.append("")
    value, at = _sum(tokens, 0, 0)
    if tokens[at]:
        raise MalformedError(text[:80])
    return value


def _sum(tokens: list[str], at: int, depth: int) -> tuple[Fraction, int]:
    value, at = _product(tokens, at, depth)
    while tokens[at] in ("+", "-"):
        right, after = _product(tokens, at + 1, depth)
        value = value + right if tokens[at] == "+" else value - right
        at = after
    return value, at


def _product(tokens: list[str], at: int, depth: int) -> tuple[Fraction, int]:
    value, at = _factor(tokens, at, depth)
    while tokens[at] in ("*", "/", "%"):
        right, after = _factor(tokens, at + 1, depth)
        value = value * right if tokens[at] == "*" else value / right if tokens[at] == "/" else value % right
        at = after
    return value, at


def _factor(tokens: list[str], at: int, depth: int) -> tuple[Fraction, int]:
    token = tokens[at]
    if depth > MAX_DEPTH:
        raise MalformedError("nested too deeply")
    if token == "-":
        value, at = _factor(tokens, at + 1, depth + 1)
        return -value, at
    if token == "(":
        value, at = _sum(tokens, at + 1, depth + 1)
        if tokens[at] != ")":
            raise MalformedError("a parenthesis is not closed")
        return value, at + 1
    if not token.isdigit():
        raise MalformedError(f"{token!r} is not a number")
    return Fraction(int(token)), at + 1
