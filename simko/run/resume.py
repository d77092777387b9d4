"""What decides a run, and what a resumed one may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simko import algorithms
from simko.config import TrainConfig, names
from simko.errors import UserError, nearest
from simko.run.folder import RunFolder


def resumed_config(run: RunFolder, overrides: Mapping[str, Any]) -> TrainConfig:
    """The config of `run` with `overrides`, none of which may decide the run's numbers.

    Raises:
        UserError: an unknown key, or a value that would make it another run.
    """
    old, name = run.config, run.config.algorithm
    of_config, of_method = names(TrainConfig), algorithms.settings(name, old.method)
    free = set(names(TrainConfig, False)) - {"out"}  # a run stays in its folder
    changes: dict[str, Any] = {}
    for key, value in overrides.items():
        if key == "out":
            before, after = run.path.resolve(), type(run.path)(value).resolve()
        elif key in of_config:
            before, after = getattr(old, key), getattr(replace(old, **{key: value}), key)
            changes[key] = after
        elif key in of_method:
            before = old.method.get(key, of_method[key]["default"])
            after = algorithms.get(name, **{**old.method, key: value}).settings[key]
        elif key in algorithms.KINDS:
            before, after = old.method.get(key, algorithms.own_parts(name)[key]), value
        else:
            raise UserError(f"config: unknown key '{key}'{nearest(key, [*of_config, *of_method])}")
        if after != before and key not in free:
            raise UserError(
                f"--resume {run.path}: --{key.replace('_', '-')} is {after}, the run has {before}; leave it out, "
                "or start another run with --config and --out"
            )
    return replace(old, **changes)
