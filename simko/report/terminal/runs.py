"""The runs of a comparison's folder, and how each stands: `OUT/plan.yaml`, `OUT/runs/ARM/seed-S`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, RenderableType
from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from simko.config import read_yaml
from simko.console import duration, one_line
from simko.errors import UserError
from simko.files import is_locked
from simko.report.terminal.dashboard import GLOSSARY, STATUS_STYLES
from simko.report.terminal.follow import MetricsFile
from simko.report.terminal.history import History
from simko.report.terminal.numbers import percent, short
from simko.report.terminal.state import RunReader, State

_SEED = re.compile(r"seed-(\d{1,9})")
_MOST_RUNS = 200


@dataclass
class RunOf:
    """A run of an arm and a seed."""

    arm: str
    seed: int
    reader: RunReader
    file: MetricsFile
    history: History
    state: State


class Runs:
    """The runs of a folder, read again at each look. A run that has just appeared is added.

    Attributes:
        more: whether a look left something unread that can be read at once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.more = folder, False
        self._runs: dict[Path, RunOf] = {}

    @staticmethod
    def is_comparison(folder: Path) -> bool:
        """Whether a folder is that of a comparison."""
        return (folder / "plan.yaml").is_file() and not (folder / "config.yaml").exists()

    def look(self) -> list[RunOf]:
        """Every run, by arm and seed."""
        for arm, seed, path in sorted(_paths(self.folder))[:_MOST_RUNS]:
            if path not in self._runs:
                reader = RunReader(path)
                state = State(path, "waiting")
                self._runs[path] = RunOf(arm, seed, reader, MetricsFile(path / "metrics.jsonl"), History(), state)
        self.more = False
        for run in self._runs.values():
            try:
                run.state = run.reader.state()
            except UserError:
                continue
            news = run.file.look()
            run.history = History() if news.restarted else run.history
            run.history.extend(news.lines)
            self.more |= news.more
        return sorted(self._runs.values(), key=lambda run: (run.arm, run.seed))

    def goes_on(self, runs: Sequence[RunOf]) -> bool:
        """Whether a process works on the comparison or on one of its runs."""
        return is_locked(self.folder) or any(not run.state.ended and run.state.status != "waiting" for run in runs)

    def planned(self) -> int | None:
        """How many runs plan.yaml asks for; None if it does not say."""
        try:
            content = read_yaml(self.folder / "plan.yaml")
        except UserError:
            return None
        arms, seeds = content.get("arms"), content.get("seeds")
        count = len(seeds) if isinstance(seeds, list) else seeds
        return len(arms) * count if isinstance(arms, dict) and isinstance(count, int) and count < 10**6 else None


def _paths(folder: Path) -> list[tuple[str, int, Path]]:
    return [
        (arm.name, int(match[1]), entry)
        for arm in _folders(folder / "runs")
        for entry in _folders(arm)
        if (match := _SEED.fullmatch(entry.name))
    ]


def _folders(path: Path) -> list[Path]:
    """The folders in a folder, links left out; none if it cannot be read."""
    try:
        return [Path(entry.path) for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def runs_view(folder: Path, runs: Sequence[RunOf], planned: int | None, console: Console) -> RenderableType:
    """A line for each run: how it stands, how far it is, and what it reaches."""
    ended = sum(run.state.status == "finished" for run in runs)
    title = Text.assemble(
        (f"{ended} of {planned or len(runs)} runs finished", "bold green"), "  ", (one_line(str(folder)), "bold")
    )
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "right", "left", "right", "right", "right", "right", "left"):
        table.add_column(justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_row(
        *(Text(head, "dim") for head in ("arm", "seed", "status", "step", "left", "solved", "entropy", "alarms"))
    )
    for run in runs:
        history, state = run.history, run.state
        left = history.seconds_left(state.steps) if state.status == "running" else None
        table.add_row(
            Text(one_line(run.arm)[:30]), str(run.seed), Text(state.status, STATUS_STYLES[state.status]),
            f"{history.step}/{state.steps or '?'}", "" if left is None else duration(left),
            percent(history.last.get("solve_rate")), short(history.last.get("entropy")),
            Text(", ".join(dict.fromkeys(alarm.name for alarm in history.alarms)), "red"),
        )  # fmt: skip
    return Lines(title, Text(), table, Text(), Text(f"what the names mean: {GLOSSARY}", "dim"))
