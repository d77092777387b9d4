"""What a person reads on the terminal: lines as they are, notes on stderr, aligned tables. The only place that knows how."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_SEEN = "\t\n\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, half of a surrogate pair, line and paragraph separator
_REPLACED = "\N{REPLACEMENT CHARACTER}"


def say(console: Console | None, line: str, style: str = "") -> None:
    """Print a line as it is: no markup, no colour but `style`, and the terminal wraps it.

    A prompt may hold `[/INST]` or `:smile:`, which rich would read as its own.
    """
    from rich.text import Text  # here, so that commands that print nothing by rich need not load it

    if console is not None:
        console.print(Text(line, style), soft_wrap=True)


_muted = False


def mute(on: bool) -> None:
    """Make no remarks, or make them again: of several processes of one run, one speaks."""
    global _muted
    _muted = on


def note(text: str) -> None:
    """A remark on stderr, in one line. Stdout stays what was asked for."""
    if not _muted:
        tell(text)


def tell(text: str) -> None:
    """A line on stderr, even from a process that makes no remarks."""
    print(f"simko: {one_line(text)}", file=sys.stderr, flush=True)


@cache
def note_once(text: str) -> None:
    """A remark that a process makes once, however often it comes by."""
    note(text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = False) -> str:
    """Aligned columns. The last one may be long and is not padded.

    With `numbers` the cells are on the right, and a rule stands below the header, of which a cell may have several lines.
    """
    heads = [cell.split("\n") for cell in header]
    height = max(map(len, heads), default=1)
    top = [[""] * (height - len(lines)) + lines for lines in heads]
    grid = [*map(list, zip(*top, strict=True)), *(list(map(clean, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    if numbers:
        lines = ["  ".join(map(str.rjust, row, widths)) for row in grid]
        lines.insert(height, "─" * (sum(widths) + 2 * (len(widths) - 1)))
    else:
        lines = ["  ".join([*map(str.ljust, row[:-1], widths), row[-1]]).rstrip() for row in grid]
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same cells as a table of Markdown, to be pasted into a page."""
    lines = ["| " + " | ".join(line) + " |" for line in [header, *rows]]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def duration(seconds: float) -> str:
    """`42 s`, `3 min 10 s`, `2 h 05 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def one_line(text: str) -> str:
    """`text` with its line breaks made spaces."""
    return " ".join(clean(text).split())


def clean(text: str) -> str:
    """`text` without characters that act on a terminal, or that a reader cannot see: what a model wrote must not mislead.

    Control characters but tab and line feed, marks of direction, zero-width characters and halves of surrogate pairs become
    U+FFFD. The two joiners stay: Persian, the scripts of India and emoji are spelt with them.
    """
    return "".join(c if c in _SEEN or unicodedata.category(c) not in _UNSEEN else _REPLACED for c in text)
