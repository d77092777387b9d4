"""Linear layers that call `simko.head.linear`: the policy's frozen layers, and those of a transient copy for decoding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from simko.device import release
from simko.head.linear import linear, pack, packed_linear, suits

# pack at this call: packing takes as long as 5 to 20 products of a small batch, and saves a third of each
_PACK_AT = 16
_GIVE_BACK_AT = 1 << 25  # bytes
_dropped = 0


class FrozenLinear(nn.Linear):
    """A linear layer without a gradient to its weight and bias. Float32 on a CPU uses the faster library."""

    def forward(self, input: Tensor) -> Tensor:
        """Return `x W^T + b`, with a gradient to x."""
        return linear(input, self.weight, self.bias)


class PackedLinear(nn.Module):
    """A float32 linear layer on a CPU for decoding, without a gradient. It is packed as soon as that is sure to pay."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self._weight: Tensor = layer.weight.detach()
        self._packed = False
        self._bias: Tensor | None = None if layer.bias is None else layer.bias.detach()
        self._calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return `x W^T + b`."""
        self._calls += 1
        if self._calls == _PACK_AT:
            size = self._weight.nbytes
            self._weight, self._packed = pack(self._weight), True
            _give_back(size)
        if self._packed:
            return packed_linear(x, self._weight, self._bias)
        return linear(x, self._weight, self._bias)


def _give_back(size: int) -> None:
    """Count the bytes of an unpacked weight that was dropped; now and then give such memory back to the system.

    glibc keeps tensors below 4 MiB in a heap (see `simko.device.keep_apart`), and packed weights do not fit into their holes.
    """
    global _dropped
    _dropped += size
    if _dropped >= _GIVE_BACK_AT:
        _dropped = 0
        release(torch.device("cpu"))


def freeze(model: Any) -> None:
    """Turn the untrained plain linear layers of `model` into `FrozenLinear`, in place. The output layer stays plain."""
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    for layer in model.modules():
        trained = any(parameter.requires_grad for parameter in layer.parameters(recurse=False))
        if type(layer) is nn.Linear and layer is not output and not trained and suits(layer.weight, layer.bias):
            layer.__class__ = FrozenLinear


def packed(layer: nn.Linear) -> nn.Module:
    """Return the layer packed for decoding if that is possible, else the layer itself."""
    return PackedLinear(layer) if suits(layer.weight, layer.bias) else layer
