"""A preallocated key-value cache for unmodified transformers models, in which every slot has its own length.

Prefill writes each prompt's keys and values into the slots of its group. Decoding writes one position a slot and returns a
view. The last live slots overwrite those that are done. So live slots always come first, new prompts start behind them, and
nothing is ever concatenated.
"""

from __future__ import annotations

import inspect
import math
import mmap
import weakref
from contextlib import suppress
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

_ON_DEMAND = 1 << 20  # bytes; less is not worth a mapping of its own


def cache_argument(model: torch.nn.Module) -> str:
    """The argument of a model's forward that takes its cache. transformers 5.24 renames `past_key_values` to `cache`."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


class SlotCache(Cache):
    """A cache of `rows` slots of `capacity` tokens in each of `layers` layers. Keys are `(rows, heads, capacity, head_dim)`."""

    def __init__(self, layers: int, rows: int, capacity: int) -> None:
        self.rows = rows
        self.capacity = capacity
        self._slots: Tensor | None = None  # prefill: the slots that get a prompt ...
        self._source: Tensor | None = None  # ... and the index of that prompt in the forward
        self._position: Tensor | None = None  # decode: the position that each slot writes
        self._index: Tensor | None = None
        self._live = 0
        super().__init__(layers=[_SlotLayer(self) for _ in range(layers)])

    def prefill(self, slots: Int[Tensor, "S"], source: Int[Tensor, "S"]) -> None:
        """Announce that the next forward carries prompts: slot `slots[i]` gets a copy of prompt `source[i]`."""
        self._slots, self._source, self._position = slots, source, None

    def decode(self, position: Int[Tensor, "N"], live: int) -> None:
        """Announce that the next forward carries one token for each of the first N slots, written at `position`.

        Attention sees the first `live` positions.
        """
        self._source, self._position, self._live = None, position, live
        self._index = torch.arange(len(position), device=position.device)

    def move(self, source: Int[Tensor, "M"], target: Int[Tensor, "M"], longest: int) -> None:
        """Overwrite slots `target` with the first `longest` positions of slots `source`."""
        for layer in self.layers:
            for states in (layer.keys, layer.values):
                states[target, :, :longest] = states[source, :, :longest]

    def copy_out(self, slot: int, length: int) -> list[tuple[Tensor, Tensor]]:
        """Copy keys and values of the first `length` positions of a slot, `(heads, length, head_dim)` for each layer."""
        return [(layer.keys[slot, :, :length].clone(), layer.values[slot, :, :length].clone()) for layer in self.layers]

    def copy_in(self, states: list[tuple[Tensor, Tensor]], first: int, count: int) -> None:
        """Write `states`, a result of `copy_out`, into `count` slots from `first` on."""
        for layer, (keys, values) in zip(self.layers, states, strict=True):
            layer.keys[first : first + count, :, : keys.shape[1]] = keys
            layer.values[first : first + count, :, : values.shape[1]] = values

    def write(self, layer: _SlotLayer, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new keys and values of one layer, and return those that its attention reads."""
        if layer.keys is None or layer.values is None:
            layer.keys, layer.values = (
                zeros_on_demand((self.rows, states.shape[1], self.capacity, states.shape[3]), states)
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


def zeros_on_demand(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Zeros of the type of `like`, and on its device. On a CPU under Linux, memory is taken as it is written, in small pages.

    Most slots never reach the capacity. `torch.zeros` would touch all of it at once, and huge pages most of it.
    Zeros and not empty: positions behind a row's length are masked, but NaN times 0 is NaN.
    """
    size = math.prod(shape) * like.itemsize
    if like.device.type != "cpu" or size < _ON_DEMAND or not hasattr(mmap, "MADV_NOHUGEPAGE"):
        return like.new_zeros(shape)
    pages = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without huge pages
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(pages, dtype=like.dtype).view(shape)  # which keeps the pages as long as it lives


class _SlotLayer(CacheLayerMixin):
    """One layer of a `SlotCache`. All that transformers asks of it, except `update`, concerns prefill alone."""

    is_sliding = False

    def __init__(self, owner: SlotCache) -> None:
        super().__init__()
        self.is_initialized = True
        self._owner = weakref.ref(owner)  # no cycle: the memory of a rollout must not wait for the garbage collector

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Do nothing: the owner allocates."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Store keys and values `(batch, heads, length, head_dim)`; the model's attention calls this."""
        return self._of().write(self, key_states, value_states)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return length and offset of the keys: in prefill, those of the prompt itself."""
        return query_length, 0

    def get_seq_length(self) -> int:
        """Return 0: positions are given explicitly."""
        return 0

    def get_max_length(self) -> int:
        """Return the capacity in tokens."""
        return self._of().capacity

    def _of(self) -> SlotCache:
        owner = self._owner()
        assert owner is not None, "a layer was used after its cache"
        return owner


def decode_mask(
    position: Int[Tensor, "N"], live: int, dtype: torch.dtype, window: int | None = None
) -> Float[Tensor, "N 1 1 live"]:
    """Make the additive mask of one decode step: row i sees positions up to `position[i]`.

    With a `window`, it sees only the last `window` of them. The mask is additive and not boolean, since eager attention adds
    a 4-D mask as it is.
    """
    column = torch.arange(live, device=position.device)
    visible = column <= position[:, None]
    if window is not None:
        visible &= column > position[:, None] - window
    mask = torch.zeros(visible.shape, dtype=dtype, device=position.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None, None, :]
