"""THR, token hidden reward (arXiv 2510.03669).

Within one mixed group, with the old policy's probabilities on V* (the ids that the group sampled; not renormalised) and
its last hidden states h:

    g_jt   = e_y - pi_old  on V*
    M+     = sum over right answers i of (1 / |y_i|) sum_k g_ik h_ik^T
    s_jt   = g_jt^T M+ h_jt
    THR_jt = (2 r_j - 1) s_jt,  r_j in {0, 1}
    A'_jt  = 1[|THR_jt| > tau] (1 + sign(THR_jt) p) A_j

Read in: addendum, section 1.1 (a detailed note on the paper; no code exists); reference page, section 3.1. p = -0.1
explores, +0.1 exploits; 0 only masks. The loss is GRPO's; a token with A' = 0 still counts in the token mean.

RECONSTRUCTED: tau. The addendum: "the average influence of one correct response's tokens on the other correct responses
(beta = 1, minimum over correct responses)"; with one right answer, its own mean. Read here as

    tau = beta * min over right i of mean_t g_it^T M+_{without i} h_it

`others_only=False` takes the full M+ instead (NTHR's formula as the reference page prints it). Groups that are all right
or all wrong have A = 0 and stay 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reference_methods import grpo
from reference_methods.arithmetic import log_probabilities, members
from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "influence", "loss_matrix", "scores", "shape", "threshold"]


def _lengths(mask: Tensor) -> list[list[int]]:
    """Return the places of the tokens of each response."""
    return [[t for t in range(mask.shape[1]) if bool(mask[j, t])] for j in range(mask.shape[0])]


def _errors(old_logits: Tensor, token_ids: Tensor, mask: Tensor) -> dict[tuple[int, int], list[float]]:
    """Return g_jt on V*, by (j, t)."""
    places = _lengths(mask)
    vocabulary = sorted({int(token_ids[j, t]) for j, inside in enumerate(places) for t in inside})
    result = {}
    for j, inside in enumerate(places):
        for t in inside:
            logp = log_probabilities(old_logits[j, t])
            result[j, t] = [(1.0 if v == int(token_ids[j, t]) else 0.0) - math.exp(float(logp[v])) for v in vocabulary]
    return result


def influence(
    old_logits: Tensor, hidden: Tensor, token_ids: Tensor, mask: Tensor, sources: list[int], j: int, t: int
) -> float:
    """Return g_jt^T M h_jt of one token, with M summed over the responses `sources`.

    One group: `old_logits` [N, T, V], `hidden` [N, T, D], `token_ids` and `mask` [N, T].
    """
    errors, places = _errors(old_logits, token_ids, mask), _lengths(mask)
    total = 0.0
    for i in sources:
        for k in places[i]:
            error_product = sum(a * b for a, b in zip(errors[j, t], errors[i, k], strict=True))
            hidden_product = sum(float(a) * float(b) for a, b in zip(hidden[j, t], hidden[i, k], strict=True))
            total += error_product * hidden_product / len(places[i])
    return total


def scores(old_logits: Tensor, hidden: Tensor, token_ids: Tensor, mask: Tensor, correct: Tensor) -> Tensor:
    """Return THR [N, T] of one group."""
    right = [j for j in range(len(correct)) if bool(correct[j])]
    result = torch.zeros(mask.shape, dtype=torch.float64)
    for j, inside in enumerate(_lengths(mask)):
        for t in inside:
            s = influence(old_logits, hidden, token_ids, mask, right, j, t)
            result[j, t] = s if bool(correct[j]) else -s
    return result


def threshold(
    old_logits: Tensor,
    hidden: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    correct: Tensor,
    *,
    beta: float = 1.0,
    others_only: bool = True,
) -> float:
    """Return tau of one group with at least one right answer."""
    places = _lengths(mask)
    right = [j for j in range(len(correct)) if bool(correct[j]) and places[j]]
    averages = []
    for i in right:
        sources = [j for j in right if j != i] if others_only and len(right) > 1 else right
        values = [influence(old_logits, hidden, token_ids, mask, sources, i, t) for t in places[i]]
        averages.append(math.fsum(values) / len(values))
    return beta * min(averages)


def shape(score: float, advantage: float, tau: float, p: float = -0.1) -> float:
    """Return A' of one token."""
    if not abs(score) > tau:
        return 0.0
    sign = (score > 0) - (score < 0)
    return (1.0 + sign * p) * advantage


def advantages(
    rewards: Tensor,
    correct: Tensor,
    groups: Tensor,
    old_logits: Tensor,
    hidden: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    *,
    p: float = -0.1,
    tau: float | None = None,
    beta: float = 1.0,
    others_only: bool = True,
) -> Tensor:
    """Return the advantages [B, T]."""
    base = grpo.advantages(rewards, groups)
    result = torch.zeros(mask.shape, dtype=torch.float64)
    for rows in members(groups):
        if sum(bool(correct[b]) for b in rows) in (0, len(rows)):
            continue
        group = (old_logits[rows], hidden[rows], token_ids[rows], mask[rows], correct[rows])
        score = scores(*group)
        limit = threshold(*group, beta=beta, others_only=others_only) if tau is None else tau
        for j, b in enumerate(rows):
            for t in range(mask.shape[1]):
                if bool(mask[b, t]):
                    result[b, t] = shape(float(score[j, t]), float(base[b]), limit, p)
    return result
