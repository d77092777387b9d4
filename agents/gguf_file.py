"""Writing a GGUF file: a policy with its adapter merged, one tensor in memory at a time.

A weight is dequantised, gets the adapter's change in float32, and is rounded once, to the file's own blocks. The package `gguf`
writes header and tensors, and names them.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from simko.agents.gguf_kinds import dequantised, file_type, quantised, tensor_type, type_bytes
from simko.agents.gguf_names import add_numbers, architecture_of, file_name, rope_factors, turned
from simko.agents.gguf_tokens import add_vocabulary, read_vocabulary, template_of
from simko.agents.quantize import merged_weight, plain_weight
from simko.errors import UserError
from simko.files import SCRATCH, check_space, sync

_QUANTIZATION_VERSION = 2  # of ggml's block formats


@dataclass(frozen=True)
class Written:
    """What a file holds.

    Attributes:
        bytes: size of the tensors.
        types: how many tensors there are of each type, as `Q8_0`.
        error: root mean square of the rounding over that of the weights, matrices alone.
        change: the same of what the adapter adds.
        split_known: whether llama.cpp splits a text as the tokenizer does before it merges.
    """

    bytes: int
    types: dict[str, int]
    error: float
    change: float
    split_known: bool


@dataclass(frozen=True)
class _Part:
    """A tensor of the file: its name and type there, its shape, and where its values come from."""

    name: str
    kind: str
    shape: tuple[int, ...]
    read: Callable[[], Tensor]
    layer: nn.Module | None = None


def check_model(model: Any, tokenizer: Any) -> None:
    """Raise `UserError` if the package `gguf` is missing, or the model or its tokenizer cannot be written."""
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise UserError("export: --gguf needs another package: pip install 'simko[gguf]'") from error
    architecture_of(model)
    read_vocabulary(tokenizer, model.get_input_embeddings().weight.shape[0])


@torch.no_grad()
def write_gguf(
    model: Any, tokenizer: Any, path: Path, kind: str, name: str, ends: Iterable[int] = (), bos: bool | None = None
) -> Written:
    """Write the causal LM `model`, with its active adapter, to a GGUF file that is there whole or not at all.

    Args:
        model: a causal LM of transformers; its linear layers may be quantised and adapted. It does not change.
        tokenizer: its tokenizer.
        path: the file; its folder exists.
        kind: one of `simko.agents.gguf_kinds.KINDS`.
        name: the model's name in the header.
        ends: ids that end an answer.
        bos: whether prompts begin with BOS; as the tokenizer has it where None.

    Raises:
        UserError: the model cannot be written (see `check_model`), a weight does not fit the kind, or the disk is too small.
        OSError: the file cannot be written.
    """
    check_model(model, tokenizer)
    import gguf

    architecture = architecture_of(model)
    parts = _parts(model, kind, gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.name.upper()], _layers(model)))
    size = sum(type_bytes(part.kind, part.shape) for part in parts)
    check_space(path.parent, size, f"'{path}'", "choose another disk")
    vocabulary = read_vocabulary(tokenizer, model.get_input_embeddings().weight.shape[0], ends, bos)
    scratch = path.with_name(f".{path.name}{SCRATCH}")
    with _quiet_writer(), _whole(scratch, path):
        writer = gguf.GGUFWriter(scratch, architecture.name)
        try:
            writer.add_type("model")
            writer.add_name(name)
            writer.add_file_type(file_type(kind))
            writer.add_quantization_version(_QUANTIZATION_VERSION)
            add_numbers(writer, model)
            add_vocabulary(writer, vocabulary, template_of(tokenizer))
            error, change = _write_parts(writer, parts)
        finally:
            writer.close()
    types = {kind: sum(part.kind == kind for part in parts) for kind in sorted({part.kind for part in parts})}
    return Written(size, types, error, change, vocabulary.known)


def _parts(model: Any, kind: str, names: Any) -> list[_Part]:
    """The tensors of a file, layer by layer."""
    tied = not isinstance(model.get_output_embeddings(), LoraLayer) and _is_tied(model)
    parts = []
    for name, shape, read, layer in _weights(model):
        if name == "lm_head.weight" and tied:
            continue
        new = file_name(names, name)
        parts.append(
            _Part(new, tensor_type(kind, new, shape, _layers(model), tied), shape, _turning(read, name, model), layer)
        )
    factors = rope_factors(model)
    if factors is not None:
        parts.insert(0, _Part("rope_freqs.weight", "F32", tuple(factors.shape), lambda: factors))
    return parts


def _weights(model: Any) -> Iterator[tuple[str, tuple[int, ...], Callable[[], Tensor], nn.Module | None]]:
    """Name, shape and reader of each parameter under its name in a plain model; and the layer, where it has an adapter."""
    inner: list[str] = []
    for name, module in model.named_modules():
        if any(name.startswith(f"{outer}.") for outer in inner):
            continue
        if isinstance(module, LoraLayer | Linear4bit | Linear8bitLt):
            inner.append(name)
            base: Any = module.get_base_layer() if isinstance(module, LoraLayer) else module
            shape = (base.out_features, base.in_features)
            yield f"{name}.weight", shape, lambda layer=module: merged_weight(layer, torch.float32)[0], module  # type: ignore[misc]
            if base.bias is not None:
                yield f"{name}.bias", tuple(base.bias.shape), lambda bias=base.bias: bias.float(), None  # type: ignore[misc]
            continue
        for short, parameter in module.named_parameters(recurse=False):
            yield f"{name}.{short}", tuple(parameter.shape), lambda p=parameter: p.float(), None  # type: ignore[misc]


def _turning(read: Callable[[], Tensor], name: str, model: Any) -> Callable[[], Tensor]:
    return lambda: turned(read(), name, model)


def _write_parts(writer: Any, parts: list[_Part]) -> tuple[float, float]:
    """Write header and tensors; returns the relative sizes of the rounding and of the adapter's change."""
    import gguf
    import numpy as np

    for part in parts:
        size, kind = type_bytes(part.kind, part.shape), gguf.GGMLQuantizationType[part.kind]
        writer.add_tensor_info(part.name, part.shape, np.dtype(np.float32), size, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    squares = error = change = 0.0
    for part in parts:
        weight = part.read()
        try:
            array = quantised(weight, part.kind)
        except ValueError as reason:
            raise UserError(
                f"export: --gguf: the weight {part.name} {reason}; export another kind, or --merged"
            ) from reason
        if len(part.shape) > 1:
            squares += float(weight.double().square().sum())
            error += float((dequantised(array, part.kind) - weight.cpu()).double().square().sum())
            change += _added(part.layer)
        writer.write_tensor_data(array)
    return (error / squares) ** 0.5, (change / squares) ** 0.5


def _added(layer: nn.Module | None) -> float:
    """Sum of squares of what the adapter adds to a layer's weight."""
    if not isinstance(layer, LoraLayer) or layer.disable_adapters:
        return 0.0
    added = merged_weight(layer, torch.float32)[0] - plain_weight(layer.get_base_layer()).float()
    return float(added.double().square().sum())


@contextlib.contextmanager
def _whole(scratch: Path, path: Path) -> Iterator[None]:
    """Give a file its name at the end; on an error nothing of it is left."""
    try:
        yield
        sync(scratch)
        scratch.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise
    sync(path.parent)


@contextlib.contextmanager
def _quiet_writer() -> Iterator[None]:
    """Without the lines that `gguf` logs for every key."""
    log = logging.getLogger("gguf")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _layers(model: Any) -> int:
    return int(model.config.num_hidden_layers)


def _is_tied(model: Any) -> bool:
    output = model.get_output_embeddings()
    return output is None or output.weight is model.get_input_embeddings().weight
