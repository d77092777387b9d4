"""Attention of packed rows, for unmodified transformers models: each row alone, padded only inside the attention itself.

The rest of a transformer works token by token, so packed rows (`simko.packing`) go through it unchanged. transformers' own
`AttentionInterface` hands attention to our function. Prompts attend to themselves. Answers of about equal length form a block,
and attend to their prompt's keys and their own. Sliding windows and soft caps work. Models that compute attention in another
way get padded rows: `packs` of `simko.agents.states` finds them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AttentionInterface

from simko.packing import PackedRows

NAME = "simko_packed"  # the attention function's name in transformers' registry
_WASTE = 1.25  # padded over real tokens of an attention block, at most


@dataclass
class Block:
    """n rows of at most T queries. They see at most P keys of their prompt (P is 0 in a block of prompts), and their own."""

    queries: Tensor  # (n * T,) places among the N tokens
    real: Tensor  # indices of those n * T that are not padding
    keys: Tensor  # (n * (P + T),) places among the N tokens
    before: Tensor  # (n,) prompt lengths; (1,) if all are equal
    width: int  # T
    prompt: int  # P
    masks: dict[Any, Tensor] = field(default_factory=dict)

    def mask(self, window: int | None, like: Tensor) -> Tensor | None:
        """Make the additive mask `(n or 1, 1, T, P + T)`; None if the kernel's own causal mask is right."""
        if not self.prompt and (window is None or window >= self.width):
            return None
        if (key := (window, like.dtype)) not in self.masks:
            step, earlier = (torch.arange(size, device=like.device) for size in (self.width, self.prompt))
            before = self.before[:, None, None]
            # from each query to each key, in tokens; below 0: the key comes later, or is padding of the prompt
            to_prompt = (before + step[:, None] - earlier).where(earlier < before, -1)
            to_row = (step[:, None] - step).expand(len(before), -1, -1)
            distance = torch.cat([to_prompt, to_row], 2)
            visible = (distance >= 0) & (distance < (window or len(step) + int(self.before.max()) + 1))
            additive = torch.zeros(visible.shape, dtype=like.dtype, device=like.device)
            self.masks[key] = additive.masked_fill_(~visible, -torch.inf)[:, None]
        return self.masks[key]


def blocks(rows: PackedRows, device: torch.device) -> list[Block]:
    """Split the attention of packed rows into blocks. Their real queries, one block after the other, are the N tokens."""
    prompts = np.array(rows.prompts, dtype=np.int64)
    owners, lengths = np.array(rows.answers, dtype=np.int64).reshape(-1, 2).T
    prompt_starts = np.cumsum([0, *prompts])
    answer_starts = prompt_starts[-1] + np.cumsum([0, *lengths])
    result = []
    for part in _alike(prompts):
        places = _padded(prompt_starts[:-1][part], prompts[part])
        result.append(_block(places, prompts[part], places[:, :0], np.zeros(1, dtype=np.int64), device))
    for part in _alike(lengths):
        before = prompts[owners[part]]
        prompt = _padded(prompt_starts[:-1][owners[part]], before)
        places = _padded(answer_starts[:-1][part], lengths[part])
        result.append(_block(places, lengths[part], prompt, before[:1] if len(set(before)) == 1 else before, device))
    return result


def attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *,
    packed_blocks: Sequence[Block], scaling: float | None = None, sliding_window: int | None = None,
    softcap: float | None = None, **other: Any,
) -> tuple[Float[Tensor, "1 N H d"], None]:  # fmt: skip
    """Attend within each block; the signature is transformers': query `[1, H, N, d]`, key and value `[1, Hkv, N, d]`.

    Raises:
        NotImplementedError: the model's attention has parts that this function does not know.
    """
    odd = [name for name in ("s_aux", "position_bias", "cache") if other.get(name) is not None]
    if odd or attention_mask is not None:
        raise NotImplementedError(f"attention with {odd or 'a mask'}")
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    out = []
    for block in packed_blocks:
        qb, kb, vb = (
            x.index_select(0, places).view(-1, length, *x.shape[1:]).transpose(1, 2)
            for x, places, length in (
                (q, block.queries, block.width),
                (k, block.keys, block.prompt + block.width),
                (v, block.keys, block.prompt + block.width),
            )
        )
        kb, vb = (_for_each_head(x, qb.shape[1]) for x in (kb, vb))
        mask = block.mask(sliding_window, qb)
        states = _attend(qb, kb, vb, mask, scaling, softcap).transpose(1, 2).flatten(0, 1)
        out.append(states if len(block.real) == len(states) else states.index_select(0, block.real))
    return torch.cat(out)[None], None


def register() -> None:
    """Register `attention` with transformers under `NAME`. It has no mask builder, so models build no mask for it."""
    AttentionInterface.register(NAME, attention)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scaling: float | None, softcap: float | None
) -> Tensor:
    if softcap is None:
        return nn.functional.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None, scale=scaling)
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = softcap * torch.tanh(scores / softcap)
    hidden = mask if mask is not None else torch.full(scores.shape[-2:], -torch.inf, device=q.device).triu(1)
    return torch.softmax(scores + hidden, -1, dtype=torch.promote_types(q.dtype, torch.float32)).to(q.dtype) @ v


def _for_each_head(x: Tensor, heads: int) -> Tensor:
    """Repeat keys or values for grouped queries: `[n, Hkv, S, d]` to `[n, H, S, d]`."""
    n, kv_heads, s, d = x.shape
    if kv_heads == heads:
        return x
    return x[:, :, None].expand(n, kv_heads, heads // kv_heads, s, d).reshape(n, heads, s, d)


def _block(
    places: NDArray[np.int64], lengths: NDArray[np.int64], prompt: NDArray[np.int64], before: NDArray[np.int64],
    device: torch.device,
) -> Block:  # fmt: skip
    real = np.flatnonzero((np.arange(places.shape[1]) < lengths[:, None]).ravel())
    keys = np.concatenate([prompt, places], axis=1)

    def tensor(array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array.ravel()).to(device)

    shape = {"width": places.shape[1], "prompt": prompt.shape[1]}
    return Block(tensor(places), tensor(real), tensor(keys), tensor(before), **shape)


def _padded(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lay the places of runs of tokens out as a matrix. A shorter run repeats its last place."""
    return starts[:, None] + np.minimum(np.arange(lengths.max()), lengths[:, None] - 1)


def _alike(lengths: NDArray[np.int64]) -> list[slice]:
    """Group rising `lengths` into slices that waste little if they are padded to their last length."""
    parts: list[slice] = []
    start, real = 0, 0
    for end, length in enumerate(lengths.tolist()):
        real += length
        if length * (end + 1 - start) > _WASTE * real:
            parts.append(slice(start, end))
            start, real = end, length
    return [*parts, slice(start, len(lengths))] if len(lengths) else []
