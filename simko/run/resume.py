"""What decides a run, and what a resumed one may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simko import algorithms
from simko.config import TrainConfig, names
from simko.errors import UserError, nearest
from simko.run.folder import RunFolder
from simko.run.manifest import file_hash
from simko.run.places import check_places, data_path, may_move, placed

_PLANNED: dict[str, Any] = {
    "micro_batch_tokens": None, "gradient_checkpointing": None, "cache_bytes": None, "decode_weights": "auto",
}  # fmt: skip


def resumed_config(run: RunFolder, overrides: Mapping[str, Any]) -> TrainConfig:
    """The config of `run` with `overrides`, none of which may decide the run's numbers.

    Another place of the same model or data is no other run: weights and files are compared by their hashes. With another
    `memory`, what the planner chose is planned anew.

    Raises:
        UserError: an unknown key, a value that would make it another run, or a model or data that are not there.
    """
    old, name = run.config, run.config.algorithm
    of_config, of_method = names(TrainConfig), algorithms.settings(name, old.method)
    free = set(names(TrainConfig, False)) - {"out"}  # a run stays in its folder
    changes: dict[str, Any] = {}
    for key, value in overrides.items():
        if key == "out":
            before, after = run.path.resolve(), type(run.path)(value).expanduser().resolve()
        elif key in of_config:
            before, after = getattr(old, key), getattr(replace(old, **{key: value}), key)
            if after != before and may_move(key, before, after):
                after = placed(key, after)
                before = after if after == placed(key, before) or _same_content(run, key, after) else before
            changes[key] = after
        elif key in of_method:
            before = old.method.get(key, of_method[key]["default"])
            after = algorithms.get(name, **{**old.method, key: value}).settings[key]
        elif key in algorithms.KINDS:
            before, after = old.method.get(key, algorithms.own_parts(name)[key]), value
        else:
            raise UserError(f"config: unknown key '{key}'{nearest(key, [*of_config, *of_method])}")
        if after != before and key not in free:
            raise UserError(f"--resume {run.path}: {_refusal(run, key, before, after)}")
    if changes.get("memory", old.memory) != old.memory:
        changes = {**_PLANNED, **changes}
    config = replace(old, **changes)
    check_places(config, f"--resume {run.path}")
    return config


def _same_content(run: RunFolder, key: str, place: Any) -> bool:
    """Whether a model or a data file at a new place is what the run began with, by its hash."""
    if key == "model":
        from simko.agents.fingerprint import of_model
        from simko.agents.loading import find_model

        stored = run.weights_sha256()
        return stored is not None and of_model(find_model(place).location) == stored
    at_place: dict[str, Any] = {key: place}
    stored, moved = run.manifest().get("data_sha256"), data_path(replace(run.config, **at_place))
    return key in ("data", "env") and stored is not None and file_hash(moved) == stored


def _refusal(run: RunFolder, key: str, before: Any, after: Any) -> str:
    flag = "--" + key.replace("_", "-")
    why = f"{flag} is {after}, the run has {before}"
    if key == "model" and run.weights_sha256() is not None:
        why = f"{flag} is {after}, whose weights are not those of {before}"
    return f"{why}; leave it out, or start another run with --config and --out"
