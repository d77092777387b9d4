"""The loss head: hidden states and lm_head to per-token statistics, in one sweep over the vocabulary.

With LoRA the lm_head `W (V, D)` is frozen, so a loss needs `dL/dh` and never `dL/dW`. With `z = scale * h W^T / temperature` and
`p = softmax(z)`, every method here reads log p of the sampled id and of the K most likely ids, the entropy of p, and whether
the sampled id is the most likely one. The forward computes them in row chunks (the only place where logits exist) and, while
the chunk is at hand, `Wbar = E_p[W] (N, D)`. The backward is then a gather, not a second product with the vocabulary:

    dL/dh = scale / temperature * ( sum_j g_j W[id_j]  -  (sum_j g_j) Wbar ),     j over the sampled id and the K candidates

which is exact, since `d log p_j / dz = e_j - p`. No (N, V) tensor outlives its chunk. A head that is trained, biased or
soft-capped takes the slower path: the same statistics by autograd, one checkpointed chunk at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_CHUNK_BYTES = 64 * 2**20  # of float32 logits alive at once


@dataclass(frozen=True)
class LmHead:
    """The output layer of a causal LM: `logits = soft_cap * tanh(scale * (h W^T + bias) / soft_cap)`."""

    weight: Float[Tensor, "V D"]
    bias: Float[Tensor, "V"] | None = None
    soft_cap: float | None = None
    scale: float = 1.0

    @torch.no_grad()
    def logits(self, hidden: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """For decoding: all logits, accumulated and returned in float32 (float64 for float64), without a gradient."""
        z = _product(hidden, self.weight.t())
        z = z if self.bias is None else z + self.bias
        z = z if self.scale == 1.0 else z * self.scale
        return z if self.soft_cap is None else self.soft_cap * torch.tanh(z / self.soft_cap)


class TokenStatistics(NamedTuple):
    """What the losses read of N tokens. Log-probs are natural logarithms; entropy is in nats and carries no gradient."""

    logp: Float[Tensor, "N"]
    topk_logp: Float[Tensor, "N K"]
    topk_ids: Int[Tensor, "N K"]
    entropy: Float[Tensor, "N"]
    is_top1: Bool[Tensor, "N"]


def token_statistics(
    hidden: Float[Tensor, "N D"],
    weight: Float[Tensor, "V D"],
    sampled_ids: Int[Tensor, "N"],
    k: int = 3,
    temperature: float = 1.0,
    *,
    bias: Float[Tensor, "V"] | None = None,
    soft_cap: float | None = None,
    scale: float = 1.0,
    chunk_rows: int | None = None,
) -> TokenStatistics:
    """Statistics of `softmax(head(hidden) / temperature)`, untruncated, with the gradient to `hidden`.

    Args:
        hidden: (N, D) last hidden states of the N positions that predict `sampled_ids`.
        weight: (V, D) lm_head.
        sampled_ids: (N,) ids in [0, V).
        k: number of candidates tracked, 1 <= k <= V; `topk_ids` is ordered by falling probability.
        temperature: of the rollout, > 0.
        bias, soft_cap, scale: the rest of the head (see `LmHead`).
        chunk_rows: rows whose logits are alive at once; chosen from V where None.

    Returns:
        `TokenStatistics`; `logp` and `topk_logp` are differentiable in `hidden` (and in a trained `weight` or `bias`).
        Float32 for half-precision inputs, else the dtype of `hidden`.

    Raises:
        ValueError: k, temperature or an id out of range, or shapes that do not fit.
    """
    _check(hidden, weight, sampled_ids, k, temperature)
    rows = chunk_rows or max(1, _CHUNK_BYTES // (4 * weight.shape[0]))
    trained = weight.requires_grad or (bias is not None and bias.requires_grad)
    if trained or bias is not None or soft_cap is not None:
        return _slow(hidden, LmHead(weight, bias, soft_cap, scale), sampled_ids, k, temperature, rows)
    out = _OneSweep.apply(hidden, weight, sampled_ids, k, scale / temperature, rows)
    return TokenStatistics(*out)


class _OneSweep(torch.autograd.Function):
    """Forward: one sweep over the vocabulary a chunk. Backward: a gather of K + 1 rows of the head."""

    @staticmethod
    def forward(ctx, hidden, weight, sampled_ids, k, factor, rows):  # type: ignore[no-untyped-def]
        n = hidden.shape[0]
        dtype = _accumulate_dtype(hidden.dtype)
        need_grad = ctx.needs_input_grad[0]
        logp = hidden.new_empty(n, dtype=dtype)
        topk_logp = hidden.new_empty(n, k, dtype=dtype)
        topk_ids = sampled_ids.new_empty(n, k)
        entropy = hidden.new_empty(n, dtype=dtype)
        wbar = hidden.new_empty(n if need_grad else 0, hidden.shape[1], dtype=dtype)
        for start in range(0, n, rows):
            part = slice(start, min(start + rows, n))
            z = _product(hidden[part], weight.t()).mul_(factor)
            logp[part], topk_logp[part], topk_ids[part], entropy[part], p = _read_logits(z, sampled_ids[part], k)
            if need_grad:
                wbar[part] = _product(p.to(weight.dtype), weight)
        ctx.save_for_backward(weight, sampled_ids, topk_ids, wbar)
        ctx.factor, ctx.hidden_dtype = factor, hidden.dtype
        is_top1 = topk_ids[:, 0] == sampled_ids
        ctx.mark_non_differentiable(topk_ids, entropy, is_top1)
        return logp, topk_logp, topk_ids, entropy, is_top1

    @staticmethod
    def backward(ctx, g_logp, g_topk, *_):  # type: ignore[no-untyped-def]
        weight, sampled_ids, topk_ids, wbar = ctx.saved_tensors
        grad = -(g_logp + g_topk.sum(-1))[:, None] * wbar
        grad += g_logp[:, None] * weight[sampled_ids].to(wbar.dtype)
        for j in range(topk_ids.shape[1]):
            grad += g_topk[:, j, None] * weight[topk_ids[:, j]].to(wbar.dtype)
        return grad.mul_(ctx.factor).to(ctx.hidden_dtype), None, None, None, None, None


def _read_logits(z: Tensor, ids: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """log p of `ids`, log p and ids of the top k, entropy, and p; `z` is overwritten with p."""
    top, topk_ids = z.topk(k, dim=-1)
    sampled = z.gather(-1, ids[:, None])[:, 0]
    z -= top[:, :1]
    shifted_entropy_sum, p = _exp_sums(z)
    mass = p.sum(-1)
    log_mass = mass.log()
    p /= mass[:, None]
    # log p <= 0 holds exactly: rounding of the sum must not turn a certain token into a positive log-prob
    logp = (sampled - top[:, 0] - log_mass).clamp_(max=0)
    topk_logp = (top - top[:, :1] - log_mass[:, None]).clamp_(max=0)
    entropy = (log_mass - shifted_entropy_sum / mass).clamp_(min=0)
    return logp, topk_logp, topk_ids, entropy, p


def _exp_sums(z: Tensor) -> tuple[Tensor, Tensor]:
    """`sum_v e^z z` (N,) and `e^z` for z <= 0; where e^z underflows to 0 and z is -inf the product counts 0."""
    p = z.exp()
    weighted = torch.linalg.vecdot(p, z)
    if not torch.isfinite(weighted).all():
        weighted = (p * z).nan_to_num(nan=0.0, neginf=0.0).sum(-1)
    return weighted, p


def _slow(hidden: Tensor, head: LmHead, sampled_ids: Tensor, k: int, temperature: float, rows: int) -> TokenStatistics:
    """Any head, by autograd; each chunk's logits are recomputed in the backward instead of kept."""

    def chunk(h: Tensor, weight: Tensor, bias: Tensor | None, ids: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dtype = _accumulate_dtype(h.dtype)
        z = h.to(dtype) @ weight.to(dtype).t()
        z = (z if bias is None else z + bias.to(dtype)) * head.scale
        z = z if head.soft_cap is None else head.soft_cap * torch.tanh(z / head.soft_cap)
        logits = torch.log_softmax(z / temperature, dim=-1)
        topk_logp, topk_ids = logits.topk(k, dim=-1)
        entropy = -(logits.exp() * logits).detach().nan_to_num(nan=0.0).sum(-1)
        return logits.gather(-1, ids[:, None])[:, 0], topk_logp, topk_ids, entropy

    parts = [
        checkpoint(chunk, hidden[s : s + rows], head.weight, head.bias, sampled_ids[s : s + rows], use_reentrant=False)
        for s in range(0, max(len(hidden), 1), rows)
    ]
    logp, topk_logp, topk_ids, entropy = (torch.cat(column) for column in zip(*parts, strict=True))
    return TokenStatistics(logp, topk_logp, topk_ids, entropy, topk_ids[:, 0] == sampled_ids)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` accumulated and returned in float32 (float64 for float64): logits rounded to bf16 would bias training."""
    if a.dtype in (torch.float32, torch.float64):
        return a @ b.to(a.dtype)
    if a.is_cuda:
        return torch.mm(a, b.to(a.dtype), out_dtype=torch.float32)
    return a.float() @ b.float()


def _accumulate_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _check(hidden: Tensor, weight: Tensor, sampled_ids: Tensor, k: int, temperature: float) -> None:
    vocabulary = weight.shape[0]
    if not 1 <= k <= vocabulary:
        raise ValueError(f"token_statistics: k is {k}, must lie in 1..{vocabulary} (the vocabulary)")
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"token_statistics: temperature is {temperature}, must be a finite number above 0")
    if hidden.shape[0] != sampled_ids.shape[0] or hidden.shape[1] != weight.shape[1]:
        raise ValueError(
            f"token_statistics: shapes do not fit: hidden {tuple(hidden.shape)}, weight {tuple(weight.shape)}, "
            f"sampled_ids {tuple(sampled_ids.shape)}"
        )
    if len(sampled_ids) and not (int(sampled_ids.min()) >= 0 and int(sampled_ids.max()) < vocabulary):
        raise ValueError(f"token_statistics: a sampled id lies outside 0..{vocabulary - 1}")
