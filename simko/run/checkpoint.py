"""One checkpoint on disk: `adapter/` (a plain PEFT folder), `optimizer.safetensors`, `state.json`, `SHA256SUMS`.

With state.json a resumed run goes on as if it had not been stopped. It holds the step, the settings that decide the updates,
and what the method carries from step to step. Randomness, tasks and verdicts need no state of their own: they are functions
of (seed, step, task, sample) and of the journal beside the checkpoints.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from simko.algorithms.compose import finite_state
from simko.algorithms.stats import State
from simko.config import TrainConfig, deciding
from simko.errors import UserError
from simko.files import digest, odd_file, whole_folder, write
from simko.run.places import may_move
from simko.types import Policy

FORMAT = 1
_SUMS, _OPTIMIZER, _STATE = "SHA256SUMS", "optimizer.safetensors", "state.json"
_DELETE = "delete this checkpoint to go on from the one before"
_LOWER = "lower --learning-rate in another run: the checkpoint before this one is intact"
_METHOD = "method.safetensors"  # tensors of the method's state, where it has any
_DERIVED = {
    "randomness": "every stream derives from (seed, step, task, sample); Python's, numpy's and torch's own from (seed, step)",
    "tasks": "those of a step derive from (seed, step): the next step is the cursor",
    "verdicts": "verdicts/<step>.jsonl beside the checkpoints has those of later steps",
}


def save_checkpoint(
    final: Path, step: int, config: TrainConfig, policy: Any, optimizer: torch.optim.Optimizer, state: State
) -> Path:
    """Write a checkpoint: complete under its name, or not there at all.

    Raises:
        UserError: a weight or an optimizer state is not finite; then nothing is written.
        OSError: the disk refuses.
    """
    tensors = optimizer_tensors(policy, optimizer)
    for name, tensor in [*policy.trainable_parameters(), *tensors.items()]:
        if not torch.isfinite(tensor).all():
            raise UserError(f"step {step}: {name} holds NaN or infinity, so it is not saved; {_LOWER}")
    if not finite_state(state):
        raise UserError(f"step {step}: the method's state holds NaN or infinity, so it is not saved; {_LOWER}")
    content = {
        "format": FORMAT,
        "step": step,
        "config": deciding(config),
        "method": {kind: _numbers(of_part) for kind, of_part in state.items()},
        **_DERIVED,
    }
    with whole_folder(final) as scratch:
        policy.save(scratch / "adapter")
        write(scratch / _OPTIMIZER, save(tensors))
        if of_method := _tensors(state):
            write(scratch / _METHOD, save(of_method))
        write(scratch / _STATE, (json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())
        files = sorted(path for path in scratch.rglob("*") if path.is_file())
        sums = "".join(f"{digest(path)}  {path.relative_to(scratch).as_posix()}\n" for path in files)
        write(scratch / _SUMS, sums.encode())
    return final


def damage(checkpoint: Path) -> str | None:
    """The first difference from SHA256SUMS, or None."""
    try:
        if odd := checkpoint if checkpoint.is_symlink() else odd_file(checkpoint):
            return f"{odd.name} is a link or a pipe"
        lines = (checkpoint / _SUMS).read_text(encoding="utf-8").splitlines()
        expected = {name: checksum for checksum, name in (line.split("  ", 1) for line in lines)}
        present = {path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if not path.is_dir()}
        if not {_OPTIMIZER, _STATE} <= set(expected):
            return f"its {_SUMS} is incomplete"
        for name in sorted(set(expected) | (present - {_SUMS})):
            if name not in expected:
                return f"{name} does not belong to the checkpoint"
            if name not in present:
                return f"{name} is missing"
            if digest(checkpoint / name) != expected[name]:
                return f"{name} is not what was saved"
    except (OSError, ValueError) as error:
        return f"{getattr(error, 'filename', None) or _SUMS} cannot be read"
    return None


def foreign(checkpoint: Path, config: TrainConfig) -> str | None:
    """Why an intact checkpoint belongs to another run or step than its place and `config` say, or None."""
    try:
        state: dict[str, Any] = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))
        number, step, saved = int(state.get("format", FORMAT)), int(state["step"]), dict(state.get("config", {}))
        if not finite_state(dict(state.get("method", {}))):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return f"its {_STATE} is not the state of a checkpoint"
    if number > FORMAT:
        return "a later version of simko wrote it"
    if checkpoint.name != f"step-{step:06d}":
        return f"it belongs to step {step}"
    now = json.loads(json.dumps(deciding(config)))
    for name in sorted(set(saved) & set(now)):
        if saved[name] != now[name] and not may_move(name, saved[name], now[name]):
            return f"it belongs to another run: its {name} is {saved[name]!s:.80}, config.yaml has {now[name]!s:.80}"
    return None


def restore(checkpoint: Path, policy: Any, optimizer: torch.optim.Optimizer) -> tuple[int, State]:
    """Load the optimizer of an intact checkpoint whose adapter the policy already has.

    Returns its step, and the method's state after it.

    Raises:
        UserError: the optimizer's file cannot be read, or does not fit the policy.
    """
    state = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))
    try:
        tensors = load_file(checkpoint / _OPTIMIZER)
    except (SafetensorError, OSError) as error:
        raise UserError(f"checkpoint {checkpoint}: {_OPTIMIZER} is not readable ({error}); {_DELETE}") from error
    for name, parameter in policy.trainable_parameters():
        keys = ("step", "exp_avg", "exp_avg_sq")
        moments = {key: tensors[f"{name}:{key}"] for key in keys if f"{name}:{key}" in tensors}
        if not moments:
            continue
        shapes = {"step": torch.Size(), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
        if {key: value.shape for key, value in moments.items()} != shapes:
            raise UserError(f"checkpoint {checkpoint}: {_OPTIMIZER} belongs to another adapter ({name}); {_DELETE}")
        is_finite = all(value.is_floating_point() and value.isfinite().all() for value in moments.values())
        if not is_finite or (moments["exp_avg_sq"] < 0).any():
            raise UserError(f"checkpoint {checkpoint}: {_OPTIMIZER} holds no state of AdamW ({name}); {_DELETE}")
        optimizer.state[parameter] = {
            key: value if key == "step" else value.to(parameter.device) for key, value in moments.items()
        }
    method = dict(state.get("method", {}))
    if (checkpoint / _METHOD).exists():
        for key, tensor in load_file(checkpoint / _METHOD).items():
            kind, name = key.split(".", 1)
            method.setdefault(kind, {})[name] = tensor
    return int(state["step"]), method


def _numbers(state: State) -> State:
    """The part's state without its tensors."""
    return {name: value for name, value in state.items() if not isinstance(value, torch.Tensor)}


def _tensors(state: State) -> dict[str, torch.Tensor]:
    """The tensors of the parts' states, as `<kind>.<name>`."""
    return {
        f"{kind}.{name}": value.detach().cpu().contiguous()
        for kind, of_part in state.items()
        for name, value in of_part.items()
        if isinstance(value, torch.Tensor)
    }


def optimizer_tensors(policy: Policy, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state on CPU, as `<weight>:<what>`."""
    return {
        f"{name}:{key}": value.detach().cpu().contiguous()
        for name, parameter in policy.trainable_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }
