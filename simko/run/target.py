"""What an evaluation is of: a run folder or a model, and the settings that follow from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from simko.config import EvalConfig, TrainConfig
from simko.errors import UserError
from simko.run.folder import RunFolder, check_adapter

PAPER_TEMPERATURE, PAPER_TOP_P = 0.6, 0.95  # arXiv 2510.14807, evaluation
_OF_THE_ENVIRONMENT = (
    *("env", "data", "keep_good_rows", "level", "attempts", "template", "verifier"),
    *("max_prompt_tokens", "max_new_tokens"),
)


@dataclass(frozen=True)
class Target:
    """What an evaluation is of: model and environment settings, the adapter's folder, and the run behind it."""

    settings: TrainConfig
    run: RunFolder | None
    adapter: Path | None
    step: int | None


def resolve(config: EvalConfig, in_memory: bool = False) -> Target:
    """The run or model that `config.target` names, with the settings of `config` over the run's own.

    With `in_memory` a run needs no checkpoint. An adapter inside a run folder brings the run's training prompts with it.

    Raises:
        UserError: no such folder, a run without a checkpoint or with a damaged one, a model without an environment, or
            `config.best` of something that has no best checkpoint.
    """
    if config.best:
        _check_best(config)
    given = {name: value for name in _OF_THE_ENVIRONMENT if (value := getattr(config, name)) is not None}
    given |= {} if config.quantization is None else {"quantization": config.quantization}
    given |= {"device": config.device, "gradient_checkpointing": False, "decode_weights": "auto", "cache_bytes": None}
    given |= {"threads": config.threads} if config.threads else {}
    adapter = None if config.adapter is None else check_adapter(config.adapter)
    if RunFolder.is_run(config.target):
        run = RunFolder.open(config.target)
        if config.env not in (None, run.config.env):  # what belongs to the run's environment means nothing in another
            own = dict.fromkeys(("data", "level", "verifier", "max_prompt_tokens", "max_new_tokens"))
            given = own | {"attempts": 1, "keep_good_rows": False} | given
        adapter = adapter or run.adapter(best=config.best)
        if adapter is None and not in_memory:
            raise UserError(
                f"eval: run {config.target} has no checkpoint yet; evaluate its model '{run.config.model}' itself, "
                f"or train on with `simko train --resume {config.target}`"
            )
        return Target(replace(run.config, **given), run, adapter, _step(adapter))
    _check_model(config)
    settings = TrainConfig(**{"model": config.target, **given})
    return Target(settings, _run_around(adapter), adapter, _step(adapter))


def sampling_settings(config: EvalConfig, settings: TrainConfig) -> tuple[float, float]:
    """Temperature and top-p: the paper's, those asked for, or those of training.

    Raises:
        UserError: both were asked for, or a temperature at which all samples are the same.
    """
    if config.training_sampling:
        if config.temperature is not None or config.top_p is not None:
            raise UserError("eval: training_sampling fixes temperature and top_p; leave these out, or leave it out")
        return settings.temperature, 1.0
    temperature = PAPER_TEMPERATURE if config.temperature is None else config.temperature
    if temperature == 0 and config.n > 1:
        raise UserError(
            f"eval: temperature 0 gives the same answer {config.n} times; use -n 1 or a temperature above 0"
        )
    return temperature, PAPER_TOP_P if config.top_p is None else config.top_p


def _check_best(config: EvalConfig) -> None:
    if not RunFolder.is_run(config.target):
        raise UserError(f"eval: --best is for run folders, and {config.target} is not one; leave it out")
    if config.adapter is not None:
        raise UserError(f"eval: --best and --adapter {config.adapter} name two adapters; leave one out")


def _check_model(config: EvalConfig) -> None:
    path = Path(config.target)
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
        raise UserError(f"eval: a model is evaluated on an environment; give --env with '{config.target}'")


def _is_adapter(path: Path) -> bool:
    return (path / "adapter_config.json").is_file()


def _step(adapter: Path | None) -> int | None:
    """The step in the name of the checkpoint that an adapter lies in."""
    found = None if adapter is None else re.fullmatch(r"step-(\d+)", adapter.resolve().parent.name)
    return int(found[1]) if found else None


def _run_around(adapter: Path | None) -> RunFolder | None:
    """The run that an adapter is a checkpoint of: RUN/checkpoints/step-000025/adapter."""
    around = [] if adapter is None else list(adapter.resolve().parents)[:3]
    return RunFolder.open(around[2]) if len(around) == 3 and RunFolder.is_run(around[2]) else None
