"""What the cells of a comparison cost, as measured in its folder, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from statistics import median

from simko.compare.board import Board, Entry
from simko.compare.cells import Cell, Evaluation, Training, evaluation_settings, run_path
from simko.compare.plan import samples
from simko.errors import UserError
from simko.run.records import Records
from simko.run.tracker import duration

UNKNOWN = "unknown until the first run is done"


@dataclass(frozen=True)
class Costs:
    """Seconds, medians of what was measured; None or missing where nothing was.

    Attributes:
        step: of a training step, by arm.
        sample: of a sample in an evaluation.
        rollout: of a sample in training, which stands in for `sample` while no evaluation has run.
        start: of a process beside its steps or samples: loading, and writing.
    """

    step: dict[str, float] = field(default_factory=dict)
    sample: float | None = None
    rollout: float | None = None
    start: float = 0.0

    def of_training(self, arm: str, steps: int) -> float | None:
        """Seconds of so many steps: by the arm's own steps, else by those of all arms."""
        a_step = self.step.get(arm) or (median(self.step.values()) if self.step else None)
        return None if a_step is None else self.start + a_step * steps

    def of_samples(self, count: int) -> float | None:
        """Seconds of an evaluation of so many samples."""
        each = self.sample if self.sample is not None else self.rollout
        return None if each is None else self.start + each * count


def steps_done(board: Board, cell: Training) -> int:
    """Steps that the run of a cell has recorded."""
    try:
        return len(Records(run_path(board.folder, cell.arm, cell.seed)).metrics())
    except (UserError, OSError):
        return 0


def measured(board: Board, entries: Sequence[Entry], overheads: Sequence[float] = ()) -> Costs:
    """The costs that the folder shows; `overheads` are seconds that processes took beside their work."""
    by_arm: dict[str, list[float]] = {}
    each_rollout, each_sample = [], []
    for cell in (entry.cell for entry in entries if entry.state in ("done", "half")):
        if isinstance(cell, Training):
            config = board.plan.config(cell.arm, cell.seed)
            for line in _metrics(board, cell):
                if isinstance(rollout := line.get("seconds_rollout"), float):
                    by_arm.setdefault(cell.arm, []).append(rollout + (line.get("seconds_update") or 0.0))
                    each_rollout.append(rollout / (config.prompts_per_step * config.group_size))
        elif (result := board.result(cell)) is not None:
            each_sample.append(result.seconds / max(1, result.problems * _samples_a_problem(board, cell)))
    return Costs(
        {arm: median(seconds) for arm, seconds in by_arm.items()},
        median(each_sample) if each_sample else None,
        median(each_rollout) if each_rollout else None,
        median(overheads) if overheads else 0.0,
    )


def left(
    board: Board, entries: Sequence[Entry], costs: Costs, jobs: int, given_up: Collection[Cell] = ()
) -> float | None:
    """Seconds until all is done with so many jobs at once; None where nothing was measured yet."""
    seconds = [
        cost_of(board, entry.cell, costs) for entry in entries if entry.state != "done" and entry.cell not in given_up
    ]
    known = [each for each in seconds if each is not None]
    return None if len(known) < len(seconds) else sum(known) / max(1, min(jobs, len(seconds)))


def cost_of(board: Board, cell: Cell, costs: Costs) -> float | None:
    """Seconds that a cell still takes."""
    if isinstance(cell, Training):
        steps = board.plan.config(cell.arm, cell.seed).steps
        return costs.of_training(cell.arm, max(0, steps - steps_done(board, cell)))
    return costs.of_samples(answers_of(board, cell))


def answers_of(board: Board, cell: Cell) -> int:
    """Answers that a cell samples, from its beginning."""
    if isinstance(cell, Training):
        return samples(board.plan.config(cell.arm, cell.seed))
    sizes = board.plan.sizes
    problems = sizes.tuning_problems if cell.part == "tuning" else sizes.eval_problems
    return problems * _samples_a_problem(board, cell)


def summary(board: Board, entries: Sequence[Entry], costs: Costs, jobs: int, given_up: Collection[Cell] = ()) -> str:
    """`trainings 2/9, evaluations 3/24, left about 1 h 05 min`."""
    counts = []
    for what, kind in (("trainings", Training), ("evaluations", Evaluation)):
        states = [entry.state for entry in entries if isinstance(entry.cell, kind)]
        counts.append(f"{what} {states.count('done')}/{len(states)}")
    seconds = left(board, entries, costs, jobs, given_up)
    if all(entry.state == "done" for entry in entries):
        return ", ".join(counts)
    return ", ".join([*counts, f"left {UNKNOWN if seconds is None else f'about {duration(seconds)}'}"])


def _samples_a_problem(board: Board, cell: Evaluation) -> int:
    return int(evaluation_settings(board.plan, cell, board.plan.common)["n"])


def _metrics(board: Board, cell: Training) -> list[dict[str, float]]:
    try:
        return Records(run_path(board.folder, cell.arm, cell.seed)).metrics()
    except (UserError, OSError):
        return []
