r"""What stands beside a stated value and makes another one of it: signs, factors, functions, powers, indices, words that scale.

`-\boxed{42}` says -42, `$\boxed{42}\pi$` says 42 pi, and `\boxed{42} million` says 42 million: where only a sign stands left
and only factors right, the value is read with them. Anything else that binds (`3 - \boxed{42}`, `\frac{\boxed{42}}{2}`,
`\boxed{42}$ or $43$`) leaves no value. Spacing (blanks, `\,`, `{}`, `\left`), dollar signs and brackets between the two
change nothing. In a formula all binds that is not known to be harmless; in prose, only what is known to bind: the dash of
`Answer - \boxed{42}`, the mark of a list and the end of a sentence do not.
"""

from __future__ import annotations

import re

from simko.envs.verifiers.answer.beside_left import Formula, bound_left
from simko.envs.verifiers.answer.beside_right import bound_right, closes

REACH_OF_FORMULA = 2_000  # characters to the left in which the formula may have begun

_ENDS = re.compile(r"[\s.$*]*(?:\\[\])])?[\s.$*]*\Z")  # nothing follows but the end of a formula
_DELIMITER = re.compile(
    r"\\\$|\$\$?|\\[\[\]()]|\\(?P<verb>begin|end)\s?\{(?!center|document|itemize|enumerate|description|proof|solution|theorem"
    r"|answer|quot|tab|flush|figure|verbatim|comment|abstract)[a-zA-Z]{1,20}\*?\}(?:\{[lcr|]{1,20}\})?"
)
_NUMBER_OR_TERM = re.compile(
    r"(?:\d[\d.,]*|\\[dt]?frac\s?(?:\{[^{}]*\}|\d)\s?(?:\{[^{}]*\}|\d)|\\sqrt\s?(?:\{[^{}]*\}|\d)|\\pi|[A-Za-z](?![A-Za-z])"
    r"|\d/\d|\s){1,6}\\?%?"
)
_NO_TERM = re.compile(
    r"[=,;<>]|\\(?:text|pm|mp|le|ge|in|cup|begin|infty|mathrm)(?![A-Za-z])|(?<![\\A-Za-z])[A-Za-z]{3}"
)


def whole_value(text: str, start: int, end: int, content: str, right: bool = True) -> str | None:
    """The value of `text[start:end]`, which states `content`, with what is bound to it; None if it cannot be told.

    Without `right`, what stands to the right of it is passed over.
    """
    formula = formula_at(text, start)
    left = bound_left(text, start, formula)
    if left is None:
        return None
    value: str | None = content
    if right and not _ENDS.match(text, end):
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
