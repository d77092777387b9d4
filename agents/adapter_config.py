"""The configuration of an adapter's folder: plain LoRA is read, and everything else is refused by name, with a mend.

Nothing in the file is matched as a regular expression: a hostile one could take hours. Where the file names its layers by an
expression, the weights beside it say which layers are adapted.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from peft import LoraConfig
from safetensors import SafetensorError, safe_open

from simko.errors import UserError

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_READ = ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern")
_TARGETS = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
# Keys that change neither what an adapter computes nor how it is trained here. Settings of an initialisation tell nothing:
# `init_lora_weights` says which one it was. PEFT itself sets `fan_in_fan_out` by the kind of layer.
_IGNORED = {
    "task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode",
    "lora_dropout", "fan_in_fan_out", "init_lora_weights", "megatron_core", "loftq_config", "eva_config", "corda_config",
    "lora_ga_config", "qalora_group_size", "runtime_config", "ensure_weight_tying",
}  # fmt: skip
_MOST = 4096  # entries of a pattern, each of which PEFT matches against every layer
_SAME_BASE = (
    "true",
    "false",
    "gaussian",
    "eva",
    "orthogonal",
    "none",
    "",
)  # initialisations that leave the base as it is
_SAVED = "give a folder that simko or PEFT saved"
_MERGE = "merge it into its base with PEFT (merge_and_unload, then save_pretrained) and give that folder as the model"
_CONVERT = (
    "it changes the base. Where it was trained, convert it to plain LoRA with PEFT's "
    "save_pretrained(..., path_initial_model_for_weight_conversion=...), or call merge_and_unload, save that and give it as "
    "the model"
)
_AFRESH = "it cannot be merged into a base; leave the adapter out to train a new one"
_UNSET = "set it to null there: without it the adapter computes the same"
_MENDS = {
    "alora_invocation_tokens": _AFRESH,
    "use_qalora": _AFRESH,
    "layer_replication": _AFRESH,
    "arrow_config": _AFRESH,
    "monteclora_config": _AFRESH,
    "lora_bias": _AFRESH,  # PEFT merges it only into layers that have a bias
    "megatron_config": _UNSET,
    "velora_config": _UNSET,
}


def read_config(folder: str | os.PathLike[str], name: str) -> LoraConfig:
    """Read the configuration of the adapter in `folder`, to train it on the model called `name`.

    Raises:
        UserError: there is no adapter, or it is not plain LoRA. The line names the key, its value and a mend.
    """
    path = Path(folder) / CONFIG
    stored = _stored(path)
    _check_plain(path, stored)
    ranks = stored_ranks(path.with_name(WEIGHTS))
    kept = {key: stored[key] for key in _READ if stored.get(key) is not None}
    kept |= _layers(path, stored, ranks)
    kept["rank_pattern"] = _ranks(path, stored, ranks)
    _check_scales(path, stored)
    try:
        config = LoraConfig(**kept, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM")
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: not a LoRA configuration ({error}); {_SAVED}") from error
    config.base_model_name_or_path = name
    return config


def base_of(folder: str | os.PathLike[str]) -> str | None:
    """Return the name that an adapter's configuration gives its base; None if it gives none."""
    base = _stored(Path(folder) / CONFIG).get("base_model_name_or_path")
    return str(base) if base else None


def stored_ranks(path: Path) -> dict[str, int]:
    """Read which layers an adapter's weights are for, and the rank of each, from the file's header alone.

    The dictionary is empty if the file is missing or damaged; loading it will say so.
    """
    try:
        with safe_open(path, framework="pt") as weights:
            layers = {name: re.fullmatch(r"base_model\.model\.(.+)\.lora_A\.weight", name) for name in weights.keys()}  # noqa: SIM118
            return {layer[1]: weights.get_slice(name).get_shape()[0] for name, layer in layers.items() if layer}
    except (OSError, ValueError, IndexError, SafetensorError):
        return {}


