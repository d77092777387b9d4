r"""What stands on the left of a value: names, and expressions that the problem may have asked for, as `100m+n`.

`2x = 42` and `x^2 = 42` state 42: the problem may ask for 2x, or for the square of x. Text behind a number is a unit and no
name, as in `60 \text{ cm} + 12 \text{ cm} = 71 \text{ cm}`.
"""

from __future__ import annotations

import re
from fractions import Fraction

from simko.envs.verifiers.reading.allowlist import GREEK, letters, tokenize
from simko.envs.verifiers.reading.shapes import is_inequality, is_name, sides
from simko.envs.verifiers.reading.units import changes_value, split_unit

MAX_QUANTITY = 120  # characters
_TEXT = re.compile(r"\\text\s?\{([A-Za-z .'-]{1,40})\}")
_PRINT = re.compile(r"\\(?:overline|widehat|vec|bar|hat|angle|triangle|cup|cap|setminus|ldots)(?![A-Za-z])")
_OTHER_COMMANDS = re.compile(rf"\\(?!(?:{'|'.join(sorted(GREEK))})(?![A-Za-z]))[A-Za-z]+")
_NAMES = re.compile(
    r"[fghFGHPE]\s?\([^()]{1,20}\)|(?:[A-Z]{2,5}|\\[A-Za-z]+|[A-Za-z])(?:_\s?(?:\{[A-Za-z0-9]{1,6}\}|[A-Za-z0-9]))?"
)
_CONSTANTS = frozenset("ei")
_UNITS = re.compile(r"(?<=[\d.)}])\s?(\\text\s?\{[^{}]{1,40}\})")
_NO_NAME = re.compile(r"(?:[A-Za-z]|\([A-Za-z]\))\s?\d|[\d)}] [xX] [(&]|\d (?:in|mi|mm)(?![A-Za-z])")
"""A letter that is a sign or a label, `6 x 8`, `5C2`, `(a) 41`, or a short unit; `&` stands for a command."""


def is_quantity(text: str, taken: frozenset[str] = frozenset(), least: int = 1) -> bool:
    r"""Whether `text` is an expression of at least `least` names, none of them `taken`: `m+n`, `2x`, `\frac{a}{b}`, `f(1)+3`."""
    text = text.strip()
    if len(text) > MAX_QUANTITY or is_inequality(text) or changes_value(re.sub(r"\\[A-Za-z]+", " ", text)):
        return False
    plain = without_unit(_PRINT.sub(" ", text))
    named = _TEXT.sub("x", plain)
    names = {*_TEXT.findall(plain), *_NAMES.findall(_OTHER_COMMANDS.sub(" ", _TEXT.sub(" ", plain)))} - _CONSTANTS
    if len(names) == 1 and (_UNITS.search(plain) or _NO_NAME.search(_OTHER_COMMANDS.sub("&", named))):
        return False
    # The blanks keep AB and CD from being read as one word.
    return (
        len(names) >= least
        and tokenize(re.sub(r"(?<=[A-Z])(?=[A-Z])", " ", named)) is not None
        and taken.isdisjoint(letters(named))
    )


def without_unit(text: str) -> str:
    r"""`60 + 12` of `60 \text{ cm} + 12 \text{ cm}`. Different texts stay: they are names in `2\text{length}+2\text{width}`."""
    units = {split_unit("1" + unit)[1] for unit in _UNITS.findall(text)}
    return _UNITS.sub("", text) if len(units) == 1 and "" not in units else text


def is_of_one_name(text: str) -> bool:
    """Whether an expression of one name stands left of the value: `2x = 1`, which may be one equation of a system."""
    parts = sides(text)
    return values_stated(parts) != values_stated(parts, least=2)


def least_names(gold: str, value: Fraction | None) -> int:
    """How many names an expression left of an answer's value must have, for a gold answer and its value if it has one.

    Beside a gold equation `2x = 4` is one for x, and beside 0 so is `x - 1 = 0`.
    """
    return 2 if "=" in gold or value == 0 else 1


def values_stated(parts: list[str], taken: frozenset[str] = frozenset(), least: int = 1) -> list[str]:
    """The sides of an equation behind the names of its value: `256 + 37` and `293` of `S = m + n = 256 + 37 = 293`.

    `taken` are the letters of the value that is looked for: what has one of them is no name of it, but for one in front.
    An expression on the left has at least `least` names.
    """
    at = int(len(parts) > 1 and is_name(parts[0]))
    while at < len(parts) - 1 and (
        is_quantity(parts[at], taken, least) or (is_name(parts[at]) and taken.isdisjoint(letters(parts[at])))
    ):
        at += 1
    return parts[at:]
