"""What the commands print: JSON for a program, aligned lines for a person, errors on one line of stderr."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def print_json(value: Any) -> None:
    """One JSON value on stdout; NaN and infinity are not JSON and raise `ValueError`."""
    plain = not (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    typer.echo(json.dumps(value, indent=2, ensure_ascii=plain, allow_nan=False))


def terminal(stderr: bool = False) -> Console:
    """Where a long command says how it goes.

    A disk that is full behind it costs what is said, and not the run. A reader that has left, as in `| head`, raises
    `BrokenPipeError`.
    """
    from rich.console import Console

    class Terminal(Console):
        def print(self, *arguments: Any, **options: Any) -> None:
            try:
                super().print(*arguments, **options)
            except BrokenPipeError:
                raise
            except OSError as error:
                self.quiet = True
                with contextlib.suppress(OSError):
                    note(f"what is said cannot be written ({error.strerror}); going on without a word")

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    return Terminal(stderr=stderr)


def never_fail() -> None:
    """Print what the terminal's encoding lacks as `?`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def flush() -> None:
    """Give away what is still to be printed; where nobody takes it, nothing more is said of that."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Aligned columns on stdout; the last one may be long and is not padded."""
    table = [list(header), *(list(map(clean, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]).rstrip())


def note(text: str) -> None:
    """A remark on stderr, so that stdout stays what was asked for."""
    typer.echo(f"simko: {one_line(text)}", err=True)


def fail(text: str) -> None:
    """A user's mistake: one line on stderr."""
    typer.echo(f"simko: error: {one_line(text)}", err=True)


def one_line(text: str) -> str:
    """`text` with its line breaks made spaces."""
    return " ".join(clean(text).split())


def clean(text: str) -> str:
    """`text` without control characters but tab and line feed: what a model wrote must not drive the terminal."""
    return "".join(c if c in "\t\n" or unicodedata.category(c) != "Cc" else "\N{REPLACEMENT CHARACTER}" for c in text)


def indent(text: str, by: str = "    ") -> str:
    """Every line of a cleaned text moved to the right."""
    return "\n".join(by + line for line in clean(text).splitlines()) or by.rstrip()


def ask(prompt: str) -> str | None:
    """A line from the person at the terminal, or None at the end of input."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # gives `input` history and editing
    try:
        return input(prompt)
    except EOFError:
        return None
