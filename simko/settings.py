"""The resolved config: defaults, the preset of `tiny`, then what a user gave as YAML keys, flags or keywords."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from simko import algorithms
from simko.config import EvalConfig, TrainConfig, names
from simko.errors import UserError, nearest
from simko.fields import schema_of

# Tuned on the tiny policy's own problems by `python -m studies.tune_tiny`; the tables are in docs/tuning.md.
TINY_PRESET: dict[str, Any] = {
    "prompts_per_step": 32,
    "group_size": 16,
    "lora_rank": 32,
    "learning_rate": 5e-4,
    "steps": 150,
    "threads": 1,
    "eval_problems": 128,
    "eval_samples": 256,
    "eval_temperature": 1.0,
    "eval_top_p": 1.0,
}
TINY_LOSS_PRESET: dict[str, dict[str, Any]] = {"simko": {"alpha": 0.2, "top1_penalty": 1.2}}


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
    return replace(config, method={**parts, **algorithms.of(config).settings})


def schema(stage: Literal["train", "eval"] = "train") -> dict[str, Any]:
    """The JSON schema of a YAML file for `simko train --config` or `simko eval --config`, by which editors help and check.

    A training file may hold the settings of any method, flat or under `method`.
    """
    content = schema_of(TrainConfig if stage == "train" else EvalConfig)
    if stage == "train":
        content["properties"] |= algorithms.schema()
        content["properties"]["method"] |= {"properties": algorithms.schema(), "additionalProperties": False}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}
