"""From what a user gave to the resolved config: defaults, the preset of `tiny`, then YAML keys, flags or keywords."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from simko import algorithms
from simko.config import TrainConfig
from simko.errors import UserError, nearest

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
TINY_METHOD_PRESET: dict[str, dict[str, Any]] = {"simko": {"alpha": 0.2, "top1_penalty": 1.2}}


def train_config(overrides: Mapping[str, Any]) -> TrainConfig:
    """The resolved config: defaults, the preset of `model: tiny`, then `overrides` (flat, method settings among them).

    `method` holds every setting of the method, typed, so that a stored config means the same whatever later defaults are.

    Raises:
        UserError: an unknown key (with the nearest name), a wrong type, a value out of bounds.
    """
    given = dict(overrides)
    name = given.get("algorithm", TrainConfig.__dataclass_fields__["algorithm"].default)
    own = algorithms.settings(name)
    known = [f.name for f in fields(TrainConfig)]
    method = given.pop("method", None) or {}
    if not isinstance(method, Mapping):
        raise UserError(f"config: method is {method!r}; it must be a mapping of {name}'s settings")
    method = dict(method)
    for key in [key for key in given if key not in known]:
        if key not in own:
            raise UserError(f"config: unknown key '{key}'{nearest(key, [*known, *own])}")
        method[key] = given.pop(key)
    base: dict[str, Any] = {}
    if given.get("model", "tiny") == "tiny":
        base = TINY_PRESET
        method = {**TINY_METHOD_PRESET.get(name, {}), **method}
    config = TrainConfig(**{**base, **given, "method": method})
    resolved = algorithms.get(config.algorithm, **config.method)
    return replace(config, method={key: getattr(resolved, key) for key in own})
