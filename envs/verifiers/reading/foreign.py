"""Programs and templates that would be read as formulas: `{{7*6}}`, `${7*6}`, `[42]*1`, `42` above `import os`."""

from __future__ import annotations

import re

_FOREIGN = re.compile(
    r"^\s{0,9}\{\{[^{}]{0,200}[-+*/][^{}]{0,200}\}\}\s{0,9}$"  # a template's expression
    r"|^\s{0,9}\$\{[^$]{0,400}$"  # a shell's: dollar and brace, and no other dollar
    r"|\]\s{0,3}\*"  # a list, repeated
    r"|;\s{0,3}(?!and\b|or\b)[A-Za-z_]{2,40}\s{1,3}[A-Za-z_]"  # a statement behind a semicolon
)
_NEXT_LINE = re.compile(
    r"\n\s{0,20}(?!and\b|or\b)[A-Za-z_]{2,40}\s{1,3}[A-Za-z_]"
)  # two bare words on a line of their own


def is_foreign(answer: str) -> bool:
    """Whether an answer, as it was written, is a program or template that would be read as a formula."""
    return _FOREIGN.search(answer) is not None or ("\\begin" not in answer and _NEXT_LINE.search(answer) is not None)
