"""What decides a run, and what a resumed one may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from simko import algorithms
from simko.config import TrainConfig, may_change
from simko.errors import UserError, nearest
from simko.run.folder import RunFolder


def resumed_config(run: RunFolder, overrides: Mapping[str, Any]) -> TrainConfig:
    """The config of `run` with what may change about it.

    Raises:
        UserError: an unknown key, or a value that would make it another run.
    """
    old, name = run.config, run.config.algorithm
    known, own = [f.name for f in fields(TrainConfig)], algorithms.settings(name)
    changes: dict[str, Any] = {}
    for key, value in overrides.items():
        if key == "out":
            before, after = run.path.resolve(), type(run.path)(value).resolve()
        elif key in known:
            before, after = getattr(old, key), getattr(replace(old, **{key: value}), key)
            changes[key] = after
        elif key in own:
            before = old.method.get(key, own[key]["default"])
            after = getattr(algorithms.get(name, **{key: value}), key)
        else:
            raise UserError(f"config: unknown key '{key}'{nearest(key, [*known, *own])}")
        if after != before and not may_change(key):
            raise UserError(
                f"--resume {run.path}: --{key.replace('_', '-')} is {after}, the run has {before}; leave it out, "
                "or start another run with --config and --out"
            )
    return replace(old, **changes)
