"""Names of arms as a reader sees them: what a file says must not drive a terminal, a table, a spreadsheet or a page."""

from __future__ import annotations

import unicodedata
from typing import Any

from simko.console import one_line

_LONGEST = 48
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = "\\|`*_[]<>~"


def label(name: str, longest: int = _LONGEST) -> str:
    """`name` in one line, without control, format and half characters; a long one is cut in the middle."""
    kept = "".join(
        c if unicodedata.category(c) not in ("Cf", "Cs", "Cn", "Co") else "\N{REPLACEMENT CHARACTER}" for c in name
    )
    text = one_line(kept) or "(no name)"
    tail = longest // 2
    return text if len(text) <= longest else f"{text[: longest - tail - 1]}…{text[-tail:]}"


def csv_cell(text: str) -> str:
    """Text for a CSV cell. A spreadsheet would run one that begins with `=`, `+`, `-` or `@`, so it gets a `'` before it."""
    return no_formula(label(text, 1 << 10))


def no_formula(value: Any) -> Any:
    """Text as it is, with a `'` before what a spreadsheet would run; any other value as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def markdown_cell(text: str, longest: int = _LONGEST) -> str:
    """Text for a cell of a Markdown table: every character that Markdown or HTML would read is escaped."""
    shown = label(text, longest)
    return "".join({"<": "&lt;", ">": "&gt;"}.get(c, f"\\{c}") if c in _MARKDOWN else c for c in shown)
