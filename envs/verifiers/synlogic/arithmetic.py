"""Exact arithmetic on short texts: integers of at most 12 digits, + - * / % and parentheses."""

from __future__ import annotations

import re
from fractions import Fraction

from simko.envs.verifiers.reading.arithmetic import MalformedError, compute

MAX_CHARS = 300
MAX_DEPTH = 30
_TOKENS = re.compile(r"\d{1,12}|[-+*/%()]")
_SIGNS = str.maketrans("×·∙⋅÷∕⁄−–", "****///--")


def ascii_signs(text: str) -> str:
    """`text` with + - * / for Unicode operators, without white space."""
    return "".join(text.translate(_SIGNS).split())


def value_of(text: str) -> Fraction:
    """The exact value of an expression.

    Raises `ValueError` for any other text, `ZeroDivisionError` for a division by zero.
    """
    text = ascii_signs(text)
    tokens = _TOKENS.findall(text)
    if len(text) > MAX_CHARS or "".join(tokens) != text:
        raise MalformedError(text[:80])
    return compute(tokens, int, max_depth=MAX_DEPTH, products="*/%")
