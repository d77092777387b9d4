"""RLOO (arXiv 2402.14740): each answer against the mean of the others of its group.

    A_i = R_i - mean_{j != i} R_j = n / (n - 1) (R_i - mean_g)

Read in: addendum, section 1.0 (only the weight n/(n-1)). RECONSTRUCTED: the loss. The pages name none, so it is the
clipped token loss of GRPO with the token mean over the step. A group of one gives 0; so do equal rewards, exactly.
"""

from __future__ import annotations

from torch import Tensor

from reference_methods.arithmetic import all_equal, by_group, mean
from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "loss_matrix"]


def advantages(rewards: Tensor, groups: Tensor) -> Tensor:
    """Return the advantages [B]."""

    def left_out(rows: list[int]) -> list[float]:
        values = [float(rewards[b]) for b in rows]
        if all_equal(values):
            return [0.0] * len(values)
        return [value - mean(values[:i] + values[i + 1 :]) for i, value in enumerate(values)]

    return by_group(groups, left_out)
