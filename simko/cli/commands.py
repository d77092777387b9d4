"""The commands. Importing this loads neither torch nor transformers: commands import late.

Exit codes: 0 done, 1 a check failed or simko itself did, 2 the user's mistake (one line on stderr), 130 interrupted,
143 and 129 ended by SIGTERM and SIGHUP.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import typer

import simko
from simko.cli import (
    compare,
    complete,
    doctor,
    env,
    export,
    inspect,
    plan,
    recipes,
    report,
    results,
    runs,
    talk,
    verify,
    watch,
)  # fmt: skip
from simko.cli.help import dress, first_screen
from simko.cli.output import fail, flush, never_fail
from simko.console import note
from simko.errors import UserError
from simko.ranks import PeerError
from simko.run.signals import INTERRUPTED, TERMINATING, StopSignals, leave_quietly

__all__ = ["app", "main", "run"]

app = typer.Typer(
    help="Train a language model on tasks that a program can check. SimKO makes the first answer better, at less "
    "cost to the best of many.",
    epilog="Every command takes --help, and --debug for the traceback of an error.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]},
)
# The machine refuses: the disk or a quota is full, the place is read-only or forbidden.
_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
# Errors of the command line's own grammar. typer has moved this class between packages, but not its subclass.
_GrammarError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main() -> None:
    """The `simko` command."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    never_fail()
    code = run(sys.argv[1:])
    leave_quietly()
    flush()
    if code > 128:  # at once: after a KeyboardInterrupt in an `exec`, Python would change the exit code
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code. `--debug` counts wherever it stands."""
    debug, stop = "--debug" in arguments, StopSignals(TERMINATING)
    if "_SIMKO_COMPLETE" in os.environ:  # a shell asks; typer answers
        complete.attach(app)
    try:
        with stop:
            words = [*["--debug"] * debug, *(a for a in arguments if a != "--debug")]
            result = app(words, prog_name="simko", standalone_mode=False)
        return _interrupted(stop) if result == INTERRUPTED else result if isinstance(result, int) else 0
    except UserError as error:
        told = isinstance(error, PeerError) and error.told
        return 2 if told else _refuse(str(error), debug)
    except _GrammarError as error:
        return _refuse(f"{_told(error, arguments)}; see `{_command(arguments)} --help`", debug)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(stop)
    except (BrokenPipeError, SystemExit) as error:  # as in `simko env list | head`, of which typer makes an exit
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        return 128 + 13
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        return _refuse(
            f"{error.filename or 'the output'}: {error.strerror}; mend that, then go on with --resume where a run was under way",
            debug,
        )


def _interrupted(stop: StopSignals) -> int:
    """Say so, and return the exit code. (typer replaces the exception, so the signal is taken from `stop`.)"""
    if "SIMKO_LAUNCHER" not in os.environ and os.environ.get("RANK", "0") == "0":  # of several processes, one says it
        note("interrupted")
    return INTERRUPTED if stop.requested is None else 128 + stop.requested


def _refuse(line: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    fail(line)
    return 2


def _told(error: Any, arguments: Sequence[str]) -> str:
    """What is wrong with the command line. Of a word that stands behind a switch, click tells without naming the switch."""
    line = str(error.format_message()).rstrip(".")
    _, found, left = line.partition("Got unexpected extra argument(s) (")
    for flag, word in pairwise(arguments):
        if found and flag.startswith("-") and f"{left.removesuffix(')')} ".startswith(f"{word} "):
            return f"{flag} is a switch and takes no value; leave out '{word}'"
    return line


def _command(arguments: Sequence[str]) -> str:
    """The name of the command that was typed, up to the first word that is not a command."""
    place: Any = typer.main.get_command(app)
    name = "simko"
    for word in arguments:
        place = getattr(place, "commands", {}).get(word)
        if place is None:
            break
        name += f" {word}"
    return name


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"simko {simko.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="show the version"),
    debug: bool = typer.Option(False, "--debug", help="show the traceback of an error"),
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(first_screen(context))


runs.add_to(app)
recipes.add_to(app)
compare.add_to(app)
watch.add_to(app)
inspect.add_to(app)
plan.add_to(app)
env.add_to(app)
talk.add_to(app)
export.add_to(app)
results.add_to(app)
verify.add_to(app)
report.add_to(app)
doctor.add_to(app)
dress(app)
