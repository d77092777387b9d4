"""Attention of packed rows, for unmodified transformers models: by row, padded only inside the attention itself.

Everything else of a transformer works token by token, so packed rows (`simko.packing`) go through it as they are. Attention
is handed to a function of ours through transformers' own `AttentionInterface`: prompts attend to themselves; answers of
about equal length are gathered into a block and attend to their prompt's keys and their own. A sliding window and a soft
cap are kept. Models that compute attention otherwise are found out by `packs` and are fed padded rows.
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

NAME = "simko_packed"  # of the attention function, in transformers' registry
_WASTE = 1.25  # padded over real tokens of an attention block, at most


@dataclass
class Block:
    """n rows of at most T queries, which see their prompt (at most P keys; none in a block of prompts) and their own keys."""

    queries: Tensor  # (n * T,) places among the N tokens
    kept: Tensor  # those of the n * T that are no padding
    keys: Tensor  # (n * (P + T),) places
    before: Tensor  # (n,) prompt lengths; (1,) where they are equal
    width: int  # T
    prompt: int  # P
    masks: dict[Any, Tensor] = field(default_factory=dict)

    def mask(self, window: int | None, like: Tensor) -> Tensor | None:
        """Additive `(n or 1, 1, T, P + T)`, or None where the kernel's own causal mask is right."""
        if not self.prompt and (window is None or window >= self.width):
            return None
        if (key := (window, like.dtype)) not in self.masks:
            step, earlier = (torch.arange(size, device=like.device) for size in (self.width, self.prompt))
            before = self.before[:, None, None]
            own = (step[:, None] - step).expand(len(before), -1, -1)
            distance = torch.cat([(before + step[:, None] - earlier).where(earlier < before, -1), own], 2)
            seen = (distance >= 0) & (distance < (window or len(step) + int(self.before.max()) + 1))
            additive = torch.zeros(seen.shape, dtype=like.dtype, device=like.device)
            self.masks[key] = additive.masked_fill_(~seen, -torch.inf)[:, None]
        return self.masks[key]


def blocks(rows: PackedRows, device: torch.device) -> list[Block]:
    """The attention of packed rows as blocks, whose kept queries in order are the N tokens."""
    prompts = np.array(rows.prompts, dtype=np.int64)
    owners, lengths = np.array(rows.answers, dtype=np.int64).reshape(-1, 2).T
    starts = np.cumsum([0, *prompts])
    begins = starts[-1] + np.cumsum([0, *lengths])
    made = []
    for part in _alike(prompts):
        own = _padded(starts[:-1][part], prompts[part])
        made.append(_block(own, prompts[part], own[:, :0], np.zeros(1, dtype=np.int64), device))
    for part in _alike(lengths):
        before = prompts[owners[part]]
        prompt = _padded(starts[:-1][owners[part]], before)
        own = _padded(begins[:-1][part], lengths[part])
        made.append(_block(own, lengths[part], prompt, before[:1] if len(set(before)) == 1 else before, device))
    return made


def attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *,
    packed_blocks: Sequence[Block], scaling: float | None = None, sliding_window: int | None = None,
    softcap: float | None = None, **other: Any,
) -> tuple[Float[Tensor, "1 N H d"], None]:  # fmt: skip
    """transformers' attention signature: query `[1, H, N, d]`, key and value `[1, Hkv, N, d]`.

    Raises:
        NotImplementedError: a model whose attention has parts that this one does not know.
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
        got = _attend(qb, kb, vb, mask, scaling, softcap).transpose(1, 2).flatten(0, 1)
        out.append(got if len(block.kept) == len(got) else got.index_select(0, block.kept))
    return torch.cat(out)[None], None


def register() -> None:
    """Make `attention` known to transformers by `NAME`; it has no mask builder, so models build no mask for it."""
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
    """Keys or values of grouped queries, repeated: `[n, Hkv, S, d]` to `[n, H, S, d]`."""
    n, own, s, d = x.shape
    return x if own == heads else x[:, :, None].expand(n, own, heads // own, s, d).reshape(n, heads, s, d)


def _block(
    own: NDArray[np.int64], lengths: NDArray[np.int64], prompt: NDArray[np.int64], before: NDArray[np.int64],
    device: torch.device,
) -> Block:  # fmt: skip
    kept = np.flatnonzero((np.arange(own.shape[1]) < lengths[:, None]).ravel())
    keys = np.concatenate([prompt, own], axis=1)
    queries, kept_, keys_, before_ = (torch.from_numpy(a.ravel()).to(device) for a in (own, kept, keys, before))
    return Block(queries, kept_, keys_, before_, width=own.shape[1], prompt=prompt.shape[1])


def _padded(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of runs of tokens as a matrix; a shorter run repeats its last place."""
    return starts[:, None] + np.minimum(np.arange(lengths.max()), lengths[:, None] - 1)


def _alike(lengths: NDArray[np.int64]) -> list[slice]:
    """Runs of rising `lengths` that waste little when padded to the last of them."""
    parts: list[slice] = []
    start, real = 0, 0
    for end, length in enumerate(lengths.tolist()):
        real += length
        if length * (end + 1 - start) > _WASTE * real:
            parts.append(slice(start, end))
            start, real = end, length
    return [*parts, slice(start, len(lengths))] if len(lengths) else []
