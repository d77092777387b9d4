r"""Arithmetic that an answer shows: one side of `20\% \times 60 = 12` or `10 cm + 2 cm = 12 cm`, as a formula of numbers."""

from __future__ import annotations

import re
from fractions import Fraction

from simko.envs.verifiers.math import large
from simko.envs.verifiers.reading.numbers import evaluate
from simko.envs.verifiers.reading.units import split_unit

MODULUS = re.compile(r"(?P<sides>.{1,300}?)\s?\\pmod\s?\{\s?(?P<modulus>\d{1,12})\s?\}")
_UNITS = re.compile(r"\s?\\text\s?\{[^{}]{1,30}\}|\s?\\usd\s?|(?<=\d)\s[a-z]{3,20}(?![A-Za-z(])")
_PERCENT = re.compile(r"(?<![\d.,^])(\d{1,12}(?:\.\d{1,12})?)\s?\\?%")
_OPERATOR = re.compile(r"\\times|\\cdot|[*+-]")


def computed(side: str) -> str:
    r"""A side before the last one: `2^{10} \pmod{7}` as its remainder, `20\%` of an operation as a fraction, units left out."""
    if match := MODULUS.fullmatch(side):
        remainder = large.remainder(match["sides"], int(match["modulus"]))
        return side if remainder is None else str(remainder)
    if "%" in side and _OPERATOR.search(side):
        side = _PERCENT.sub(r"\\frac{\1}{100}", side)
    units = [split_unit("1" + unit)[1] for unit in _UNITS.findall(side)]
    return _UNITS.sub("", side) if len(set(units)) == 1 and units[0] else side


def value(side: str) -> Fraction | None:
    """The exact value of a side before the last one; None if it is not known."""
    side = computed(side)
    exact = evaluate(side)
    return large.value(side) if exact is None else exact
