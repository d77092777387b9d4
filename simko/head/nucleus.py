"""Statistics of a part of the vocabulary: the entropy of the nucleus, and the log-prob among the tokens that are not rare.

Which tokens belong to the part is known only after the first sweep. The K candidates of that sweep settle every row whose part
ends among them, and such a row costs nothing: most rows of a trained model. The others take a second sweep.

Nucleus entropy (SIREN, arXiv 2509.25133; the cut as in the code of Linn3a/siren, commit fa59a8d): sort p, keep the largest prefix
whose mass is strictly below `nucleus_mass`, so without the token that crosses it. With q = p / mass of the prefix,

    H_n = -sum q log q,   dH_n/dz_v = -q_v (log q_v + H_n),   and H_n = 0 without a gradient if the prefix has 0 or 1 tokens.

The prefix is a constant for the gradient. It has at most `POOL` tokens. Among equal logits, any may be kept.

Proxy (Lp-Reg, arXiv 2510.03222): log p of the sampled token after all tokens with p < `min_p` max p are removed and the rest is
renormalised; `REMOVED` for a removed token. No gradient.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from simko.head.sweep import FAR, Columns, Tile, add_product_into, raw_logits
from simko.sizes import CPU_TILE_ELEMENTS

POOL = 10_000
_LEAST_ELEMENTS = CPU_TILE_ELEMENTS
REMOVED = -1.0e4


def prefix_entropy(sorted_logp: Tensor, mass: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return H_n (N,), log q and whether a candidate is kept (N, P), from log p in falling order, (N, P).

    H_n is differentiable in `sorted_logp`. A row of NaN gives NaN, and passes no gradient on.
    """
    # in float64, so that 10,000 terms add nothing; a sum that differs from the mass by rounding has reached it
    kept = sorted_logp.detach().double().exp().cumsum(-1) < mass * (1 - _rounding(sorted_logp))
    log_q = sorted_logp.masked_fill(~kept, FAR).log_softmax(-1)
    entropy = -(log_q.exp() * log_q).masked_fill(~kept, 0.0).sum(-1)
    return entropy.masked_fill(sorted_logp[:, 0].isnan(), torch.nan), log_q, kept


def nucleus_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, columns: Columns, factor: float, mass: float, tile: Tile
) -> Tensor:
    """Return H_n (N,), differentiable in `hidden`: by the candidates' log-probs, or by a second sweep."""
    pool = min(POOL, weight.shape[0])
    entropy, _, kept = prefix_entropy(columns.topk_logp[:, :pool], mass)
    rows = kept[:, -1].nonzero()[:, 0] if kept.shape[1] < pool else kept.new_empty(0)
    if len(rows) == 0:
        return entropy
    deep: Tensor = _SecondSweep.apply(hidden[rows], weight, bias, columns.lse[rows], factor, mass, tile)
    return entropy.index_copy(0, rows, deep)


class _SecondSweep(torch.autograd.Function):
    """H_n of rows whose nucleus goes beyond the candidates: all logits of a few rows at a time."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        lse: Tensor,
        factor: float,
        mass: float,
        tile: Tile,
    ) -> Tensor:
        """Keep dH_n/dh / factor, (N, D), for the backward."""
        (n, d), vocabulary = hidden.shape, weight.shape[0]
        entropy, grad = torch.empty_like(lse), lse.new_zeros(n if ctx.needs_input_grad[0] else 0, d)
        pool = min(POOL, vocabulary)
        # the tile is small where the rows are few; a candidate takes about 8 times the memory of a logit
        size = max(1, max(tile.rows * tile.width, _LEAST_ELEMENTS) // max(vocabulary, 8 * pool))
        space = lse.new_empty(min(size, n), vocabulary)
        for start in range(0, n, size):
            part = slice(start, min(start + size, n))
            z = space[: part.stop - start]
            for first in range(0, vocabulary, tile.width):
                block = slice(first, first + tile.width)
                z[:, block] = raw_logits(hidden[part], weight[block], None if bias is None else bias[block])
            top, ids = z.topk(pool, dim=-1)
            entropy[part], log_q, kept = prefix_entropy(top.mul_(factor).sub_(lse[part, None]), mass)
            if len(grad):
                _add_rows(grad[part], -log_q.exp() * (log_q + entropy[part, None]), ids, kept, weight, tile.width)
        ctx.save_for_backward(grad)
        ctx.factor, ctx.hidden_dtype = factor, hidden.dtype
        return entropy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the rows that were summed in the forward."""
        (grad,), g = ctx.saved_tensors, gradients[0][:, None]
        return (grad * (g * ctx.factor)).masked_fill_(g == 0, 0.0).to(ctx.hidden_dtype), *[None] * 6


def _add_rows(out: Tensor, coefficients: Tensor, ids: Tensor, kept: Tensor, weight: Tensor, width: int) -> None:
    """Add `sum over kept v of coefficient_v W_v` to each row of `out` (c, D). Only the rows of W that are kept are read."""
    tokens, places = ids[kept].unique(return_inverse=True)
    dense = coefficients.new_zeros(len(out), len(tokens))
    dense[kept.nonzero()[:, 0], places] = coefficients[kept]
    for start in range(0, len(tokens), width):
        block = slice(start, start + width)
        add_product_into(out, dense[:, block], weight[tokens[block]])


@torch.no_grad()
def proxy_logp(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, columns: Columns, factor: float, min_p: float, tile: Tile
) -> Tensor:
    """Return the proxy's log-prob of the sampled tokens, (N,)."""
    topk_logp, lse = columns.topk_logp, columns.lse
    least = least_kept(topk_logp, min_p)
    mass = kept_mass(topk_logp, least)
    rows = (topk_logp[:, -1] >= least).nonzero()[:, 0] if topk_logp.shape[1] < weight.shape[0] else ()
    for start in range(0, len(rows), tile.rows):
        part = rows[start : start + tile.rows]
        total = torch.zeros_like(lse[part])
        for first in range(0, weight.shape[0], tile.width):
            block = slice(first, first + tile.width)
            z = raw_logits(hidden[part], weight[block], None if bias is None else bias[block])
            total += kept_mass(z.mul_(factor).sub_(lse[part, None]), least[part])
        mass[part] = total
    return proxy_of(columns.logp, mass, least)


def proxy_of(logp: Tensor, mass: Tensor, least: Tensor) -> Tensor:
    """Renormalise log p (N,) to the mass of the kept tokens, (N,); `REMOVED` for what lies below `least`, (N,)."""
    return (logp - mass.log()).clamp_(max=0).masked_fill_(logp < least, REMOVED)


def least_kept(topk_logp: Tensor, min_p: float) -> Tensor:
    """Return the least log-prob that is not removed, (N,), from the candidates' in falling order, (N, K)."""
    return topk_logp[:, 0] + math.log(min_p) - _rounding(topk_logp)


def kept_mass(logp: Tensor, least: Tensor) -> Tensor:
    """Sum the probabilities that are not below `least` (N,): from (N, P) to (N,)."""
    return logp.exp().masked_fill_(logp < least[:, None], 0.0).sum(-1)


def _rounding(logp: Tensor) -> float:
    """How far, relatively, a probability may lie from its exact value: logits of usual size, not extreme ones."""
    return 16 * torch.finfo(logp.dtype).eps
