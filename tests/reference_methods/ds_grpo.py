"""DS-GRPO, differential smoothing (arXiv 2511.19942).

    A_i = base_i - g_p lbar_i  if correct,   base_i + g_n lbar_i  if wrong
    base_i = (R_i - mean_g) / (std_g + 1e-6),  std over n;  lbar_i = mean over tokens of log pi_old

Read in: addendum, section 3.3 (a re-implementation, tajwarfahim/maxrl `compute_dsgrpo_outcome_advantage`; the paper was
not read). RECONSTRUCTED: g_p = g_n = 0.05, the length-normalised log-prob, the std over n, epsilon 1e-6.
Loss: GRPO's.
Decided here: a group with equal rewards learns, as in that code (`equal_groups=False` turns it off). "Wrong" is the
verdict (the code tests for a score of 0). A group of one has base 0 and keeps the smoothing term.
"""

from __future__ import annotations

from torch import Tensor

from reference_methods.arithmetic import all_equal, by_group, mean, population_std
from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "loss_matrix"]


def advantages(
    rewards: Tensor,
    correct: Tensor,
    groups: Tensor,
    mean_old_logp: Tensor,
    *,
    positive: float = 0.05,
    negative: float = 0.05,
    equal_groups: bool = True,
    epsilon: float = 1e-6,
) -> Tensor:
    """Return the advantages [B]. `mean_old_logp` is [B]."""

    def values(rows: list[int]) -> list[float]:
        group = [float(rewards[b]) for b in rows]
        equal = all_equal(group)
        if equal and not equal_groups:
            return [0.0] * len(rows)
        result = []
        for b, reward in zip(rows, group, strict=True):
            base = 0.0 if equal else (reward - mean(group)) / (population_std(group) + epsilon)
            logp = float(mean_old_logp[b])
            result.append(base - positive * logp if bool(correct[b]) else base + negative * logp)
        return result

    return by_group(groups, values)
