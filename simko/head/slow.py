"""The statistics by autograd, for a head that is trained or soft-capped: right, but slower than the sweep."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

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
    rows: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return log p (N,), top-K log p (N, K), their ids and entropy (N,). The backward recomputes each chunk's logits."""
    rows = rows or max(1, _LOGITS_BYTES // (4 * weight.shape[0]))
    dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32

    def chunk(h: Tensor, w: Tensor, b: Tensor | None, ids: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        z = h.to(dtype) @ w.to(dtype).t()
        z = (z if b is None else z + b.to(dtype)) * scale
        z = z if soft_cap is None else soft_cap * torch.tanh(z / soft_cap)
        logp = torch.log_softmax(z / temperature, dim=-1)
        topk_logp, topk_ids = logp.topk(k, dim=-1)
        detached = logp.detach()
        entropy = -(detached.exp() * detached).nan_to_num(nan=0.0).sum(-1)
        return logp.gather(-1, ids[:, None])[:, 0], topk_logp, topk_ids, entropy

    parts = [
        checkpoint(chunk, hidden[s : s + rows], weight, bias, sampled_ids[s : s + rows], use_reentrant=False)
        for s in range(0, max(len(hidden), 1), rows)
    ]
    logp, topk_logp, topk_ids, entropy = (torch.cat(column) for column in zip(*parts, strict=True))
    return logp, topk_logp, topk_ids, entropy
