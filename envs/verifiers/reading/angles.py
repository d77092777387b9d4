r"""Angles in degrees: `\sin 45^\circ` in radians, `90^\circ` beside `\frac{\pi}{2}`."""

from __future__ import annotations

import re

_CALLS = re.compile(r"\\(?:arc)?(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_DEGREES = re.compile(
    r"(\d{1,12}(?:\.\d{1,12})?|(?<![A-Za-z\\])[A-Za-z]|\\[a-z]{2,8}|\([^()]{1,60}\)|\{[^{}]{1,60}\}|\\frac\s?\{[^{}]{1,30}\}\s?\{[^{}]{1,30}\})"
    r"\s?\^\\circ\s?"
)


def in_radians(text: str) -> str:
    r"""The text with degrees as multiples of pi, if it is a formula with trigonometric functions."""
    if "^\\circ" not in text or not _CALLS.search(text):
        return text
    return _DEGREES.sub(lambda m: rf"(\frac{{{m[1]} \pi}}{{180}})", text)


def has_angles(text: str) -> bool:
    r"""Whether a degree sign in a text belongs to a formula: `2\sin 30^\circ` is not a number of degrees."""
    return _CALLS.search(text) is not None


def of_angles(gold: str, gold_unit: str, answer: str, answer_unit: str) -> tuple[str, str] | None:
    """Both angles in radians if one is in degrees and the other a multiple of pi, else None."""
    if ("\\pi" in gold) == ("\\pi" in answer) or has_angles(gold) or has_angles(answer):
        return None
    in_degrees = gold if gold_unit == "deg" else answer
    if "\\pi" in in_degrees:
        return None
    written = rf"\frac{{({in_degrees}) \pi}}{{180}}"
    return (written, answer) if gold_unit == "deg" else (gold, written)
