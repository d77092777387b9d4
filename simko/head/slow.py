"""The statistics by autograd, for a head that is trained or soft-capped: right, but slower than the sweep."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from simko.head.extras import Extras, Parts
from simko.head.nucleus import POOL, kept_mass, least_kept, prefix_entropy, proxy_of
from simko.head.sweep import FAR

_LOGITS_BYTES = 32 * 2**20  # of a chunk's logits in float32; autograd holds a few copies of them


def slow_statistics(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    soft_cap: float | None,
    scale: float,
    sampled_ids: Tensor,
    k: int,
    temperature: float,
    extras: Extras,
    rows: int | None = None,
) -> Parts:
    """Return what `simko.head.extras.swept_statistics` does. The backward recomputes each chunk's logits."""
    rows = rows or max(1, _LOGITS_BYTES // (4 * weight.shape[0]))
    dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    extra = extras.names

    def chunk(h: Tensor, w: Tensor, b: Tensor | None, ids: Tensor) -> Parts:
        z = h.to(dtype) @ w.to(dtype).t()
        z = (z if b is None else z + b.to(dtype)) * scale
        z = z if soft_cap is None else soft_cap * torch.tanh(z / soft_cap)
        all_logp = torch.log_softmax(z / temperature, dim=-1)
        topk_logp, topk_ids = all_logp.topk(k, dim=-1)
        detached = all_logp.detach()
        p_and_log = all_logp if "entropy_grad" in extra else detached
        # the clamp leaves out nothing, since p is 0 there, and keeps 0 * inf out of the gradient
        entropy = -(p_and_log.exp() * p_and_log.clamp(min=FAR)).sum(-1)
        logp = all_logp.gather(-1, ids[:, None])[:, 0]
        certainty = raw_logit = nucleus = proxy = None
        if "certainty" in extra:
            certainty = (-detached.mean(-1) - math.log(len(w))).clamp_(min=0)
        if "raw_logit" in extra:
            raw_logit = z.detach().gather(-1, ids[:, None])[:, 0]
        if "nucleus_entropy" in extra:
            nucleus = prefix_entropy(all_logp.topk(min(POOL, len(w)), dim=-1).values, extras.nucleus_mass)[0]
        if "proxy" in extra:
            least = least_kept(topk_logp.detach(), extras.min_p)
            proxy = proxy_of(logp.detach(), kept_mass(detached, least), least)
        return logp, topk_logp, topk_ids, entropy, certainty, raw_logit, nucleus, proxy

    differentiable = (0, 1, 6, *((3,) if "entropy_grad" in extra else ()))
    parts = [
        _Chunk.apply(chunk, differentiable, hidden[s : s + rows], weight, bias, sampled_ids[s : s + rows])
        for s in range(0, max(len(hidden), 1), rows)
    ]
    columns: Any = tuple(None if column[0] is None else torch.cat(column) for column in zip(*parts, strict=True))
    return columns


class _Chunk(torch.autograd.Function):
    """As `torch.utils.checkpoint`, but rows without an incoming gradient become zeros: their NaN would reach the gradient."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        chunk: Callable[..., Parts],
        differentiable: tuple[int, ...],
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        ids: Tensor,
    ) -> Parts:
        """Compute without a graph."""
        ctx.save_for_backward(hidden, weight, bias, ids)
        ctx.chunk, ctx.differentiable = chunk, differentiable
        out = chunk(hidden, weight, bias, ids)
        ctx.mark_non_differentiable(*(t for i, t in enumerate(out) if t is not None and i not in differentiable))
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Compute again, with a graph."""
        hidden, weight, bias, ids = ctx.saved_tensors
        incoming = {i: g for i in ctx.differentiable if (g := gradients[i]) is not None}
        alive = torch.stack([(g != 0)[:, None].flatten(1).any(1) for g in incoming.values()]).any(0)
        wanted = ctx.needs_input_grad[2:5]
        originals = (hidden.where(alive[:, None], 0), weight, bias)
        inputs = [t if t is None else t.detach().requires_grad_(w) for t, w in zip(originals, wanted, strict=True)]
        with torch.enable_grad():
            out = ctx.chunk(*inputs, ids)
        trained = [t for t, w in zip(inputs, wanted, strict=True) if t is not None and w]
        grads = iter(torch.autograd.grad([out[i] for i in incoming], trained, list(incoming.values())))
        return None, None, *(next(grads) if w else None for w in wanted), None
