"""LoRA adapters: made from a seed, written to and read from plain PEFT folders."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import peft.utils.transformers_weight_conversion as peft_conversion
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from simko.agents.adapter_config import WEIGHTS, base_of
from simko.agents.kernels import FrozenLinear
from simko.agents.quantize import lora_layers
from simko.agents.quiet import quiet
from simko.console import note_once
from simko.errors import UserError, nearest
from simko.files import write

ALL_LINEAR = "all-linear"
_BASE_COPIES = (".base_layer.weight", "embed_tokens.weight", "lm_head.weight")  # weights of the base in a PEFT file


def add_adapter(model: Any, config: LoraConfig, seed: int) -> Any:
    """Wrap `model` in a fresh adapter (A Kaiming-uniform, B zero), drawn from `seed` alone.

    The adapter is float32 if the model is in half precision. The global random state does not change. A factor of the output
    layer is frozen: the loss reads that layer as one weight.

    Raises:
        UserError: the configuration asks for a layer that cannot be adapted, or fits no layer.
    """
    # `manual_seed` seeds every GPU, those that do not hold the model, too, and one that is not started when it starts
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with quiet(), torch.random.fork_rng(devices=devices), _targets_as_they_are():
        (torch.manual_seed if devices else torch.default_generator.manual_seed)(seed)
        try:
            adapted = get_peft_model(model, config, autocast_adapter_dtype=True)
        except (ValueError, TypeError) as error:
            name = config.base_model_name_or_path
            raise UserError(
                f"model '{name}': the adapter cannot be made ({' '.join(str(error).split()):.300}); "
                "see --lora-rank and --target-modules"
            ) from error
    check_layers(model)
    output: Any = model.get_output_embeddings()
    if isinstance(output, LoraLayer):
        output.requires_grad_(False)
    return adapted


def check_layers(model: nn.Module) -> None:
    """Raise `UserError` if a layer is adapted that is not linear, or is a router that computes more than a product."""
    others = mixture_layers(model)
    for name, layer in lora_layers(model):
        base = layer.get_base_layer()
        plain = type(base) is nn.Linear or isinstance(base, FrozenLinear | Linear4bit | Linear8bitLt)
        if plain or (isinstance(base, nn.Linear) and name not in others):
            continue
        # merging into a tied embedding would change the output layer, too
        untied = " (its lm_head needs a weight of its own)" if isinstance(base, nn.Embedding) else ""
        raise UserError(
            f"{name} is a {type(base).__name__}, which cannot be adapted; leave it out of target_modules, or merge "
            f"the adapter with PEFT (merge_and_unload, save_pretrained) into its base{untied} and give that as the model"
        )


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


def targets(model: Any, names: str | Iterable[str]) -> str | set[str]:
    """Return what a fresh adapter of `model` is put on: the names themselves, or what `all-linear` stands for.

    Raises:
        UserError: no linear layer has one of the names.
    """
    if isinstance(names, str):
        return _all_linear(model) if names == ALL_LINEAR else names
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    for name in names:
        if not any(layer == name or layer.endswith(f".{name}") for layer in layers):
            output = model.get_output_embeddings()
            linear = {name.rpartition(".")[2] for name, layer in layers.items() if layer is not output}
            there = ", ".join(sorted(linear))
            raise UserError(
                f"target_modules: no linear layer is called '{name}'; there are {there}{nearest(name, linear)}"
            )
    return set(names)


def _all_linear(model: Any) -> str | set[str]:
    """Name every linear layer but the output, the experts and the routers."""
    others = mixture_layers(model)
    linear = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    if not others & linear.keys():
        return ALL_LINEAR  # PEFT finds the same layers
    output = model.get_output_embeddings()
    return {name for name, layer in linear.items() if layer is not output and name not in others}


def mixture_layers(model: nn.Module) -> set[str]:
    """Name all modules that are experts or routers of a mixture, or inside one. Shared experts are neither."""
    names = [name for name, _ in model.named_modules()]
    blocks = {name.rpartition(".")[0] for name in names if name.rpartition(".")[2] == "experts"}
    return {name for name in names for block in blocks if _is_mixture_part(name.removeprefix(f"{block}."), name)}


def _is_mixture_part(within: str, name: str) -> bool:
    """Whether a name within the block that has the experts is that of the experts or of a router."""
    part = within.partition(".")[0]
    return within != name and (part in ("experts", "gate", "router") or part.endswith("_gate"))


@contextlib.contextmanager
def _targets_as_they_are() -> Iterator[None]:
    """Keep PEFT from turning a shared expert's `gate_proj` into the fused tensor of all experts.

    PEFT 0.21 does so for adapters that were trained with transformers 4, and by the last part of a name alone. `quiet` lets one
    thread in at a time.
    """
    convert = peft_conversion.convert_peft_config_for_transformers
    peft_conversion.convert_peft_config_for_transformers = lambda *args, **options: None
    try:
        yield
    finally:
        peft_conversion.convert_peft_config_for_transformers = convert


def parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return the adapter's parameters under the names that a PEFT file gives them, sorted by name."""
    return sorted((name.replace(".default.", "."), p) for name, p in model.named_parameters() if ".lora_" in name)


