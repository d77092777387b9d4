"""The cells of a comparison: one run, or one evaluation, of one arm and one seed; where each lies, and the command that makes it.

runs/ARM/seed-S/               the run, and its evaluations in eval/
runs/ARM/seed-S.train.yaml     what the command of the cell was given, and beside it what it printed, in .log
base/seed-S/                   evaluations of the model before training, with the sampling streams of seed S
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from simko.compare.plan import Plan, difference
from simko.compare.study import BASE
from simko.config import UNSTORED, EnvironmentSettings, TrainConfig, as_dict, deciding, names
from simko.errors import UserError
from simko.files import write_atomically
from simko.run.folder import RunFolder
from simko.run.places import absolute

Part = Literal["tuning", "final"]


@dataclass(frozen=True)
class Training:
    """A run of `simko train`."""

    arm: str
    seed: int

    @property
    def name(self) -> str:
        """What a person reads."""
        return f"{self.arm}, seed {self.seed}: training"

    @property
    def stem(self) -> str:
        """The end of the names of its files."""
        return "train"


@dataclass(frozen=True)
class Evaluation:
    """An evaluation of an arm's run, or of the base model. Without a `template`, at the prompt of training.

    `temperature` is None, and so is the template of a strongest prompt, until it has been chosen on tuning problems.
    """

    arm: str
    seed: int
    part: Part
    temperature: float | None
    template: str | None = None
    choice: Literal["", "temperature", "prompt"] = ""

    @property
    def name(self) -> str:
        """What a person reads."""
        where = f"{self.arm}, seed {self.seed}: {self.part} problems at"
        if self.choice == "prompt":
            return f"{where} prompt {self.template or '(the strongest)'}"
        return f"{where} T {'(the best)' if self.temperature is None else f'{self.temperature:g}'}"

    @property
    def stem(self) -> str:
        """The end of the names of its files."""
        prompt = f"-{self.template}" if self.template else ""
        return f"{self.part}-t{self.temperature:g}{prompt}"


Cell = Training | Evaluation


def run_path(folder: Path, arm: str, seed: int) -> Path:
    """The run folder of an arm, or the folder of the base model's evaluations."""
    return folder / BASE / f"seed-{seed}" if arm == BASE else folder / "runs" / arm / f"seed-{seed}"


def side_file(folder: Path, cell: Cell, end: str) -> Path:
    """The cell's file beside its run: `yaml`, `log`, or `refused`."""
    path = run_path(folder, cell.arm, cell.seed)
    stem = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in cell.stem)
    return path.with_name(f"{path.name}.{stem}.{end}")


def progress_of(folder: Path, config: TrainConfig, arm: str) -> Literal["new", "half", "done"]:
    """How far the run of an arm and a seed is. Whoever trained it, it counts if what decides it is equal.

    Raises:
        UserError: the run there has other settings, or more steps.
    """
    path = run_path(folder, arm, config.seed)
    if not RunFolder.is_run(path):
        return "new"
    run = RunFolder.open(path)
    there = absolute(run.config)
    if changed := difference(deciding(there), deciding(config)):
        raise UserError(f"run {path}: {changed} in the comparison; move the run away, or give another --out")
    if there.seed != config.seed:
        raise UserError(f"run {path}: its seed is {there.seed}, and the folder says {config.seed}; move the run away")
    steps = [int(checkpoint.name.removeprefix("step-")) for checkpoint in run.checkpoints()]
    if max(steps, default=0) > config.steps:
        raise UserError(
            f"run {path}: it has {max(steps)} steps, and the comparison {config.steps}; move the run away, or raise --steps"
        )
    finished = run.manifest().get("status") == "finished" and config.steps in steps
    return "done" if finished else "half"


def command(folder: Path, plan: Plan, cell: Cell, resume: bool) -> list[str]:
    """What `simko` is called with for a cell. Writes the file of settings that it reads. Raises `OSError`."""
    path = run_path(folder, cell.arm, cell.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = side_file(folder, cell, "yaml")
    if isinstance(cell, Training):
        config = plan.config(cell.arm, cell.seed)
        if resume:
            return ["train", "--resume", str(path), "--steps", str(config.steps), *_typed(config)]
        content: dict[str, Any] = {key: value for key, value in as_dict(config).items() if key != "out"}
        words = ["train", "--config", str(settings), "--out", str(path)]
    else:
        config = plan.common if cell.arm == BASE else plan.config(cell.arm, cell.seed)
        content = evaluation_settings(plan, cell, config)
        target = str(path)
        if cell.arm == BASE:
            content |= _of_base(config, cell) | {"out": str(path)}
            target = config.model
        words = ["eval", target, "--config", str(settings)]
    write_atomically(settings, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return [*words, *_typed(config)]


def _typed(config: TrainConfig) -> list[str]:
    """The flags of what no file says."""
    words = ["--python", config.python] if config.python else []
    return [*words, "--unsafe-no-sandbox"] if config.unsafe_no_sandbox else words


def evaluation_settings(plan: Plan, cell: Evaluation, config: TrainConfig) -> dict[str, Any]:
    """The settings of `simko eval` that all evaluations share."""
    sizes, tuning = plan.sizes, cell.part == "tuning"
    return {
        "part": cell.part,
        "problems": sizes.tuning_problems if tuning else sizes.eval_problems,
        "n": sizes.tuning_samples if tuning else sizes.eval_samples,
        "problem_seed": sizes.problem_seed,
        "seed": cell.seed,
        "temperature": cell.temperature,
        "top_p": sizes.eval_top_p,
        "base": False,
        "device": config.device,
        "threads": config.threads,
    }


def _of_base(config: TrainConfig, cell: Evaluation) -> dict[str, Any]:
    """The model before training, in the environment of training."""
    keys = [*(name for name in names(EnvironmentSettings) if name not in UNSTORED), "quantization", "adapter"]
    content = {key: value for key in keys if (value := getattr(config, key)) is not None}
    return content | ({"template": cell.template} if cell.template else {})
