"""Quantised linear layers: made safe to train on, and read back as plain weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import reduce
from operator import add
from typing import Any

import bitsandbytes
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from simko.agents import rounding
from simko.agents.kernels import freeze
from simko.agents.rounding import APART_BELOW, Lost
from simko.head.linear import linear


def make_trainable(model: nn.Module) -> None:
    """Choose code paths of bitsandbytes that are right. Call this after loading, before any forward.

    - On CPUs with AVX512-BF16, the first evaluation forward of a `Linear4bit` repacks its weights in place. Every later
      backward is then wrong, without an error, and some widths fail. This path is switched off.
    - On CPUs with AVX512, a 4-bit weight is dequantised wrongly, without an error, if the input width is a multiple of 16
      and not of 64 (an error of 25 % instead of 9 %). Layers on a CPU dequantise as one row, which is right.
    - On a CPU, a `Linear8bitLt` rounds activations to 8 bits in evaluation mode, but not in training mode. These layers
      stay in training mode, so that decoding and training see one model. They have no dropout.

    `simko.head.linear` computes the products with frozen float32 weights on a CPU.
    """
    freeze(model)
    for layer in model.modules():
        on_cpu = isinstance(layer, nn.Linear) and layer.weight.device.type == "cpu"
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = False
            if on_cpu:
                layer.__class__ = _CpuLinear4bit
        elif isinstance(layer, Linear8bitLt) and on_cpu:
            layer.train()


def assert_trainable(model: nn.Module) -> None:
    """Raise `RuntimeError` if something has undone `make_trainable`."""
    for name, layer in model.named_modules():
        if isinstance(layer, Linear4bit):
            packed = getattr(layer.weight.quant_state, "packing_format_for_cpu", False)
            if layer.support_avx512bf16_for_cpu or packed:
                raise RuntimeError(f"{name}: bitsandbytes' AVX512-BF16 path is on; gradients would be silently wrong")
        elif isinstance(layer, Linear8bitLt) and layer.weight.device.type == "cpu" and not layer.training:
            raise RuntimeError(f"{name}: an 8-bit layer is in evaluation mode; decoding would differ from training")


def plain_weight(layer: nn.Module) -> Tensor:
    """Return the weight `(out, in)` of a linear layer, dequantised if it is quantised."""
    weight: Any = layer.weight
    if isinstance(layer, Linear4bit):
        shape = weight.quant_state.shape
        return _dequantize_4bit(weight, torch.Size((1, shape.numel()))).view(shape)
    if isinstance(layer, Linear8bitLt):
        scale = layer.state.SCB if layer.state.SCB is not None else weight.SCB
        return weight.data.float() * (scale.float() / 127.0)[:, None]
    return weight.data


def _dequantize_4bit(weight: Any, shape: torch.Size) -> Tensor:
    state = copy.copy(weight.quant_state)
    state.shape = shape
    return bitsandbytes.functional.dequantize_4bit(weight.data, state)


class _CpuLinear4bit(Linear4bit):
    """A `Linear4bit` that dequantises by `plain_weight`. It saves no float weight for the backward either."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x W^T + bias`, computed in the layer's compute dtype."""
        dtype = self.compute_dtype or x.dtype
        y = _CpuProduct.apply(x.to(dtype), self)
        return (y if self.bias is None else y + self.bias.to(dtype)).to(x.dtype)


class _CpuProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Module) -> Tensor:
        ctx.layer = layer
        return linear(x, plain_weight(layer).to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        return linear(grads[0], plain_weight(ctx.layer).to(grads[0].dtype).t()), None


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoraLayer]]:
    """Yield the adapted linear layers of `model`, with their names."""
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            yield name, layer


