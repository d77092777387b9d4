"""Several rewards without collapse: each is normalised in its group, then they are summed with their weights.

    A_i = sum_m weight_m (R_im - mean_g R_m) / (std_g R_m + 1e-6)

Read in: the issue's one sentence ("each normalised in its group before the weighted sum"). The reference pages have no
section on it, so all else is RECONSTRUCTED: std over n - 1 and epsilon as in GRPO; a reward that is equal in the group
adds exactly 0; no second normalisation of the sum over the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from reference_methods import grpo


def advantages(rewards: Tensor, groups: Tensor, weights: Sequence[float], *, epsilon: float = 1e-6) -> Tensor:
    """Return the advantages [B] from rewards [B, M] and M weights."""
    total = torch.zeros(rewards.shape[0], dtype=torch.float64)
    for m in range(rewards.shape[1]):
        total = total + weights[m] * grpo.advantages(rewards[:, m], groups, epsilon=epsilon)
    return total
