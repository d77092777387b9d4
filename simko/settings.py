"""The resolved config: defaults, the preset of `tiny`, then what a user gave as YAML keys, flags or keywords."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

from simko import algorithms
from simko.config import TINY_LOSS_PRESET, TINY_PRESET, EvalConfig, TrainConfig, names
from simko.errors import UserError, nearest
from simko.fields import schema_of
from simko.recipes import About

# Settings that an adapter brings along: their keys in adapter_config.json, and PEFT's defaults.
_OF_ADAPTER = {"lora_rank": ("r", 8), "lora_alpha": ("lora_alpha", 8)}


def train_config(overrides: Mapping[str, Any]) -> TrainConfig:
    """The resolved config: defaults, the preset of `model: tiny`, then `overrides` (flat, method settings among them).

    `method` holds every setting of the method, typed: a stored config means the same when defaults change later.

    Raises:
        UserError: an unknown key (with the nearest name), a wrong type, a value out of bounds.
    """
    settings = dict(overrides)
    name = settings.get("algorithm", TrainConfig().algorithm)
    of_config = names(TrainConfig)
    method = settings.pop("method", None) or {}
    if not isinstance(method, Mapping):
        raise UserError(f"config: method is {method!r}; it must be a mapping of {name}'s settings")
    method = dict(method) | {key: settings.pop(key) for key in list(settings) if key not in of_config}
    of_method = [*algorithms.settings(name, method), *algorithms.KINDS]
    for key in method:
        if key not in of_method:
            raise UserError(f"config: unknown key '{key}'{nearest(key, [*of_config, *of_method])}")
    preset: dict[str, Any] = {}
    if settings.get("model", "tiny") == "tiny":
        preset = TINY_PRESET
        loss = method.get("loss") or algorithms.own_parts(name)["loss"]
        method = {**({} if algorithms.has_preset(name) else TINY_LOSS_PRESET.get(loss, {})), **method}
    config = TrainConfig(**{**preset, **settings, "method": method})
    parts: dict[str, Any] = {kind: method[kind] for kind in algorithms.KINDS if method.get(kind)}
    return settled(replace(config, method={**parts, **algorithms.of(config).settings}), set(settings))


def settled(config: TrainConfig, chosen: Collection[str] | None = None) -> TrainConfig:
    """The config of a new run as it is trained: an adapter brings its own rank and scale.

    `chosen` names the settings that somebody gave; None stands for those with another value than their default.

    Raises:
        UserError: a setting would be overridden by another, or have no effect.
    """
    if chosen is None:
        chosen = {entry.name for entry in fields(config) if getattr(config, entry.name) != entry.default}
    config = _of_adapter(config, chosen)
    if config.updates_per_batch > config.prompts_per_step:
        raise UserError(
            f"config: updates_per_batch is {config.updates_per_batch}, but a step has {config.prompts_per_step} prompts, and "
            "each update takes at least one; lower updates_per_batch or raise prompts_per_step"
        )
    if config.random_rewards is not None and config.attempts > 1:
        raise UserError(
            f"config: attempts is {config.attempts}, and between them the environment tells the real verdict, which "
            "random_rewards must hide; leave one of the two out"
        )
    check_end(config)
    return config


def check_end(config: TrainConfig) -> None:
    """Raise `UserError` for what would fail only when a run has begun, or is over: its logger, and its evaluation."""
    package = config.logger
    if package in ("wandb", "trackio") and package not in sys.modules and importlib.util.find_spec(package) is None:
        raise UserError(f"logger {package}: not installed; pip install 'simko[{package}]', or --logger none")
    if config.eval_problems and config.eval_temperature == 0 and config.eval_samples > 1:
        raise UserError(
            f"config: eval_temperature 0 gives the same answer {config.eval_samples} times; set eval_samples to 1, or raise "
            "eval_temperature"
        )
    if config.eval_every and config.eval_temperature == 0 and config.eval_every_samples > 1:
        raise UserError(
            f"config: eval_temperature 0 gives the same answer {config.eval_every_samples} times; set eval_every_samples to 1, "
            "or raise eval_temperature"
        )


def _of_adapter(config: TrainConfig, chosen: Collection[str]) -> TrainConfig:
    """`config` with rank and scale of the adapter that it continues from. An adapter that cannot be read is left to loading."""
    if config.adapter is None:
        return config
    path = Path(config.adapter) / "adapter_config.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        shape = {name: stored.get(key) or default for name, (key, default) in _OF_ADAPTER.items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        return config
    for name, value in shape.items():
        if name in chosen and getattr(config, name) not in (None, value):
            raise UserError(
                f"config: {name} is {getattr(config, name)}, but that of the adapter {config.adapter} is {value}; leave {name} "
                "out, or leave the adapter out"
            )
    whole: dict[str, Any] = {name: value for name, value in shape.items() if isinstance(value, int) and value > 0}
    return replace(config, **whole)


def schema(stage: Literal["train", "eval"] = "train") -> dict[str, Any]:
    """The JSON schema of a YAML file for `simko train --config` or `simko eval --config`, by which editors help and check.

    A training file may hold the settings of any method, flat or under `method`.
    """
    content = schema_of(TrainConfig if stage == "train" else EvalConfig)
    content["properties"]["about"] = schema_of(About)
    if stage == "train":
        content["properties"] |= algorithms.schema()
        content["properties"]["method"] |= {"properties": algorithms.schema(), "additionalProperties": False}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}
