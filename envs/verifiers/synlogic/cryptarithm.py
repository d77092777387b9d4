"""Cryptarithm: replace letters by different digits so that the sum is true. No number begins with zero."""

from __future__ import annotations

import re
from typing import Any

from simko.envs.verifiers.expression import to_ascii
from simko.envs.verifiers.synlogic.arithmetic import ascii_signs, value_of
from simko.envs.verifiers.synlogic.common import marked_or_last_line

_EQUATION = re.compile(r"\d{1,30}(?:[-+*/]\d{1,30}){0,20}=\d{1,30}")
_TOKEN = re.compile(r"\d+|[-+*/=]")


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the last line (or block, or box) is the puzzle's equation with digits for letters, and is true."""
    answer = marked_or_last_line(text, lambda line: bool(_EQUATION.fullmatch(ascii_signs(to_ascii(line)))))
    if answer is None:
        return None
    written = ascii_signs(to_ascii(answer[:2_000]))
    if not _EQUATION.fullmatch(written):
        return False
    words, operators = game["metadata"]["letter_words"], [*game["metadata"]["operators"], "="]
    tokens = _TOKEN.findall(written)
    numbers, signs = tokens[::2], tokens[1::2]
    if signs != operators or [len(n) for n in numbers] != [len(w) for w in words]:
        return False
    pairs = {(letter, digit) for w, n in zip(words, numbers, strict=True) for letter, digit in zip(w, n, strict=True)}
    if len(pairs) != len({p[0] for p in pairs}) or len(pairs) != len({p[1] for p in pairs}):
        return False
    if any(len(number) > 1 and number[0] == "0" for number in numbers):
        return False
    left, _, right = written.partition("=")
    try:
        return value_of(left) == int(right)
    except (ValueError, ZeroDivisionError):
        return False
