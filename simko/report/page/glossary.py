"""What the names of metrics mean: rows of docs/reference/metrics.md, the one place where they are written, as a folded table.

`glossary.md` here is a link to that page; an installed package holds a copy of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from simko.report.page.escape import esc
from simko.report.page.table import folded, html_table

_HEAD = ("metric", "meaning", "normal", "when to worry, and what to do")


def meanings(metrics: Iterable[str]) -> str:
    """The rows of the glossary that describe some of these metrics, in its order; empty if there is none."""
    names = list(metrics)
    rows = [[_html(cell) for cell in row] for row in glossary() if any(_pattern(row[0]).fullmatch(n) for n in names)]
    return (
        folded("What these names mean, and when to worry", html_table("From the glossary", _HEAD, rows)) if rows else ""
    )


@cache
def glossary() -> tuple[tuple[str, ...], ...]:
    """The table of metrics: name, meaning, what is normal, when to worry; in Markdown."""
    page = (files("simko.report.page") / "glossary.md").read_text(encoding="utf-8")
    cells = [
        tuple(cell.strip() for cell in text[1:-1].split("|")) for text in page.splitlines() if text.startswith("| `")
    ]
    return tuple(row for row in cells if len(row) == len(_HEAD))


def _pattern(name: str) -> re.Pattern[str]:
    """The metrics that a row is about: capitals stand for a part of a name, N and M for a number."""
    numbered = re.sub("[NM](?![A-Z])", "[0-9]+", name.strip("`"))
    return re.compile(re.sub("NAME|KIND", "[a-z0-9_]+", numbered))


def _html(cell: str) -> str:
    """A cell of Markdown: code in backticks, and of a link its text."""
    parts = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", cell).split("`")
    return "".join(f"<code>{esc(part)}</code>" if i % 2 else esc(part) for i, part in enumerate(parts))
