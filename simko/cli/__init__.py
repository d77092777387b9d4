"""The command line. Everything but its start is in `simko.cli.commands`."""

from __future__ import annotations

from typing import Any


def main() -> None:
    """The `simko` command."""
    from simko.run.signals import leave_quietly

    leave_quietly()  # a signal while the commands load ends the process without a traceback
    from simko.cli import commands

    commands.main()


def __getattr__(name: str) -> Any:
    if name in ("app", "run"):
        from simko.cli import commands

        return getattr(commands, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
