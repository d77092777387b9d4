"""The model's side of decoding: prompts go into slots behind the live ones, every live slot moves on by one token a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from simko.agents.engine.cache import SlotCache, decode_mask
from simko.agents.engine.graphs import Replay, StepGraphs
from simko.agents.engine.requests import Prompt, context_of
from simko.sizes import PREFILL_TOKENS

_BUCKET = 16  # the attended length grows in steps, which keeps kernels and allocations alike
_PADDING, _SLACK = 1.15, 64  # prompts share a forward while padded tokens stay below this share and number of real ones


class Slots:
    """`rows` slots of `capacity` tokens on a causal LM's backbone; the first `len(self)` of them are live.

    `graphs`: steps are CUDA graphs, made by `record` where given.

    Attributes:
        prefilled: prompt tokens forwarded so far, padding not counted.
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
        self._config = model.config.get_text_config()
        self._device, self._dtype = model.device, model.dtype
        self._position = np.zeros(0, dtype=np.int64)  # where each live slot's next token goes
        self._cache = SlotCache(self._config.num_hidden_layers, rows, capacity)
        self._kept: tuple[Prompt, Tensor, list[tuple[Tensor, Tensor]]] | None = None
        self._graphs = StepGraphs(rows, capacity, self._device, record) if graphs else None
        self._capacity = capacity
        self._last_position = (context_of(self._config) or capacity) - 1

    def __len__(self) -> int:
        return len(self._position)

    def start(self, prompts: Sequence[Prompt], following: Prompt | None = None) -> Float[Tensor, "R D"]:
        """Put R prompts into the slots behind the live ones, equal ones side by side; their last hidden states.

        Each distinct prompt is forwarded once. The last one's keys and values are kept where it is `following`, the prompt
        that will be started next, so that no later copy is forwarded again.
        """
        first, states = len(self), torch.empty(0)
        offsets: dict[Prompt, list[int]] = {}
        for offset, prompt in enumerate(prompts):
            offsets.setdefault(prompt, []).append(offset)
        if self._kept is not None and self._kept[0] in offsets:
            prompt, state, kept = self._kept
            copies = offsets.pop(prompt)
            if copies != list(range(len(copies))):
                raise ValueError("a kept prompt's copies come first")
            self._cache.copy_in(kept, first, len(copies))
            states = state.new_empty(len(prompts), state.shape[-1])
            states[: len(copies)] = state
        for group in _forwards(list(offsets)):
            hidden = self._prefill(group, first, offsets)
            states = states if len(states) else hidden.new_empty(len(prompts), hidden.shape[-1])
            for prompt, state in zip(group, hidden, strict=True):
                states[offsets[prompt]] = state
        self._position = np.concatenate([self._position, [len(prompt) for prompt in prompts]])
        if following != prompts[-1]:
            self._kept = None
        elif self._kept is None or self._kept[0] != following:
            keys_values = self._cache.copy_out(len(self) - 1, len(following))
            self._kept = following, states[-1].clone(), keys_values
        return states

    def _prefill(self, group: Sequence[Prompt], first: int, offsets: dict[Prompt, list[int]]) -> Float[Tensor, "P D"]:
        """Forward P prompts together into their slots; their last hidden states."""
        length = max(map(len, group))
        # right padding needs no mask: causal attention never looks right, and decoding overwrites or masks the rest
        ids = torch.tensor([[*prompt, *[0] * (length - len(prompt))] for prompt in group], device=self._device)
        pairs = [(first + offset, i) for i, prompt in enumerate(group) for offset in offsets[prompt]]
        slots, source = torch.tensor(pairs, device=self._device).unbind(1)
        self._cache.prefill(slots, source)
        hidden = self._backbone(
            input_ids=ids,
            position_ids=torch.arange(length, device=self._device)[None],
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        self.prefilled += sum(map(len, group))
        last = torch.tensor([len(prompt) - 1 for prompt in group], device=self._device)
        states: Tensor = hidden[torch.arange(len(group), device=self._device), last]
        return states

    def compact(self, going: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Keep the `going` slots, moving the last of them into holes; returns which old slot each new one holds."""
        count = int(going.sum())
        slots = np.arange(count)
        holes = np.flatnonzero(~going[:count])
        movers = np.flatnonzero(going[count:]) + count
        if len(holes):
            slots[holes] = movers
            longest = int(self._position[movers].max())
            self._cache.move(
                torch.from_numpy(movers).to(self._device), torch.from_numpy(holes).to(self._device), longest
            )
        self._position = self._position[slots]
        return slots

    def step(self, tokens: Int[Tensor, "N"]) -> Float[Tensor, "N D"]:
        """Forward one token for each live slot; their hidden states."""
        position, longest = torch.from_numpy(self._position).to(self._device), int(self._position.max())
        self._position = self._position + 1
        if self._graphs is not None:
            return self._graphs.step(self._forward, tokens, position, longest)
        return self._forward(tokens, position, min(self._capacity, -(-(longest + 1) // _BUCKET) * _BUCKET))

    def _forward(self, tokens: Int[Tensor, "N"], position: Int[Tensor, "N"], live: int) -> Float[Tensor, "N D"]:
        """One token of each of the first N slots, attending to the first `live` positions."""
        self._cache.decode(position, live)
        hidden: Tensor = self._backbone(
            input_ids=tokens[:, None],
            # slots that run on after their end until the host looks may pass the model's context
            position_ids=position.clamp(max=self._last_position)[:, None],
            attention_mask=self._masks(position, live),
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        return hidden[:, 0]

    def _masks(self, position: Tensor, live: int) -> Tensor | dict[str, Tensor]:
        """The mask, or one for each kind of layer where the model has several."""
        window = getattr(self._config, "sliding_window", None)
        kinds = set(getattr(self._config, "layer_types", None) or ())
        if not kinds:
            return decode_mask(position, live, self._dtype, window)
        masks = {
            kind: decode_mask(position, live, self._dtype, window if "sliding" in kind else None) for kind in kinds
        }
        return masks if "sliding_attention" in kinds else masks["full_attention"]


def _forwards(prompts: Sequence[Prompt]) -> list[list[Prompt]]:
    """Prompts that share a forward: of similar length, so that little of it is padding."""
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
