"""The model's side of decoding: prompts go into slots behind the live ones, and each step adds a token to every live slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from simko.agents.engine.cache import SlotCache, cache_argument, decode_mask
from simko.agents.engine.graphs import Replay, StepGraphs
from simko.agents.engine.requests import Prompt, context_of
from simko.device import to_device
from simko.sizes import PREFILL_TOKENS

_BUCKET = 16  # the attended length grows in steps, which keeps kernels and allocations alike
_PADDING, _SLACK = 1.15, 64  # prompts share a forward while padded tokens stay below this share and number of real ones


class Slots:
    """A causal LM's backbone with `rows` slots of `capacity` tokens. The first `len(self)` slots are live.

    With `graphs`, steps are CUDA graphs; `record` replaces the recorder (see `StepGraphs`).

    Attributes:
        prefilled: prompt tokens forwarded so far, without padding.
    """

    def __init__(
        self,
        model: Any,
        rows: int,
        capacity: int,
        graphs: bool = False,
        record: Callable[[Replay], Replay] | None = None,
    ) -> None:
        self.rows = rows
        self.prefilled = 0
        self._backbone = model.base_model
        self._argument = cache_argument(self._backbone)
        self._config = model.config.get_text_config()
        self._device, self._dtype = model.device, model.dtype
        self._position = np.zeros(0, dtype=np.int64)  # of the next token in each live slot
        # the same on the device, where each step moves it on: a copy from the host at each step would make the host wait
        self._places = torch.zeros(rows, dtype=torch.int64, device=self._device)
        self._cache = SlotCache(self._config.num_hidden_layers, rows, capacity)
        # a prompt that starts again: its ids, its last hidden state, its keys and values in each layer
        self._prompt_copy: tuple[Prompt, Tensor, list[tuple[Tensor, Tensor]]] | None = None
        self._graphs = StepGraphs(rows, capacity, self._device, record) if graphs else None
        self._capacity = capacity
        self._last_position = (context_of(self._config) or capacity) - 1

    def __len__(self) -> int:
        return len(self._position)

    def start(self, prompts: Sequence[Prompt], following: Prompt | None = None) -> Float[Tensor, "R D"]:
        """Put R prompts into the slots behind the live ones; return their last hidden states.

        Equal prompts stand side by side, and each distinct one is forwarded once. `following` is the prompt that starts next
        time. If it is the last one here, its keys and values are copied, so that it is not forwarded again.
        """
        first, states = len(self), torch.empty(0)
        offsets: dict[Prompt, list[int]] = {}
        for offset, prompt in enumerate(prompts):
            offsets.setdefault(prompt, []).append(offset)
        if self._prompt_copy is not None and self._prompt_copy[0] in offsets:
            prompt, state, keys_values = self._prompt_copy
            copies = offsets.pop(prompt)
            if copies != list(range(len(copies))):
                raise ValueError("a kept prompt's copies come first")
            self._cache.copy_in(keys_values, first, len(copies))
            states = state.new_empty(len(prompts), state.shape[-1])
            states[: len(copies)] = state
        for group in _forwards(list(offsets)):
            places, hidden = self._prefill(group, first, offsets)
            states = states if len(states) else hidden.new_empty(len(prompts), hidden.shape[-1])
            states[places] = hidden
        lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
        self._position = np.concatenate([self._position, lengths])
        self._places[first : len(self)] = to_device(lengths, self._device)
        if following != prompts[-1]:
            self._prompt_copy = None
        elif self._prompt_copy is None or self._prompt_copy[0] != following:
            keys_values = self._cache.copy_out(len(self) - 1, len(following))
            self._prompt_copy = following, states[-1].clone(), keys_values
        return states

    def _prefill(
        self, group: Sequence[Prompt], first: int, offsets: dict[Prompt, list[int]]
    ) -> tuple[Int[Tensor, "S"], Float[Tensor, "S D"]]:
        """Forward prompts together into their S slots; return the offsets of these, and their last hidden states."""
        length = max(map(len, group))
        # right padding needs no mask: causal attention never looks right, and decoding overwrites or masks the padding
        ids = to_device(np.array([[*prompt, *[0] * (length - len(prompt))] for prompt in group]), self._device)
        pairs = [(first + offset, i) for i, prompt in enumerate(group) for offset in offsets[prompt]]
        slots, source = to_device(np.array(pairs), self._device).unbind(1)
        self._cache.prefill(slots, source)
        hidden = self._backbone(
            input_ids=ids,
            position_ids=torch.arange(length, device=self._device)[None],
            use_cache=True,
            **{self._argument: self._cache},
        ).last_hidden_state
        self.prefilled += sum(map(len, group))
        last = to_device(np.array([len(prompt) - 1 for prompt in group]), self._device)
        return slots - first, hidden[source, last[source]]

    def compact(self, going: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Keep the `going` slots: move the last of them into holes. Return the old slot of each new one."""
        count = int(going.sum())
        slots = np.arange(count)
        holes = np.flatnonzero(~going[:count])
        movers = np.flatnonzero(going[count:]) + count
        if len(holes):
            slots[holes] = movers
            longest = int(self._position[movers].max())
            source, target = (to_device(numbers, self._device) for numbers in (movers, holes))
            self._cache.move(source, target, longest)
            self._places[target] = self._places[source]
        self._position = self._position[slots]
        return slots

    def step(self, tokens: Int[Tensor, "N"]) -> Float[Tensor, "N D"]:
        """Forward one token for each live slot; return their hidden states."""
        position, longest = self._places[: len(self)], int(self._position.max())
        if self._graphs is not None:
            states = self._graphs.step(self._forward, tokens, position, longest)
        else:
            live = min(self._capacity, -(-(longest + 1) // _BUCKET) * _BUCKET)
            states = self._forward(tokens, position, live)
        self._position = self._position + 1
        position += 1
        return states

    def _forward(self, tokens: Int[Tensor, "N"], position: Int[Tensor, "N"], live: int) -> Float[Tensor, "N D"]:
        """Forward one token for each of the first N slots; attention sees the first `live` positions."""
        self._cache.decode(position, live)
        hidden: Tensor = self._backbone(
            input_ids=tokens[:, None],
            # a sequence that has ended runs on until the host looks: it may pass the model's context
            position_ids=position.clamp(max=self._last_position)[:, None],
            attention_mask=self._masks(position, live),
            use_cache=True,
            **{self._argument: self._cache},
        ).last_hidden_state
        return hidden[:, 0]

    def _masks(self, position: Tensor, live: int) -> Tensor | dict[str, Tensor]:
        """Make the mask, or one for each kind of layer if the model has several kinds."""
        window = getattr(self._config, "sliding_window", None)
        kinds = set(getattr(self._config, "layer_types", None) or ())
        if not kinds:
            return decode_mask(position, live, self._dtype, window)
        masks = {
            kind: decode_mask(position, live, self._dtype, window if "sliding" in kind else None) for kind in kinds
        }
        return masks if "sliding_attention" in kinds else masks["full_attention"]


def _forwards(prompts: Sequence[Prompt]) -> list[list[Prompt]]:
    """Group prompts that share a forward: they are of similar length, so that little is padding."""
    groups: list[list[Prompt]] = []
    real = 0
    for prompt in sorted(prompts, key=len, reverse=True):
        padded = len(groups[-1][0]) * (len(groups[-1]) + 1) if groups else 0
        if groups and padded <= min(PREFILL_TOKENS, _PADDING * (real + len(prompt)) + _SLACK):
            groups[-1].append(prompt)
            real += len(prompt)
        else:
            groups.append([prompt])
            real = len(prompt)
    return groups
