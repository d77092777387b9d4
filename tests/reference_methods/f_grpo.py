"""F-GRPO (arXiv 2602.06717): GRPO's advantages times `(1 - c/n)^gamma`, gamma = 0.5.

Read in: addendum, sections 1.0 and 3.2. Loss: clip 0.2 / 0.2, token mean, no KL (F-DAPO: 0.2 / 0.28; F-CISPO: cispo).
c counts verdicts, R are the rewards: with shaped rewards the two differ, and the factor keeps to the verdicts.
"""

from __future__ import annotations

from torch import Tensor

from reference_methods import grpo
from reference_methods.arithmetic import by_group
from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "loss_matrix"]


def advantages(
    rewards: Tensor, correct: Tensor, groups: Tensor, *, gamma: float = 0.5, epsilon: float = 1e-6
) -> Tensor:
    """Return the advantages [B]."""

    def values(rows: list[int]) -> list[float]:
        base = grpo.normalised([float(rewards[b]) for b in rows], epsilon)
        solved = sum(bool(correct[b]) for b in rows) / len(rows)
        return [(1.0 - solved) ** gamma * value for value in base]

    return by_group(groups, values)
