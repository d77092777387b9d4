"""One process at work on a comparison's folder: the plan is extended and written, cells are run, results are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from simko.compare.board import Board
from simko.compare.plan import PLAN, Plan, checked_plan, read_plan, write_plan
from simko.compare.results import write_results
from simko.compare.runner import Outcome, Runner
from simko.compare.study import Study, joined
from simko.compare.sweep import write_tuned
from simko.errors import UserError
from simko.files import clear_scratch, locked
from simko.run.folder import RunFolder
from simko.run.signals import StopSignals


@dataclass(frozen=True)
class Session:
    """What a call is asked for: the study, methods that become arms unless arms of their names are there, and how it is run."""

    folder: Path
    study: Study
    methods: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    jobs: int = 1
    budget_hours: float | None = None
    sweeps: bool = False
    reference: str = "grpo"

    def planned(self) -> Plan:
        """The plan, with what the folder has already. Raises `UserError`; see `checked_plan`."""
        if RunFolder.is_run(self.folder):
            raise UserError(f"{self.folder} is a run folder; give --out another folder, which may be a new one")
        before = read_plan(self.folder)
        study = joined(before.study, self.study) if before else self.study
        arms = {**study.arms, **{name: arm for name, arm in self.methods.items() if name not in study.arms}}
        plan = checked_plan(replace(study, arms=arms), before)
        if plan.is_sweep and not self.sweeps:
            raise UserError(
                "compare: the arms have grids to try; tune them with `simko sweep`, and compare the tuned.yaml that it writes"
            )
        if self.sweeps and not plan.is_sweep:
            raise UserError(
                "sweep: no arm has a grid; give `grid: {setting: [values]}` under each arm, or take `simko compare`"
            )
        return plan

    def run(self, say: Callable[[str], None]) -> tuple[Board, Outcome, dict[str, Any] | None]:
        """Run what is missing. Returns the content of results.json, too: None for a sweep, and while there is no result.

        Raises:
            UserError: the plan is refused, the folder is another process's or cannot be written.
            KeyboardInterrupt: somebody stopped it.
        """
        with _held(self.folder):
            plan = self.planned()
            clear_scratch(self.folder)
            write_plan(self.folder, plan)
            board = Board(self.folder, plan)
            budget = None if self.budget_hours is None else 3600 * self.budget_hours
            with StopSignals():
                outcome = Runner(board, say, self.jobs, budget, after_seed=partial(self._write, board)).run()
                return board, outcome, self._write(board)

    def _write(self, board: Board) -> dict[str, Any] | None:
        if board.plan.is_sweep:
            write_tuned(board)
            return None
        return write_results(board, self.reference)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make the folder and keep other processes out; a folder that stays empty is taken away again."""
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            yield
    except BlockingIOError as error:
        raise UserError(f"folder {folder} is in use by another process; wait for it or stop it") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{folder} is not a folder; give another --out") from error
    finally:
        if new and folder.is_dir() and not (folder / PLAN).exists() and not any(folder.iterdir()):
            folder.rmdir()
