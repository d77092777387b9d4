r"""What stands on the left of a value: names, and expressions that the problem may have asked for, as `100m+n`.

An expression of one name alone is no such quantity: `2x = 42` and `x^2 = 42` are equations for x, and do not state 42.
"""

from __future__ import annotations

import re

from simko.envs.verifiers.reading.allowlist import GREEK, letters, tokenize
from simko.envs.verifiers.reading.shapes import is_inequality, is_name
from simko.envs.verifiers.reading.units import changes_value

MAX_QUANTITY = 120  # characters
_TEXT = re.compile(r"\\text\s?\{([A-Za-z .'-]{1,40})\}")
_PRINT = re.compile(r"\\(?:overline|widehat|vec|bar|hat|angle|triangle|cup|cap|setminus|ldots)(?![A-Za-z])")
_OTHER_COMMANDS = re.compile(rf"\\(?!(?:{'|'.join(sorted(GREEK))})(?![A-Za-z]))[A-Za-z]+")
_NAMES = re.compile(
    r"[fghFGHPE]\s?\([^()]{1,20}\)|(?:[A-Z]{2,5}|\\[A-Za-z]+|[A-Za-z])(?:_\s?(?:\{[A-Za-z0-9]{1,6}\}|[A-Za-z0-9]))?"
)
_CONSTANTS = frozenset("ei")


def is_quantity(text: str, taken: frozenset[str] = frozenset()) -> bool:
    r"""Whether `text` combines two names or more: `m+n`, `100m+n`, `\frac{a}{b}`, `f(1)+f(2)`, none of them among `taken`."""
    text = text.strip()
    if len(text) > MAX_QUANTITY or is_inequality(text) or changes_value(re.sub(r"\\[A-Za-z]+", " ", text)):
        return False
    plain = _PRINT.sub(" ", text)
    named = _TEXT.sub("x", plain)
    names = {*_TEXT.findall(plain), *_NAMES.findall(_OTHER_COMMANDS.sub(" ", _TEXT.sub(" ", plain)))} - _CONSTANTS
    # The blanks keep AB and CD from being read as one word.
    return (
        len(names) > 1
        and tokenize(re.sub(r"(?<=[A-Z])(?=[A-Z])", " ", named)) is not None
        and taken.isdisjoint(letters(named))
    )


def values_stated(parts: list[str], taken: frozenset[str] = frozenset()) -> list[str]:
    """The sides of an equation behind the names of its value: `256 + 37` and `293` of `S = m + n = 256 + 37 = 293`.

    `taken` are the letters of the value that is looked for: what has one of them is no name of it, but for one in front.
    """
    at = int(len(parts) > 1 and is_name(parts[0]))
    while at < len(parts) - 1 and (
        is_quantity(parts[at], taken) or (is_name(parts[at]) and taken.isdisjoint(letters(parts[at])))
    ):
        at += 1
    return parts[at:]