def save_adapter(model: Any, folder: str | os.PathLike[str]) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json`. The same weights give the same bytes."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().to("cpu", copy=True).contiguous() for name, p in parameters(model)}
    write(path / WEIGHTS, save(tensors, metadata={"format": "pt"}))
    config = copy.copy(model.peft_config["default"])
    config.target_modules = sorted(config.target_modules)  # a set: its order differs between processes
    config.inference_mode = True
    config.save_pretrained(str(path))
    if _is_misread(config, model.get_base_model()):
        note_once(
            "PEFT with transformers 5 takes the shared layers of this adapter for its experts; "
            "outside simko use `simko export --merged`, or train with target_modules of the attention alone"
        )


def _is_misread(config: LoraConfig, base: nn.Module) -> bool:
    """Whether PEFT itself would put this adapter on other layers: see `_targets_as_they_are`."""
    theirs = copy.deepcopy(config)
    try:
        peft_conversion.convert_peft_config_for_transformers(theirs, base, None)
    except ValueError:  # it asks for a fused pair as a whole
        return True
    return set(theirs.target_modules or ()) != set(config.target_modules or ())


@torch.no_grad()
def load_weights(model: Any, folder: str | os.PathLike[str]) -> None:
    """Copy the adapter in `folder` into the adapter of `model`, bit for bit. If it does not fit, `model` stays as it is.

    Raises:
        UserError: the weights are missing or damaged, or have other names or shapes.
    """
    path = Path(folder) / WEIGHTS
    try:
        stored = load_file(path)
    except FileNotFoundError as error:
        raise UserError(
            f"adapter '{folder}': no {WEIGHTS} there; give a folder with one, as other formats are not read"
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"{path}: damaged, cannot be read ({error}); fetch it again, or take another checkpoint"
        ) from error
    _drop_copies_of_base(model, stored)
    mine = dict(parameters(model))
    base = base_of(folder)
    mend = f"give the model that it was trained on{f', {base!r}' if base else ''}"
    if odd := sorted(set(mine) ^ set(stored)):
        raise UserError(f"{path}: does not fit the model: {len(odd)} weights differ by name ({odd[0]}, ...); {mend}")
    for name, p in mine.items():  # all are checked before the first is copied
        if p.shape != stored[name].shape:
            shapes = f"{tuple(stored[name].shape)} in the file, {tuple(p.shape)} in the model"
            raise UserError(f"{path}: {name} is {shapes}; another base model or rank; {mend}")
        if not torch.isfinite(stored[name]).all():
            raise UserError(f"{path}: {name} holds NaN or infinity; the adapter is spoilt; take an earlier checkpoint")
    for name, p in mine.items():
        p.copy_(stored[name])
    if not all(p.requires_grad for p in mine.values()):
        note_once(f"adapter '{folder}': what it adds to the output layer is used as it is, and not trained further")


def _drop_copies_of_base(model: Any, stored: dict[str, torch.Tensor]) -> None:
    """Drop the embedding and the output layer that PEFT saves beside an adapter of the output layer, if they are the base's.

    Others stay, so they do not fit.
    """
    own = dict(model.named_parameters(remove_duplicate=False))  # tied ones under both names
    for name in [name for name in stored if ".lora_" not in name and name.endswith(_BASE_COPIES)]:
        wrapped = f"{name.removesuffix('.weight')}.base_layer.weight"
        weight = own.get(name, own.get(wrapped))
        if weight is not None and weight.shape == stored[name].shape:
            # in the coarser of the two dtypes: an adapter may have been trained in 16 bits
            dtype = min(weight.dtype, stored[name].dtype, key=lambda kind: kind.itemsize)
            if torch.equal(weight.detach().to("cpu", dtype), stored[name].to(dtype)):
                del stored[name]
