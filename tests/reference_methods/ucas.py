"""UCAS, uncertainty-aware advantage shaping (arXiv 2510.10649).

    C_it = KL(uniform || p) = logsumexp(z) - mean_v z_v - log V      c_i = mean over tokens of C_it
    c~_i = (c_i - mean_g) / (std_g + 1e-6), std over n - 1
    w_i  = exp(-0.25 c~_i) if A_i > 0, else exp(+0.35 c~_i)          A_i = GRPO's
    u_it = logit of the sampled token before the temperature, min-max scaled over all tokens of the step, to [0, 1]
    A'_it = A_i w_i - 0.05 u_it;   if A_i w_i > 0: at least 0

Read in: reference page, section 3.3; addendum, section 1.3 (code xvolcano02/UCAS b122ff2 `compute_ucas_advantage`).
The loss is GRPO's.
Decided here, as the addendum recommends: the masked MEAN of KL(U||p) (the code has the sum, which grows with length and
with log V). As in the code: `(x - min) / (max - min + 1e-6)`, 0.5 everywhere if all logits are equal; a group with equal
rewards has A = 0 and still gets -0.05 u (`penalise_equal_groups=False` turns it off). A group of one is skipped: 0.
C is of the old pass, at the sampling temperature.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reference_methods import grpo
from reference_methods.arithmetic import all_equal, bessel_std, flat_tokens, mean, members, table
from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "certainty", "loss_matrix", "scaled_logits", "shape"]


def certainty(logits: Tensor, mask: Tensor) -> Tensor:
    """Return KL(uniform || p) [B, T] in nats."""

    def cell(b: int, t: int) -> Tensor:
        row, V = logits[b, t], logits.shape[-1]
        top = row.max()
        return top + torch.log(torch.exp(row - top).sum()) - row.sum() / V - math.log(V)

    return table(mask, cell, logits)


def scaled_logits(raw_logit: Tensor, mask: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Return u [B, T] from the raw logits of the sampled tokens [B, T]."""
    places = flat_tokens(mask)
    low = min(float(raw_logit[b, t]) for b, t in places)
    high = max(float(raw_logit[b, t]) for b, t in places)

    def cell(b: int, t: int) -> float:
        return 0.5 if low == high else (float(raw_logit[b, t]) - low) / (high - low + epsilon)

    return table(mask, cell, torch.zeros((), dtype=torch.float64))


def shape(
    advantage: float,
    z_score: float,
    u: float,
    *,
    positive: float = 0.25,
    negative: float = 0.35,
    token_penalty: float = 0.05,
) -> float:
    """Return A' of one token."""
    product = advantage * math.exp(-positive * z_score if advantage > 0 else negative * z_score)
    value = product - token_penalty * u
    return max(value, 0.0) if product > 0 else value


def advantages(
    rewards: Tensor,
    groups: Tensor,
    certainty: Tensor,
    raw_logit: Tensor,
    mask: Tensor,
    *,
    positive: float = 0.25,
    negative: float = 0.35,
    token_penalty: float = 0.05,
    penalise_equal_groups: bool = True,
    epsilon: float = 1e-6,
) -> Tensor:
    """Return the advantages [B, T] from `certainty` and `raw_logit` [B, T] of the old pass."""
    base, u = grpo.advantages(rewards, groups, epsilon=epsilon), scaled_logits(raw_logit, mask, epsilon)
    result = torch.zeros(mask.shape, dtype=torch.float64)
    for rows in members(groups):
        equal = all_equal([float(rewards[b]) for b in rows])
        if len(rows) == 1 or (equal and not penalise_equal_groups):
            continue
        inside = {b: [t for t in range(mask.shape[1]) if bool(mask[b, t])] for b in rows}
        levels = {b: mean([float(certainty[b, t]) for t in inside[b]]) if inside[b] else 0.0 for b in rows}
        centre, spread = mean(list(levels.values())), bessel_std(list(levels.values()))
        for b in rows:
            z_score = (levels[b] - centre) / (spread + epsilon)
            for t in inside[b]:
                result[b, t] = shape(
                    float(base[b]),
                    z_score,
                    float(u[b, t]),
                    positive=positive,
                    negative=negative,
                    token_penalty=token_penalty,
                )
    return result
