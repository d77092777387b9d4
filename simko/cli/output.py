"""What the commands print: JSON for a program, aligned lines for a person, an error as one line on stderr."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import typer

from simko.console import clean, note, table, tell

if TYPE_CHECKING:
    from rich.console import Console


def print_json(value: Any, ascii_only: bool = False) -> None:
    """One JSON value on stdout; NaN and infinity are not JSON and raise `ValueError`.

    With `ascii_only` every other character is escaped: text of a model reaches the program whole, and no terminal.
    """
    plain = ascii_only or not (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    typer.echo(json.dumps(value, indent=2, ensure_ascii=plain, allow_nan=False, default=_as_json))


def _as_json(value: Any) -> Any:
    """A mapping as an object, a set as a sorted list."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def terminal(stderr: bool = False) -> Console:
    """The console on which a long command reports progress.

    If stdout goes to a file on a full disk, the output is lost and the run goes on. A reader that has left, as in
    `| head`, raises `BrokenPipeError`.
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
                    note(f"the output cannot be written ({error.strerror}); going on without it")

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    return Terminal(stderr=stderr)


def never_fail() -> None:
    """Print letters that the terminal's encoding lacks as `?`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def flush() -> None:
    """Write out what is still buffered. If nobody takes it, drop it without an error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Aligned columns on stdout. The last one may be long and is not padded."""
    typer.echo(table(header, rows))


def fail(text: str) -> None:
    """Print a user's mistake: one line on stderr."""
    tell(f"error: {text}")


def indent(text: str, by: str = "    ") -> str:
    """The text, cleaned, with every line moved to the right."""
    return "\n".join(by + line for line in clean(text).splitlines()) or by.rstrip()


def ask(prompt: str) -> str | None:
    """A line from the person at the terminal, or None at the end of input."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # gives `input` history and editing
    try:
        return input(prompt)
    except EOFError:
        return None
