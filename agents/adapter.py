"""LoRA adapters: made from a seed, written to and read from plain PEFT folders."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from simko.agents import fingerprint as fingerprints
from simko.agents.quiet import quiet
from simko.errors import UserError
from simko.files import write

_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
_READ = ("r", "lora_alpha", "target_modules", "use_rslora", "rank_pattern", "alpha_pattern", "exclude_modules")
_REFUSED = (
    "use_dora",
    "modules_to_save",
    "trainable_token_indices",
    "layer_replication",
    "lora_bias",
    "target_parameters",
)


def add_adapter(model: nn.Module, config: LoraConfig, seed: int) -> Any:
    """Wrap `model` in a fresh adapter (A Kaiming-uniform, B zero), drawn from `seed` alone.

    The adapter is float32 if the model is in half precision. The global random state does not change.
    """
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    with quiet(), torch.random.fork_rng(devices=sorted(devices, key=str)):
        torch.manual_seed(seed)
        return get_peft_model(model, config, autocast_adapter_dtype=True)


def lora_config(name: str, rank: int, alpha: int | None, target_modules: str | Iterable[str]) -> LoraConfig:
    """Configure LoRA without dropout or bias on `target_modules`. `alpha` None is twice the rank."""
    if rank < 1:
        raise UserError(f"lora_rank is {rank}; it must be at least 1")
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,
        target_modules=target_modules if isinstance(target_modules, str) else sorted(target_modules),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
        base_model_name_or_path=name,
    )


def read_config(folder: str | os.PathLike[str], name: str) -> LoraConfig:
    """Read the configuration of the adapter in `folder`, to train it on the model called `name`.

    Raises:
        UserError: there is no adapter, it is not plain LoRA, or it was trained on another model of the Hub.
    """
    path = Path(folder) / _CONFIG
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        kind, base = stored["peft_type"], str(stored.get("base_model_name_or_path"))
    except FileNotFoundError as error:
        raise UserError(f"adapter '{folder}': no {_CONFIG} there; give a folder that simko or PEFT saved") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not the configuration of an adapter ({error})") from error
    refused = [key for key in _REFUSED if stored.get(key)]
    if stored.get("bias", "none") != "none":
        refused.append("bias")
    if kind != "LORA" or refused:
        raise UserError(f"{path}: only plain LoRA can be continued; this is {', '.join(refused) or kind}")
    _check_patterns(path, stored)
    # with a fingerprint beside it, the weights are compared and not the names; a folder's name tells nothing either
    has_fingerprint = (Path(folder) / fingerprints.BASE_FILE).is_file()
    if base != name and not has_fingerprint and not any(Path(p).expanduser().exists() for p in (base, name)):
        raise UserError(f"adapter '{folder}' was trained on '{base}', not on '{name}'; use that model")
    try:
        config = LoraConfig(
            **{key: stored[key] for key in _READ if stored.get(key) is not None},
            lora_dropout=0.0,
            bias="none",
            task_type="CAUSAL_LM",
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: not a LoRA configuration ({error})") from error
    config.base_model_name_or_path = name
    return config


def _check_patterns(path: Path, stored: dict[str, Any]) -> None:
    """Refuse names that PEFT would match as a regular expression, and ranks that the weights beside it do not have.

    A hostile adapter could otherwise keep the matching busy for hours, or ask for any amount of memory.
    """
    for key in ("target_modules", "exclude_modules"):
        names = stored.get(key) or []
        plain = names == "all-linear" or (isinstance(names, list) and all(map(_is_name, names)))
        if not plain:
            raise UserError(f"{path}: {key} is {names!r:.80}; a list of plain module names is needed")
    ranks = [stored.get("r")]
    for key in ("rank_pattern", "alpha_pattern"):
        pattern = stored.get(key) or {}
        if not isinstance(pattern, dict) or not all(map(_is_name, pattern)):
            raise UserError(f"{path}: {key} is {pattern!r:.80}; plain module names are needed")
        ranks += pattern.values() if key == "rank_pattern" else []
    stored_ranks = _stored_ranks(path.with_name(_WEIGHTS))
    for rank in ranks:
        if type(rank) is not int or rank < 1 or rank > max(stored_ranks, default=4096):
            raise UserError(f"{path}: rank {rank!r:.80} is not that of {_WEIGHTS} beside it")


def _is_name(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(r"[\w.]+", text) is not None


def _stored_ranks(path: Path) -> set[int]:
    """Read the ranks of the weights from the file's header alone.

    The set is empty if the file is missing or damaged; loading it will say so.
    """
    try:
        with safe_open(path, framework="pt") as weights:
            return {weights.get_slice(name).get_shape()[0] for name in weights.keys() if ".lora_A." in name}  # noqa: SIM118
    except (OSError, ValueError, IndexError, SafetensorError):
        return set()


def parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return the adapter's parameters under the names that a PEFT file gives them, sorted by name."""
    return sorted((name.replace(".default.", "."), p) for name, p in model.named_parameters() if ".lora_" in name)


def save_adapter(model: Any, folder: str | os.PathLike[str]) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json`. The same weights give the same bytes."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().to("cpu", copy=True).contiguous() for name, p in parameters(model)}
    write(path / _WEIGHTS, save(tensors, metadata={"format": "pt"}))
    config = copy.copy(model.peft_config["default"])
    config.target_modules = sorted(config.target_modules)  # a set: its order differs between processes
    config.inference_mode = True
    config.save_pretrained(str(path))


@torch.no_grad()
def load_weights(model: Any, folder: str | os.PathLike[str]) -> None:
    """Copy the adapter in `folder` into the adapter of `model`, bit for bit. If it does not fit, `model` stays as it is.

    Raises:
        UserError: the weights are missing or damaged, or have other names or shapes.
    """
    path = Path(folder) / _WEIGHTS
    try:
        stored = load_file(path)
    except FileNotFoundError as error:
        raise UserError(f"adapter '{folder}': no {_WEIGHTS} there (other formats are not read)") from error
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{path}: damaged, cannot be read ({error})") from error
    mine = dict(parameters(model))
    if odd := sorted(set(mine) ^ set(stored)):
        raise UserError(f"{path}: does not fit the model: {len(odd)} weights differ by name ({odd[0]}, ...)")
    for name, p in mine.items():  # all are checked before the first is copied
        if p.shape != stored[name].shape:
            shapes = f"{tuple(stored[name].shape)} in the file, {tuple(p.shape)} in the model"
            raise UserError(f"{path}: {name} is {shapes}; another base model or rank")
        if not torch.isfinite(stored[name]).all():
            raise UserError(f"{path}: {name} holds NaN or infinity; the adapter is spoilt")
    for name, p in mine.items():
        p.copy_(stored[name])
