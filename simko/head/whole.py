"""Statistics of whole distributions, for the few rows that are looked at: a second product with W, without a gradient.

The sweep cannot give them: a count of candidates by mass, and a sum of powers of p, need the normaliser first. All logits of a
few rows are alive at a time, never of more than `CHUNK` of them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simko.head.sweep import raw_logits
from simko.sizes import CPU_TILE_ELEMENTS

CHUNK = CPU_TILE_ELEMENTS
"""Logits that are alive at once. They are float32; the arrays beside them take about 8 times as much."""
_BUCKETS = 0x3F80 + 1  # the upper half of the bits of 1.0, as float32, and zero


class WholeStatistics(NamedTuple):
    """Statistics of n whole distributions."""

    topk_logp: Float[Tensor, "n K"]
    candidates: Int[Tensor, "n"]
    """The fewest tokens that hold the mass together."""
    distinct: Float[Tensor, "n"]
    """Expected number of distinct tokens in G draws: sum over v of 1 - (1 - p_v)^G."""


@torch.no_grad()
def whole_statistics(
    hidden: Float[Tensor, "n D"],
    weight: Float[Tensor, "V D"],
    temperature: float,
    *,
    k: int,
    mass: float,
    draws: int,
    bias: Float[Tensor, "V"] | None = None,
    soft_cap: float | None = None,
    scale: float = 1.0,
) -> WholeStatistics:
    """Compute the statistics of `softmax(head(hidden) / temperature)` exactly, a few rows at a time.

    Args:
        hidden: (n, D) hidden states.
        weight, bias, soft_cap, scale: the head (see `simko.head.LmHead`).
        temperature: of the rollout, > 0.
        k: candidates, 1 <= k <= V.
        mass: in (0, 1), that `candidates` hold.
        draws: G of `distinct`, >= 1.
    """
    vocabulary, width = weight.shape[0], 4096
    rows = max(1, CHUNK // vocabulary)
    parts = []
    for start in range(0, max(len(hidden), 1), rows):
        h = hidden[start : start + rows]
        z = h.new_empty(len(h), vocabulary, dtype=torch.float32)
        for first in range(0, vocabulary, width):  # a whole weight in half precision would be copied to float32
            block = slice(first, first + width)
            z[:, block] = raw_logits(h, weight[block], None if bias is None else bias[block])
        z = z if scale == 1.0 else z.mul_(scale)
        z = z if soft_cap is None else torch.tanh(z / soft_cap) * soft_cap
        logp = z.div_(temperature).log_softmax(-1)
        p = logp.exp()
        # not 1 - (1 - p)^G, which loses every digit of a rare token
        distinct = -torch.expm1(torch.log1p(-p.clamp(max=1.0)) * draws).sum(-1, dtype=torch.float64)
        parts.append((logp.topk(k, dim=-1).values, holders(p, mass), distinct.float()))
    return WholeStatistics(*(torch.cat(column) for column in zip(*parts, strict=True)))


def holders(p: Float[Tensor, "n V"], mass: float) -> Int[Tensor, "n"]:
    """Return the fewest tokens that hold `mass` together, for each row of float32 probabilities. Nothing is sorted.

    The upper 16 bits of a positive float32 order it. They make buckets of almost equal p. The tokens of the buckets above the
    one that crosses the mass are counted, and only those of this one are ordered.
    """
    bits = (p.contiguous().view(torch.int32) >> 16).long()
    key = (_BUCKETS - 1 - bits).clamp_(0, _BUCKETS - 1)  # the likeliest first
    exact = p.double()
    masses = exact.new_zeros(len(p), _BUCKETS).scatter_add_(1, key, exact).cumsum_(1)
    counts = exact.new_zeros(len(p), _BUCKETS).scatter_add_(1, key, torch.ones_like(exact)).cumsum_(1)
    crossing = (masses < mass).sum(1, keepdim=True).clamp_(max=_BUCKETS - 1)
    before = (crossing - 1).clamp_(min=0)
    held = masses.gather(1, before).masked_fill_(crossing == 0, 0.0)
    number = counts.gather(1, before).masked_fill_(crossing == 0, 0.0)
    most = int((counts.gather(1, crossing) - number).max()) if len(p) else 0
    inside = exact.masked_fill(key != crossing, 0.0).topk(max(most, 1), dim=1).values
    short = (held + inside.cumsum(1) < mass).sum(1, keepdim=True) + 1
    return (number.long() + short)[:, 0]