@torch.no_grad()
def plain_copy(
    model: Any,
    device: torch.device | None = None,
    finish: Callable[[nn.Linear], nn.Module] | None = None,
    faithful: bool = False,
) -> Any:
    """Copy `model` to a plain one: active adapters merged into dequantised weights, in the model's dtype.

    Each call starts from the frozen weights, so rounding never adds up. `model` does not change. The copy shares with it
    everything but adapted and quantised layers, unless `device` differs. `finish` may replace each new layer.

    A `faithful` copy is for decoding. It computes what `model` does where a plain layer cannot:

    - In half precision, a layer keeps its adapter apart as long as rounding would lose much of it (see
      `simko.agents.rounding`): `base x` with a plain weight, plus `B A x` as in `model`.
    - On CUDA, an 8-bit layer stays as it is, since it rounds what comes in to 8 bits, too.
    """
    # deepcopy takes from the memo: shared tensors themselves, and the plain substitute of each adapted or quantised layer
    memo: dict[int, Any] = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        memo[id(tensor)] = _moved(tensor, device)
    for layer in model.modules():
        if isinstance(layer, LoraLayer | Linear4bit | Linear8bitLt) and id(layer) not in memo:
            base: Any = layer.get_base_layer() if isinstance(layer, LoraLayer) else layer
            if faithful and rounds_inputs(base):
                memo[id(layer)] = memo[id(base)] = layer
                continue
            weight, lost = merged_weight(layer, model.dtype)
            apart = faithful and isinstance(layer, LoraLayer) and is_apart(lost, layer, model.dtype)
            if apart:
                weight = plain_weight(base).to(model.dtype)
            plain = nn.Linear(weight.shape[1], weight.shape[0], bias=base.bias is not None, device="meta").eval()
            plain.weight = nn.Parameter(weight.to(device or weight.device), requires_grad=False)
            if base.bias is not None:
                plain.bias = nn.Parameter(base.bias.to(device or base.bias.device, model.dtype), requires_grad=False)
            finished = plain if finish is None else finish(plain)
            memo[id(base)] = finished
            memo[id(layer)] = _on(finished, layer) if apart else finished
    plain_model: Any = copy.deepcopy(model, memo)
    for name in ("hf_quantizer", "quantization_method", "is_loaded_in_4bit", "is_loaded_in_8bit", "is_quantized"):
        plain_model.__dict__.pop(name, None)
    plain_model.config.__dict__.pop("quantization_config", None)
    return plain_model


def rounds_inputs(layer: nn.Module) -> bool:
    """Whether a layer rounds what comes in to 8 bits, as LLM.int8() does on CUDA (on a CPU, see `make_trainable`)."""
    return isinstance(layer, Linear8bitLt) and layer.weight.device.type == "cuda"


def is_apart(lost: Lost, layer: LoraLayer, dtype: torch.dtype) -> bool:
    """Whether a faithful copy in `dtype` keeps the adapter apart: rounding would lose much of it, or it is zero yet.

    A fresh adapter is apart, too, so that a run which is timed before its first step decodes as its early steps will.
    """
    rounds = torch.promote_types(dtype, torch.float32) != dtype
    return rounds and not layer.disable_adapters and (lost.cosine < APART_BELOW or lost.intended == 0)


def _on(base: nn.Module, layer: Any) -> nn.Module:
    """Return `layer`, a LoRA layer, on another base layer. Both share the adapter."""
    adapted: nn.Module = copy.copy(layer)
    adapted._modules = {**layer._modules, "base_layer": base}
    return adapted


@torch.no_grad()
def merged_weight(layer: Any, dtype: torch.dtype) -> tuple[Tensor, Lost]:
    """Return the weight `(out, in)` of a linear layer in `dtype`, dequantised, with its active adapters.

    It is rounded once. The second value tells what the rounding took from the adapters.
    """
    adapted = isinstance(layer, LoraLayer)
    weight = plain_weight(layer.get_base_layer() if adapted else layer)
    if not adapted or layer.disable_adapters:
        return weight.to(dtype), Lost()
    return rounding.merged_weight(weight, reduce(add, map(layer.get_delta_weight, layer.active_adapters)), dtype)


def _moved(tensor: Tensor, device: torch.device | None) -> Tensor:
    """Return the tensor itself, or its copy on `device`. Quantised parameters stay, since their layers are replaced."""
    if device is None or tensor.device == device or type(tensor) not in (Tensor, nn.Parameter):
        return tensor
    moved = tensor.to(device)
    return nn.Parameter(moved, requires_grad=False) if isinstance(tensor, nn.Parameter) else moved
