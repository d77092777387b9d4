"""A preallocated key-value cache in which every slot has a length of its own, for unmodified transformers models.

Prefill writes each prompt's keys and values into the slots of its group; decoding writes one position a slot and hands back a
view. Slots that are done are overwritten by the last live ones, so that live slots are the first ones, new prompts start
behind them, and nothing is ever concatenated.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class SlotCache(Cache):
    """`rows` slots of at most `capacity` tokens in each of `layers` layers. Keys are `(rows, heads, capacity, head_dim)`."""

    def __init__(self, layers: int, rows: int, capacity: int) -> None:
        self.rows = rows
        self.capacity = capacity
        self._slots: Tensor | None = None  # prefill: the slots that get a prompt ...
        self._source: Tensor | None = None  # ... and which prompt of the forward it is
        self._position: Tensor | None = None  # decode: where each slot writes
        self._index: Tensor | None = None
        self._live = 0
        super().__init__(layers=[_SlotLayer(self) for _ in range(layers)])

    def prefill(self, slots: Int[Tensor, "S"], source: Int[Tensor, "S"]) -> None:
        """The next forward carries prompts; slot `slots[i]` gets a copy of prompt `source[i]`."""
        self._slots, self._source, self._position = slots, source, None

    def decode(self, position: Int[Tensor, "N"], live: int) -> None:
        """The next forward carries one token for each of the first N slots, written at `position`; attention sees `live`."""
        self._source, self._position, self._live = None, position, live
        self._index = torch.arange(len(position), device=position.device)

    def move(self, source: Int[Tensor, "M"], target: Int[Tensor, "M"], longest: int) -> None:
        """Overwrite slots `target` with slots `source`, of which the first `longest` positions matter."""
        for layer in self.layers:
            for states in (layer.keys, layer.values):
                states[target, :, :longest] = states[source, :, :longest]

    def copy_out(self, slot: int, length: int) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of the first `length` positions of a slot, `(heads, length, head_dim)` for each layer."""
        return [(layer.keys[slot, :, :length].clone(), layer.values[slot, :, :length].clone()) for layer in self.layers]

    def copy_in(self, kept: list[tuple[Tensor, Tensor]], first: int, count: int) -> None:
        """Give slots `first` to `first + count` what `copy_out` gave."""
        for layer, (keys, values) in zip(self.layers, kept, strict=True):
            layer.keys[first : first + count, :, : keys.shape[1]] = keys
            layer.values[first : first + count, :, : values.shape[1]] = values

    def write(self, layer: _SlotLayer, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store what one layer computed, and return what its attention reads."""
        if layer.keys is None or layer.values is None:
            # zeros and not empty: what lies behind a row's length is masked, but NaN times 0 is NaN
            layer.keys, layer.values = (
                states.new_zeros(self.rows, states.shape[1], self.capacity, states.shape[3])
                for states in (keys, values)
            )
        if self._source is not None:
            layer.keys[self._slots, :, : keys.shape[2]] = keys[self._source]
            layer.values[self._slots, :, : values.shape[2]] = values[self._source]
            return keys, values
        layer.keys[self._index, :, self._position] = keys[:, :, 0]
        layer.values[self._index, :, self._position] = values[:, :, 0]
        n = keys.shape[0]
        return layer.keys[:n, :, : self._live], layer.values[:n, :, : self._live]


class _SlotLayer(CacheLayerMixin):
    """One layer of a `SlotCache`; what transformers asks of it beside `update` concerns prefill alone."""

    is_sliding = False

    def __init__(self, owner: SlotCache) -> None:
        super().__init__()
        self.is_initialized = True
        self._owner = weakref.ref(owner)  # no cycle: the memory of a rollout must not wait for the garbage collector

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing: the owner allocates."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Called by the model's attention with `(batch, heads, length, head_dim)`."""
        return self._of().write(self, key_states, value_states)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys: in prefill, those of the prompt itself."""
        return query_length, 0

    def get_seq_length(self) -> int:
        """0: positions are given explicitly."""
        return 0

    def get_max_length(self) -> int:
        """The capacity in tokens."""
        return self._of().capacity

    def _of(self) -> SlotCache:
        owner = self._owner()
        assert owner is not None, "a layer was used after its cache"
        return owner


def decode_mask(
    position: Int[Tensor, "N"], live: int, dtype: torch.dtype, window: int | None = None
) -> Float[Tensor, "N 1 1 live"]:
    """Additive mask of one decode step: row i sees positions up to `position[i]`, the last `window` of them where given.

    Additive and not boolean: eager attention adds a 4-D mask as it is.
    """
    column = torch.arange(live, device=position.device)
    seen = column <= position[:, None]
    if window is not None:
        seen &= column > position[:, None] - window
    mask = torch.zeros(seen.shape, dtype=dtype, device=position.device).masked_fill_(~seen, torch.finfo(dtype).min)
    return mask[:, None, None, :]
