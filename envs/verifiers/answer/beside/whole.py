r"""The whole value of a stated one: with the sign left of it and the factors right of it, or None where it cannot be told."""

from __future__ import annotations

import re
from dataclasses import dataclass

from simko.envs.verifiers.answer.beside.left import bound_left
from simko.envs.verifiers.answer.beside.right import bound_right, closes

REACH_OF_FORMULA = 2_000  # characters to the left in which the formula may have begun

_DELIMITER = re.compile(
    r"\\\$|\$\$?|\\[\[\]()]|\\(?P<verb>begin|end)\s?\{(?!center|document|itemize|enumerate|description|proof|solution|theorem"
    r"|answer|quot|tab|flush|figure|verbatim|comment|abstract)[a-zA-Z]{1,20}\*?\}"
)
_NUMBER_OR_TERM = re.compile(
    r"(?:\d[\d.,]*|\\[dt]?frac\s?(?:\{[^{}]*\}|\d)\s?(?:\{[^{}]*\}|\d)|\\sqrt\s?(?:\{[^{}]*\}|\d)|\\pi|[A-Za-z](?![A-Za-z])"
    r"|\d/\d|\s){1,6}\\?%?"
)
_NO_TERM = re.compile(r"[=,;<>]|\\(?:text|pm|mp|le|ge|in|cup|begin|infty|mathrm)(?![A-Za-z])|(?<![\\A-Za-z])[A-Za-z]{3}")


@dataclass(frozen=True, slots=True)
class Formula:
    """The formula that is open at a place: where its delimiter and its inside begin, and whether it is displayed."""

    start: int
    inside: int
    displayed: bool


def whole_value(text: str, start: int, end: int, content: str, right: bool = True) -> str | None:
    """The value of `text[start:end]`, which states `content`, with what is bound to it; None if it cannot be told.

    Without `right`, what stands to the right of it is passed over.
    """
    formula = formula_at(text, start)
    left = bound_left(text, start, formula and (formula.start, formula.inside, formula.displayed))
    if left is None:
        return None
    value: str | None = content
    if right:
        value = bound_right(text, end, content, in_formula=formula is not None, alone=not left.brackets)
    if value is None or not left.sign:
        return value
    return _negative(value) if closes(text, end, left.brackets) else None


def formula_at(text: str, start: int) -> Formula | None:
    """The formula that is open at `start`, or None. One that a blank line cuts is none."""
    low = max(0, start - REACH_OF_FORMULA)
    low = max(low, text.rfind("\n\n", low, start) + 2) if text.rfind("\n\n", low, start) >= 0 else low
    opened: re.Match[str] | None = None
    for match in _DELIMITER.finditer(text, low, start):
        sign = match[0]
        if sign == "\\$":
            continue
        if sign in ("\\]", "\\)") or match["verb"] == "end":
            if opened is not None and (match["verb"] == "end") == (opened["verb"] is not None):
                opened = None
        elif opened is None or (sign == "$$" and opened[0] == "$"):  # the latter: $a$$b$
            opened = match
        elif sign == opened[0] and sign[0] == "$":
            opened = None
    return None if opened is None else Formula(opened.start(), opened.end(), opened[0] not in ("$", "\\("))


def _negative(value: str) -> str | None:
    """The value with a minus sign; None for a list, a relation or words."""
    value = value.strip().strip("$").strip()
    if value[:1] in ("-", "−") and _NUMBER_OR_TERM.fullmatch(value[1:].strip()):
        return value[1:].strip()
    if _NUMBER_OR_TERM.fullmatch(value):
        return f"-{value}"
    return None if _NO_TERM.search(value) else f"-({value})"
