"""`watch`: a run, or the runs of a comparison, from another terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from simko.cli.output import terminal
from simko.console import note
from simko.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from simko.report.terminal.state import State

EPILOG = (
    "It reads the folder alone, and changes nothing in it. Ctrl-C ends the watching, never the run. What the names mean, and "
    "when to worry: docs/reference/metrics.md."
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog=EPILOG)(watch)


def watch(
    run: str = typer.Argument(metavar="RUN", help="run folder, or folder of a comparison; it may not be there yet"),
    once: bool = typer.Option(False, "--once", help="print the present state and stop"),
    as_json: bool = typer.Option(
        False, "--json", help="print one JSON object a line for each new step, and one at the end"
    ),
    every: float = typer.Option(1.0, "--every", metavar="SECONDS", min=0.05, help="time between two looks"),
) -> None:
    """Watch a run: progress, learning, concentration, alarms.

    Without a terminal the present state is printed once; --json follows.
    """
    from simko.report.terminal.runs import Runs

    path = Path(run).expanduser()
    of_runs = Runs.is_comparison(path)
    if once and not path.exists():
        raise UserError(f"{path}: no such folder; leave --once out to wait for it")
    if as_json:
        events = _runs_events(path, once) if of_runs else _events(path, once)
        _print(events, every)
        return
    console = terminal()
    frames = _runs_frames(path, console) if of_runs else _frames(path, console)
    if once or not console.is_terminal:
        if not once:
            note("no terminal: this is the present state; --json follows the run")
        console.print(_latest(frames))
        return
    _live(frames, console, every)


Frame = tuple["RenderableType", bool, bool]
"""What is drawn, whether the run has ended, and whether more can be read at once."""


def _latest(frames: Iterator[Frame]) -> RenderableType:
    for drawn, _, more in frames:
        if not more:
            return drawn
    raise AssertionError("frames have no end")


def _live(frames: Iterator[Frame], console: Console, every: float) -> None:
    """Draw on a screen of its own until the run ends; then leave the last state on the usual one."""
    from rich.live import Live

    drawn: Any = None
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        for drawn, ended, more in frames:
            live.update(drawn, refresh=True)
            if ended and not more:
                break
            if not more:
                time.sleep(every)
    console.print(drawn)


def _frames(path: Path, console: Console) -> Iterator[Frame]:
    from simko.report.terminal.dashboard import dashboard

    for state, history, lines, more in _looks(path):
        history.extend(lines)
        yield dashboard(state, history, console), state.ended, more


def _runs_frames(path: Path, console: Console) -> Iterator[Frame]:
    from simko.report.terminal.runs import Runs, runs_view

    runs = Runs(path)
    while True:
        listed = runs.look()
        yield runs_view(path, listed, runs.planned(), console), not runs.goes_on(listed), runs.more


def _looks(path: Path) -> Iterator[tuple[State, Any, list[Any], bool]]:
    """State, history, and each new step with its alarms, at each look, without an end.

    The state is read before the steps: a run that has ended has no later ones.
    """
    from simko.report.terminal.follow import MetricsFile
    from simko.report.terminal.history import History
    from simko.report.terminal.state import RunReader

    reader, file, history = RunReader(path), MetricsFile(path / "metrics.jsonl"), History()
    while True:
        state = reader.state()
        news = file.look()
        if news.restarted:
            history = History()
        yield state, history, news.lines, news.more


def _events(path: Path, once: bool) -> Iterator[dict[str, Any] | None]:
    from simko.report.terminal.events import Steps, state_event, step_event

    steps = Steps()
    for state, history, lines, more in _looks(path):
        for line in lines:
            sounding = history.add(line)
            if steps.is_new(line) and not once:
                yield step_event(state, history, sounding)
        if not more and (once or state.ended):
            yield state_event(state, history, "state" if once else "end")
            return
        if not more:
            yield None


def _runs_events(path: Path, once: bool) -> Iterator[dict[str, Any] | None]:
    from simko.report.terminal.events import runs_event
    from simko.report.terminal.runs import Runs

    runs, before = Runs(path), None
    while True:
        listed = runs.look()
        if runs.more:
            continue
        ended = not runs.goes_on(listed)
        event = runs_event(listed, runs.planned(), "state" if once else "end" if ended else "runs")
        if event != before:
            yield event
        if once or ended:
            return
        before = event
        yield None


def _print(events: Iterable[dict[str, Any] | None], every: float, pause: Callable[[float], None] = time.sleep) -> None:
    """A line for each event; None waits for the next look."""
    from simko.report.terminal.events import as_line

    for event in events:
        if event is None:
            pause(every)
        else:
            typer.echo(as_line(event))
