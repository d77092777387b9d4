"""The command that repeats a run, written out."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from simko.config import TrainConfig, as_dict, names
from simko.errors import UserError
from simko.settings import train_config

_AFTER = (
    "eval_problems",
    "eval_samples",
    "eval_temperature",
    "eval_top_p",
)  # change no weight, but the card shows them
_START = ("model", "env", "algorithm", "steps", "seed")  # always named, and first


def train_command(config: TrainConfig) -> str:
    """`simko train` with a flag for each setting that decides the run and is not its default.

    Of a path only the name is shown: a card is for others, who have the file elsewhere.
    """
    paths = {entry.name for entry in fields(TrainConfig) if entry.metadata.get("path")}
    own, usual = as_dict(config), _usual(config)
    decides = {*names(TrainConfig, True, "run"), *_AFTER}
    words = ["simko", "train"]
    for name in [*_START, *(name for name in own if name not in (*_START, "method"))]:
        value = own[name]
        if name in _START or (name in decides and value != usual.get(name, value)):
            words += _flag(name, Path(value).name if name in paths and _is_local(value) else value)
    for name, value in config.method.items():
        if value != usual["method"].get(name):
            words += _flag(name, value)
    return shlex.join(words)


def _usual(config: TrainConfig) -> dict[str, Any]:
    """The settings of a run of which only model and method were named."""
    try:
        usual = as_dict(train_config({"model": config.model, "algorithm": config.algorithm}))
    except UserError:  # a method of a module that is not here
        usual = {"method": {}}
    return {name: None for name in names(TrainConfig)} | usual


def _flag(name: str, value: Any) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    return [flag, str(value)]


def _is_local(value: Any) -> bool:
    return isinstance(value, str) and (
        Path(value).is_absolute() or value.startswith((".", "~")) or Path(value).exists()
    )