def _stored(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(stored["peft_type"], str):
            raise TypeError(f"peft_type is {stored['peft_type']!r:.80}")
    except FileNotFoundError as error:
        raise UserError(
            f"adapter '{path.parent}': no {CONFIG} there; give a folder that simko or PEFT saved"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not the configuration of an adapter ({error}); {_SAVED}") from error
    return dict(stored)


def _check_plain(path: Path, stored: dict[str, Any]) -> None:
    """Refuse what plain LoRA on the base as it was published does not compute."""
    kind = stored["peft_type"].upper()
    if kind != "LORA":
        prompt = any(word in kind for word in ("PROMPT", "PREFIX", "P_TUNING", "CPT", "CARTRIDGE"))
        raise UserError(f"{path}: only plain LoRA can be loaded; this is {kind}; {_AFRESH if prompt else _MERGE}")
    start = str(stored.get("init_lora_weights", True)).lower()
    if start == "mica":
        raise UserError(
            f"{path}: init_lora_weights is 'mica', which trains one factor alone; set it to true there: the adapter computes "
            "the same, and both factors are trained on"
        )
    if start not in _SAME_BASE:
        raise UserError(f"{path}: only plain LoRA can be loaded; init_lora_weights is '{start:.40}': {_CONVERT}")
    defaults = _defaults()
    unset: tuple[Any, ...] = (None, False, "", [], {})
    odd = [
        key
        for key, value in stored.items()
        if key not in {*_READ, *_TARGETS, *_IGNORED} and value not in (*unset, defaults.get(key))
    ]
    if odd:
        known = odd[0] in defaults
        mend = _MENDS.get(odd[0], _MERGE) if known else "delete a key that means nothing to the weights, or " + _MERGE
        kinds = ", ".join(odd)
        raise UserError(f"{path}: only plain LoRA can be loaded; this is {kinds:.200}; {mend}")


@cache
def _defaults() -> dict[str, Any]:
    """Return the default of each key that the installed PEFT knows."""
    empty = LoraConfig()
    return {entry.name: getattr(empty, entry.name) for entry in dataclasses.fields(empty)}


def _layers(path: Path, stored: dict[str, Any], ranks: dict[str, int]) -> dict[str, Any]:
    """Return the keys that choose layers, if plain names do so; else the names of the layers in the weights."""
    for key in ("target_modules", "exclude_modules", "layers_pattern"):
        names = stored.get(key)
        if names is not None and not isinstance(names, str) and not _are_texts(names):
            raise UserError(f"{path}: {key} is {names!r:.80}; give a list of names of modules")
    numbers = stored.get("layers_to_transform")
    if any(type(number) is not int for number in (numbers if isinstance(numbers, list) else [numbers or 0])):
        raise UserError(f"{path}: layers_to_transform is {numbers!r:.80}; give numbers of layers")
    targets = stored.get("target_modules")
    patterns = stored.get("layers_pattern") or []
    names = [*(targets or []), *(stored.get("exclude_modules") or [])]
    lists = isinstance(targets, list) and isinstance(stored.get("exclude_modules") or [], list)
    if (
        lists
        and all(map(_is_name, names))
        and all(map(_is_name, [patterns] if isinstance(patterns, str) else patterns))
    ):
        return {key: stored[key] for key in _TARGETS if stored.get(key) not in (None, [], "")}
    if not ranks:
        raise UserError(
            f"{path}: target_modules is {targets!r:.80}, and {WEIGHTS} beside it names no layer; give a folder that PEFT saved"
        )
    return {"target_modules": sorted(ranks)}


def _ranks(path: Path, stored: dict[str, Any], ranks: dict[str, int]) -> dict[str, int]:
    """Return the pattern of ranks. The weights must have each: a hostile file could ask for any amount of memory."""
    pattern = stored.get("rank_pattern") or {}
    if not isinstance(pattern, dict) or len(pattern) > _MOST:
        raise UserError(f"{path}: rank_pattern is {pattern!r:.80}; give names of modules with their ranks")
    for rank in (stored.get("r"), *pattern.values()):
        if type(rank) is not int or rank < 1 or rank > max(ranks.values(), default=4096):
            raise UserError(f"{path}: rank {rank!r:.80} is not that of {WEIGHTS} beside it; {_SAVED}")
    if all(map(_is_name, pattern)):
        return pattern
    return {layer: rank for layer, rank in ranks.items() if rank != stored["r"]}


def _check_scales(path: Path, stored: dict[str, Any]) -> None:
    """Refuse scales that are no numbers, and expressions that could keep PEFT's matching busy."""
    pattern = stored.get("alpha_pattern") or {}
    if not isinstance(pattern, dict) or len(pattern) > _MOST or not all(map(_is_quick, pattern)):
        raise UserError(
            f"{path}: alpha_pattern is {pattern!r:.80}; write plain module names, each with its alpha, in place of expressions"
        )
    for alpha in (stored.get("lora_alpha", 8), *pattern.values()):
        if type(alpha) not in (int, float) or not abs(alpha) < 1e9:
            raise UserError(f"{path}: lora_alpha or alpha_pattern holds {alpha!r:.80}; give a number")


def _are_texts(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[\w.]+", text) is not None


def _is_quick(text: str) -> bool:
    """Whether matching an expression takes no longer than trying it at each place of a name: one repetition, one group."""
    part = r"[\w.^$|-]|\\[.d_-]|\\d\+|\.\*|\((?:\?:)?|\)"
    if re.fullmatch(f"(?:{part})+", text) is None or len(re.findall(r"[*+]", text)) > 1 or text.count("(") > 1:
        return False
    try:
        re.compile(text)
    except re.error:
        return False
    return len(text) < 1000
