"""The run folder or model that an evaluation measures, and the settings that follow from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

from simko.config import (
    EnvironmentSettings,
    EvalConfig,
    SamplingSettings,
    TrainConfig,
    TrainEnvironment,
    UpdateSettings,
    names,
)
from simko.errors import UserError
from simko.run.folder import RunFolder, check_adapter
from simko.run.places import check_places
from simko.types import Sampling

_ENGINE = ("engine", "engine_url", "engine_adapter_folder")
PAPER_TEMPERATURE, PAPER_TOP_P = 0.6, 0.95  # arXiv 2510.14807, evaluation


@dataclass(frozen=True)
class Target:
    """What an evaluation measures: model and environment settings, the adapter's folder, and the run behind it."""

    settings: TrainConfig
    run: RunFolder | None
    adapter: Path | None
    step: int | None


def resolve(config: EvalConfig, in_memory: bool = False) -> Target:
    """The run or model that `config.target` names, with the settings of `config` over the run's own.

    With `in_memory` a run needs no checkpoint. An adapter inside a run folder brings the run's training prompts with it.

    Raises:
        UserError: no such folder, a run without a checkpoint or with a damaged one, a model or data that are not where they
            were, a model without an environment, or `config.best` of something that has no best checkpoint.
    """
    if config.best:
        _check_best(config)
    changes = {name: value for name in names(EnvironmentSettings) if (value := getattr(config, name)) is not None}
    changes |= {name: value for name in ("quantization", "model") if (value := getattr(config, name)) is not None}
    changes |= {"device": config.device, "gradient_checkpointing": False, "decode_weights": "auto", "cache_bytes": None}
    changes |= {"threads": config.threads} if config.threads else {}
    changes |= {name: value for name in _ENGINE if (value := getattr(config, name)) is not None}
    adapter = None if config.adapter is None else check_adapter(config.adapter)
    if RunFolder.is_run(config.target):
        run = RunFolder.open(config.target)
        if config.env not in (None, run.config.env):  # the run's own mean nothing in another environment; prompts stay
            changes = {
                entry.name: entry.default for entry in fields(TrainEnvironment) if entry.name != "template"
            } | changes
        adapter = adapter or run.adapter(best=config.best)
        if adapter is None and not in_memory:
            raise UserError(
                f"eval: run {config.target} has no checkpoint yet; evaluate its model '{run.config.model}' itself, "
                f"or train on with `simko train --resume {config.target}`"
            )
        settings = replace(run.config, **changes)
        if not in_memory:
            check_places(settings, f"eval: run {config.target}")
        return Target(settings, run, adapter, _step(adapter))
    _check_model(config)
    settings = TrainConfig(**{"model": config.target, **changes})
    return Target(settings, _run_around(adapter), adapter, _step(adapter))


def sampling_settings(config: SamplingSettings, trained: UpdateSettings) -> Sampling:
    """Temperature and top-p: the paper's, those that `config` asks for, or those of training.

    Raises:
        UserError: `config` asks for both, or for a temperature at which all samples are the same.
    """
    if config.training_sampling:
        if config.temperature is not None or config.top_p is not None:
            raise UserError("eval: training_sampling fixes temperature and top_p; leave these out, or leave it out")
        return Sampling(trained.temperature)
    temperature = PAPER_TEMPERATURE if config.temperature is None else config.temperature
    if temperature == 0 and config.n > 1:
        raise UserError(
            f"eval: temperature 0 gives the same answer {config.n} times; use -n 1 or a temperature above 0"
        )
    return Sampling(temperature, PAPER_TOP_P if config.top_p is None else config.top_p)


def _check_best(config: EvalConfig) -> None:
    if not RunFolder.is_run(config.target):
        raise UserError(f"eval: --best is for run folders, and {config.target} is not one; leave it out")
    if config.adapter is not None:
        raise UserError(f"eval: --best and --adapter {config.adapter} name two adapters; leave one out")


def _check_model(config: EvalConfig) -> None:
    path = Path(config.target)
    if config.model is not None:
        raise UserError(
            f"eval: --model is for a run whose model has moved, and {config.target} is a model; leave one out"
        )
    if config.training_sampling:
        raise UserError(
            f"eval: training_sampling is that of a run, and {config.target} is a model; give --temperature and --top-p"
        )
    if path.is_dir() and not (path / "config.json").is_file():
        mend = (
            "give the model as target and this folder as --adapter"
            if _is_adapter(path)
            else "train a run, or give a model"
        )
        kind = "an adapter" if _is_adapter(path) else "neither a run nor a model (no config.yaml, no config.json)"
        raise UserError(f"eval: {path} is {kind}; {mend}")
    if not path.exists() and (config.target.startswith((".", "/", "~", "runs/")) or config.target.count("/") > 1):
        raise UserError(f"eval: there is no folder {path}; give a run folder, a model folder, a Hub id, or 'tiny'")
    if config.env is None and config.target != "tiny":
        raise UserError(f"eval: '{config.target}' is not a run folder; to evaluate it as a model, give --env too")


def _is_adapter(path: Path) -> bool:
    return (path / "adapter_config.json").is_file()


def _step(adapter: Path | None) -> int | None:
    """The step in the name of the checkpoint that holds an adapter."""
    match = None if adapter is None else re.fullmatch(r"step-(\d+)", adapter.resolve().parent.name)
    return int(match[1]) if match else None


def _run_around(adapter: Path | None) -> RunFolder | None:
    """The run whose checkpoint an adapter is part of: RUN/checkpoints/step-000025/adapter."""
    parents = [] if adapter is None else list(adapter.resolve().parents)[:3]
    return RunFolder.open(parents[2]) if len(parents) == 3 and RunFolder.is_run(parents[2]) else None
