"""MaxRL (arXiv 2602.02710): `A_i = (R_i - p) / (p + 1e-6)`, p = share of right answers in the group; p = 0 gives 0.

Read in: addendum, sections 1.0 and 3.1 (code tajwarfahim/maxrl c0698eb `compute_maxrl_outcome_advantage`).
Loss: clip 0.2 / 0.2, token mean, no KL.
Decided here: it reads the verdict (the addendum: "Statistics: correct"). A group of one gives 0 (the code would give
R times 1e6), and so does a group that is all right, exactly.
"""

from __future__ import annotations

from torch import Tensor

from reference_methods.arithmetic import by_group
from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "loss_matrix"]


def advantages(correct: Tensor, groups: Tensor, *, epsilon: float = 1e-6) -> Tensor:
    """Return the advantages [B]."""

    def values(rows: list[int]) -> list[float]:
        rewards = [1.0 if bool(correct[b]) else 0.0 for b in rows]
        p = sum(rewards) / len(rewards)
        if p in (0.0, 1.0):
            return [0.0] * len(rewards)
        return [(reward - p) / (p + epsilon) for reward in rewards]

    return by_group(groups, values)
