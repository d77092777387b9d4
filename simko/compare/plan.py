"""The plan of a comparison: a study whose arms are resolved and checked, and the file `plan.yaml` that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import yaml

from simko import algorithms
from simko.compare.study import Sizes, Study, arm_name, candidates, content_of, read_study
from simko.config import EnvironmentSettings, TrainConfig, deciding, names
from simko.errors import UserError, nearest
from simko.files import write_atomically
from simko.run.places import absolute
from simko.settings import train_config

PLAN = "plan.yaml"
CONTROL, CONTROL_CHANCE = "random_rewards", 0.5
_CELL = {"logger": "none", "preflight_prompts": 0}  # the settings of a cell that nobody has chosen
_SHARED = [*names(EnvironmentSettings, True, "run"), "model", "quantization", "adapter"]


@dataclass(frozen=True)
class Plan:
    """A study that can be run. `arms` are those that are trained: of a sweep, its candidates."""

    study: Study

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds, in the order in which they are run."""
        return self.study.seeds

    @property
    def is_sweep(self) -> bool:
        """Whether arms have settings to choose from, and only tuning problems are used."""
        return bool(self.study.grids)

    @cached_property
    def sizes(self) -> Sizes:
        """How it evaluates."""
        return Sizes(**self.study.sizes)

    @cached_property
    def arms(self) -> dict[str, TrainConfig]:
        """The config of each arm, with the first seed. Raises `UserError` for a setting that no arm knows, or that is wrong."""
        arms = self.study.arms
        if self.is_sweep:
            arms = {name: arm for of_arm in candidates(self.study).values() for name, arm in of_arm.items()}
        unknown = set(self.study.common)
        configs = {}
        for name, arm in arms.items():
            try:
                settings = self._settings(arm)
                unknown -= set(settings)
                configs[name] = absolute(train_config({**settings, "seed": self.seeds[0], "eval_problems": 0}))
            except UserError as error:
                raise UserError(f"arm {name}: {str(error).removeprefix('config: ')}") from error
        if unknown:
            key = min(unknown)
            raise UserError(f"config: unknown key '{key}'{nearest(key, names(TrainConfig))}; no arm has such a setting")
        return configs

    @property
    def common(self) -> TrainConfig:
        """The config of the first arm: its model, environment and number of steps are those of all."""
        return next(iter(self.arms.values()))

    def config(self, arm: str, seed: int) -> TrainConfig:
        """What is trained in a cell. Its folder is left open."""
        return replace(self.arms[arm], seed=seed)

    def _settings(self, arm: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of an arm: a common one of another method is left out."""
        settings = {**_CELL, **self.study.common, **arm}
        name = str(settings.get("algorithm", TrainConfig().algorithm))
        known = {*names(TrainConfig), *algorithms.settings(name, settings), *algorithms.KINDS}
        settings = {key: value for key, value in settings.items() if key in known or key in arm}
        if "threads" not in settings and _on_cpu(str(settings.get("device", "auto"))):
            settings["threads"] = 1  # another number of threads rounds in another way
        return settings


def checked_plan(study: Study, before: Plan | None = None) -> Plan:
    """The plan of a study. It extends the plan `before` of the same folder.

    Raises:
        UserError: there is no arm or no seed; a setting is wrong; arms differ in what all must share; an arm of `before` would
            change.
    """
    if not study.arms:
        raise UserError("there is no arm; name methods, as --algorithms grpo,simko, or a study, as --config FILE")
    if not study.seeds:
        study = replace(study, seeds=(0,))
    plan = Plan(with_control(study))
    _refuse_different(plan)
    if before is not None:
        _refuse_changed(plan, before)
    return plan


def with_control(study: Study) -> Study:
    """The study with its random-reward control: the arm `grpo`, or the first, rewarded by a coin.

    Where nobody has said whether there is one, a comparison of two methods or more has it, and a sweep has none.
    """
    has = any(arm.get("random_rewards") is not None for arm in (study.common, *study.arms.values()))
    wanted = study.random_control
    if wanted is None:
        wanted = len(study.arms) > 1 and not study.grids
    if not wanted or has or study.grids:
        return study
    like = study.arms.get("grpo", next(iter(study.arms.values())))
    arms = {**study.arms, CONTROL: {**like, "random_rewards": CONTROL_CHANCE}}
    return replace(study, arms=arms)


def named_arms(text: str) -> dict[str, dict[str, str]]:
    """`grpo,simko:logic` as arms by name."""
    methods = [method.strip() for method in text.split(",")]
    return {arm_name(method.replace(":", "-")): {"algorithm": method} for method in methods}


def read_plan(folder: Path) -> Plan | None:
    """The plan in a folder, or None. Raises `UserError` if it is damaged."""
    path = folder / PLAN
    return Plan(read_study(str(path), typed=True)) if path.is_file() else None


def write_plan(folder: Path, plan: Plan) -> None:
    """Write plan.yaml, which is a study file too. Raises `OSError`."""
    text = yaml.safe_dump(content_of(plan.study), sort_keys=False, allow_unicode=True)
    write_atomically(folder / PLAN, f"# A study: simko compare --config THIS_FILE --out ANOTHER_FOLDER\n{text}")


def _refuse_different(plan: Plan) -> None:
    """Raise `UserError` if arms differ in environment, model or budget: they would not be compared in one table."""
    first, config = next(iter(plan.arms.items()))
    for name, other in plan.arms.items():
        for key in _SHARED:
            if getattr(config, key) != getattr(other, key):
                raise UserError(
                    f"arm {name}: {key} is {getattr(other, key)}, and that of {first} is {getattr(config, key)}; compare it "
                    "in another folder, as arms share environment and model"
                )
        if samples(other) != samples(config) or other.steps != config.steps:
            raise UserError(
                f"arm {name}: {other.steps} steps of {other.prompts_per_step} x {other.group_size} answers, and {first} has "
                f"{config.steps} of {config.prompts_per_step} x {config.group_size}; give them equal steps and answers"
            )


def samples(config: TrainConfig) -> int:
    """Answers that a run samples to train on, in all; a method that samples more on its way is not counted."""
    return config.steps * config.prompts_per_step * config.group_size


def _refuse_changed(plan: Plan, before: Plan) -> None:
    if plan.is_sweep != before.is_sweep:
        kind = "sweep" if before.is_sweep else "comparison"
        raise UserError(f"the folder holds a {kind}; give another --out")
    for name, old in before.arms.items():
        if name not in plan.arms:
            raise UserError(f"arm {name} is in the folder's {PLAN}, and the new grid lacks it; give another --out")
        if changed := difference(deciding(old), deciding(plan.arms[name])):
            raise UserError(
                f"arm {name}: {changed} now; an arm keeps its settings: give the new one another name, or another --out"
            )
    if plan.common.steps < before.common.steps:
        raise UserError(
            f"steps is {plan.common.steps}, and the folder's {PLAN} has {before.common.steps}; runs can only grow: raise "
            "--steps, or give another --out"
        )


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The first setting that differs, as `alpha is 0.2, and it is 0.5`; empty if none does. The seed does not count."""
    before, after = ({**side, **side.get("method", {})} for side in (before, after))
    for key in [*before, *(key for key in after if key not in before)]:
        if key not in ("seed", "method") and before.get(key) != after.get(key):
            return f"{key} was {before.get(key)}, and it is {after.get(key)}"
    return ""


def _on_cpu(device: str) -> bool:
    return device == "cpu" or (device == "auto" and not torch.cuda.is_available())
