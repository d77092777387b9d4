"""Clip-Cov (arXiv 2505.22617): PPO's loss, times 0 at a few random tokens whose covariance lies strictly within (1, 5).

Read in: reference page, section 4.3; addendum, section 1.8 (code PRIME-RL/Entropy-Mechanism-of-RL 8850579). Clip 1 / 1
(ratios within [0, 2]), as in the scripts; tokens that the clip already holds are no candidates; the number of picks is
`max(1, int(2e-4 * tokens))`, at most the candidates. Token mean; advantages of GRPO.
Decided here: randomness is an argument. `picks` takes an order of the candidates; `loss_matrix` takes what was dropped.
The covariance is of the policy whose log-probs are passed, over the whole step. "Clipped" means that the clipped loss is
strictly larger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from reference_methods import grpo
from reference_methods.arithmetic import flat_tokens, per_token, table
from reference_methods.covariance import covariances
from reference_methods.grpo import advantages, aggregate

__all__ = ["advantages", "aggregate", "candidates", "loss_matrix", "pick_count", "picks"]


def candidates(
    advantages: Tensor,
    logp: Tensor,
    old_logp: Tensor,
    mask: Tensor,
    *,
    low: float = 1.0,
    high: float = 5.0,
    clip_low: float = 1.0,
    clip_high: float = 1.0,
) -> list[tuple[int, int]]:
    """Return the places (b, t) that may be dropped, row after row."""
    advantage, values = per_token(advantages, mask), covariances(advantages, logp, mask)
    result = []
    for b, t in flat_tokens(mask):
        a, ratio = float(advantage[b, t]), math.exp(float(logp[b, t]) - float(old_logp[b, t]))
        clipped = -a * min(max(ratio, 1.0 - clip_low), 1.0 + clip_high) > -a * ratio
        if low < float(values[b, t]) < high and not clipped:
            result.append((b, t))
    return result


def pick_count(tokens: int, available: int, *, fraction: float = 2e-4) -> int:
    return min(max(1, int(fraction * tokens)), available)


def picks(places: Sequence[tuple[int, int]], order: Sequence[int], mask: Tensor, *, fraction: float = 2e-4) -> Tensor:
    """Return [B, T]: True at the places dropped, the first ones of `order` (a permutation of the candidates)."""
    result = torch.zeros_like(mask, dtype=torch.bool)
    for index in list(order)[: pick_count(len(flat_tokens(mask)), len(places), fraction=fraction)]:
        b, t = places[index]
        result[b, t] = True
    return result


def loss_matrix(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    dropped: Tensor,
    clip_low: float = 1.0,
    clip_high: float = 1.0,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return the token losses [B, T], 0 at `dropped` [B, T]."""
    del frozen_logits
    matrix = grpo.loss_matrix(logits, token_ids, mask, old_logp, advantages, clip_low=clip_low, clip_high=clip_high)
    return table(mask, lambda b, t: matrix.new_zeros(()) if bool(dropped[b, t]) else matrix[b, t], logits)
