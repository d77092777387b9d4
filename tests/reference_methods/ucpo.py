"""UCPO, uniform-correct policy optimisation (arXiv 2605.00365).

Among the n_c >= 2 right answers of a group:

    q_i = softmax_i(mean over tokens of log pi_old), at least 1e-6
    w_i = n_c ((1 - tau) / n_c + tau (1 / q_i) / sum_j (1 / q_j)),   A_i <- w_i A_i

Wrong answers keep GRPO's advantage. sum w = n_c.
Read in: addendum, section 3.4 (code AnamikaLochab/UCPO 93ce506 `compute_dgrpo_advantage_outcome_invq_l`; the paper
describes another penalty, the code stands). tau = 0.2 (scripts). Loss: GRPO's.
Decided here: w_i multiplies each answer's own A_i (the code multiplies that of the first right answer, which is the same
for binary rewards). Pass summed log-probs for `length_norm=False`. epsilon 1e-6 as in GRPO (that code has 1e-8).
"""

from __future__ import annotations

import math

from torch import Tensor

from reference_methods import grpo
from reference_methods.arithmetic import by_group
from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "loss_matrix", "weights", "weights_of_shares"]


def weights_of_shares(shares: list[float], tau: float = 0.2) -> list[float]:
    """Return the weights of right answers with probabilities q among themselves."""
    inverse = [1.0 / max(q, 1e-6) for q in shares]
    n = len(shares)
    return [n * ((1.0 - tau) / n + tau * value / sum(inverse)) for value in inverse]


def weights(logp: list[float], tau: float = 0.2) -> list[float]:
    """Return the weights of right answers with these log-probs (one a sequence)."""
    top = max(logp)
    masses = [math.exp(value - top) for value in logp]
    return weights_of_shares([mass / sum(masses) for mass in masses], tau)


def advantages(
    rewards: Tensor, correct: Tensor, groups: Tensor, mean_old_logp: Tensor, *, tau: float = 0.2, epsilon: float = 1e-6
) -> Tensor:
    """Return the advantages [B]. `mean_old_logp` is [B]."""

    def values(rows: list[int]) -> list[float]:
        base = grpo.normalised([float(rewards[b]) for b in rows], epsilon)
        right = [i for i, b in enumerate(rows) if bool(correct[b])]
        if len(right) < 2:
            return base
        for i, weight in zip(right, weights([float(mean_old_logp[rows[i]]) for i in right], tau), strict=True):
            base[i] = weight * base[i]
        return base

    return by_group(groups, values)
