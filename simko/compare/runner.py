"""The runner: cells in their order, some at once, until all are done, the budget is spent, or somebody stops it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from simko.compare.board import Board, Entry
from simko.compare.cells import Cell, Evaluation, Training, command, side_file
from simko.compare.costs import answers_of, measured, steps_done, summary
from simko.compare.jobs import Job, last_line, pause
from simko.console import one_line
from simko.files import write_atomically
from simko.run.tracker import duration

REFUSED = 2  # exit code of a user's mistake: another try would end in the same way


class Process(Protocol):
    """What the runner asks of a job; `simko.compare.jobs.Job` has it."""

    def poll(self) -> int | None: ...  # noqa: D102
    def stop(self) -> None: ...  # noqa: D102
    def wait(self) -> None: ...  # noqa: D102


Launch = Callable[[Sequence[str], Path], Process]


@dataclass(frozen=True)
class Outcome:
    """How it ended: cells that failed with the reason, and those that were not begun."""

    failed: dict[Cell, str]
    missing: list[Cell]
    out_of_budget: bool


@dataclass
class Runner:
    """Runs what is missing. `say` gets a line for each cell; `after_seed` is called when a seed is whole.

    `budget` is in seconds of `clock` from the start: when they are over no cell is begun, and those under way are finished.
    """

    board: Board
    say: Callable[[str], None]
    jobs: int = 1
    budget: float | None = None
    after_seed: Callable[[], object] = lambda: None
    launch: Launch = Job
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[], None] = pause
    _running: dict[Cell, tuple[Process, float]] = field(default_factory=dict)
    _failed: dict[Cell, str] = field(default_factory=dict)
    _overheads: list[float] = field(default_factory=list)

    def run(self) -> Outcome:
        """Run all cells that can be run.

        Raises:
            UserError: a run in the folder has other settings.
            KeyboardInterrupt: somebody stopped it; the jobs have saved what they have, and left.
        """
        began, spent, changed = self.clock(), False, True
        self.say(self._summary())
        try:
            while True:
                spent = self.budget is not None and self.clock() - began >= self.budget
                while changed and not spent and len(self._running) < self.jobs and (entry := self._next()):
                    self._start(entry)
                if not self._running:
                    break
                self.pause()
                ended = [cell for cell, (job, _) in self._running.items() if job.poll() is not None]
                changed = bool(ended)  # only then can another cell be begun; looking at all of them takes time
                for cell in ended:
                    self._finish(cell)
        except BaseException:
            self.stop()
            raise
        missing = [entry.cell for entry in self.board.entries() if entry.state != "done"]
        missing = [cell for cell in missing if cell not in self._failed]
        return Outcome(self._failed, missing, out_of_budget=spent and bool(missing))

    def stop(self) -> None:
        """End all jobs: each saves what it has."""
        for job, _ in self._running.values():
            job.stop()
        for job, _ in self._running.values():
            job.wait()

    def _next(self) -> Entry | None:
        """The first cell that can be begun."""
        for entry in self.board.entries():
            if entry.state in ("ready", "half") and entry.cell not in self._running and entry.cell not in self._failed:
                return entry
        return None

    def _start(self, entry: Entry) -> None:
        cell, log = entry.cell, side_file(self.board.folder, entry.cell, "log")
        words = command(self.board.folder, self.board.plan, cell, resume=entry.state == "half")
        at = (
            f" from step {steps_done(self.board, cell)}" if isinstance(cell, Training) and entry.state == "half" else ""
        )
        self.say(f"begun  {cell.name}{at}")
        self._running[cell] = self.launch(words, log), self.clock()

    def _finish(self, cell: Cell) -> None:
        job, began = self._running.pop(cell)
        code, seconds = job.poll(), self.clock() - began
        job.wait()
        log = side_file(self.board.folder, cell, "log")
        if code == REFUSED and isinstance(cell, Evaluation) and cell.choice == "prompt" and cell.part == "tuning":
            write_atomically(side_file(self.board.folder, cell, "refused"), last_line(log) + "\n")
            self.say(f"left out {cell.name}: {one_line(last_line(log))}")
        elif code != 0 or not self._is_done(cell):
            why = f"exit code {code}" if code else "it left no result"
            self._failed[cell] = f"{cell.name} failed ({why}: {one_line(last_line(log))[:200]}); see {log}"
            self.say(f"failed {self._failed[cell]}")
        else:
            if isinstance(cell, Evaluation) and (result := self.board.result(cell)):
                self._overheads.append(max(0.0, seconds - result.seconds))
            self.say(f"done   {cell.name} in {duration(seconds)}; {self._summary()}")
        if all(entry.state == "done" for entry in self.board.of_seed(cell.seed)):
            self.after_seed()

    def _is_done(self, cell: Cell) -> bool:
        return self.board.accept(cell) if isinstance(cell, Evaluation) else self.board.state(cell) == "done"

    def _summary(self) -> str:
        entries = self.board.entries()
        blocked = {*self._failed, *(e.cell for e in entries if e.state == "waiting" and self._is_blocked(e.cell))}
        costs = measured(self.board, entries, self._overheads)
        return summary(self.board, entries, costs, self.jobs, blocked)

    def _is_blocked(self, cell: Cell) -> bool:
        return Training(cell.arm, cell.seed) in self._failed


def plan_lines(board: Board) -> list[list[str]]:
    """For `--dry-run`: each cell that is missing, its state, and the answers that it samples."""
    missing = [entry for entry in board.entries() if entry.state != "done"]
    return [[entry.cell.name, entry.state, f"{answers_of(board, entry.cell):,}"] for entry in missing]
