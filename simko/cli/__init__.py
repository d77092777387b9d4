"""The command line. `simko --help` is answered from a stored text; everything else is in `simko.cli.commands`.

A person who asks for help should not wait for the libraries that the commands need.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as in `simko`
if TYPE_CHECKING:
    from typing import Any

_HELP_COLUMNS = 80


def main() -> None:
    """The `simko` command."""
    if sys.argv[1:] in ([], ["--help"], ["-h"]) and _columns() >= _HELP_COLUMNS:
        from simko.cli.help import HELP

        sys.stdout.write(HELP)
        return
    from simko.run.signals import leave_quietly

    leave_quietly()  # a signal while the commands load
    from simko.cli import commands

    commands.main()


def _columns() -> int:
    """Of the terminal, or what a pipe is taken to have."""
    try:
        return int(os.environ["COLUMNS"]) if "COLUMNS" in os.environ else os.get_terminal_size(1).columns
    except (OSError, ValueError):
        return _HELP_COLUMNS


def __getattr__(name: str) -> Any:
    if name in ("app", "run"):
        from simko.cli import commands

        return getattr(commands, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
