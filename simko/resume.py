"""What decides a run, and what a resumed one may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from simko.config import TrainConfig
from simko.errors import UserError, nearest

if TYPE_CHECKING:
    from simko.checkpoint import RunFolder

MAY_CHANGE = frozenset(
    (
        *("steps", "device", "threads", "micro_batch_tokens", "checkpoint_every", "keep_checkpoints", "logger"),
        *("force", "preflight_prompts", "verifier_workers"),
        *("cache_bytes", "gradient_checkpointing", "memory", "burn_in", "decode_weights"),
    )
)
"""Settings that leave the update as it is: a resumed run may change them, and those that begin with `eval_`."""


def deciding(config: TrainConfig) -> dict[str, Any]:
    """The settings that decide the updates of a run."""
    return {k: v for k, v in asdict(config).items() if k != "out" and not may_change(k)}


def may_change(key: str) -> bool:
    """Whether a resumed run may have another value of this setting."""
    return key in MAY_CHANGE or key.startswith("eval_")


def resumed_config(run: RunFolder, overrides: Mapping[str, Any]) -> TrainConfig:
    """The config of `run` with what may change about it.

    Raises:
        UserError: an unknown key, or a value that would make it another run.
    """
    from simko import algorithms

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


def refuse_other_data(run: RunFolder, manifest: Mapping[str, Any]) -> None:
    """Raise `UserError` where the data file is not the one that the run began with; `manifest` is of now."""
    before, now = run.manifest().get("data_sha256"), manifest.get("data_sha256")
    if before and now != before:
        raise UserError(
            f"--resume {run.path}: {run.config.data} has changed since the run began; put the old file back, "
            "or start another run with --out"
        )
