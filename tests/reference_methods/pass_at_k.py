"""Pass@k training (arXiv 2508.10751).

    R = 1 - C(n-c, k) / C(n, k),  s = sqrt(R (1 - R))
    A+ = (1 - R) / (s + 1e-6)
    A- = (1 - R - C(n-c-1, k-1) / C(n-1, k-1)) / (s + 1e-6)

Read in: reference page, section 4.5; addendum, sections 1.0 and 1.8 (code RUCAIBox/Passk_Training c3ba575
`code/passk_adv.py`). C is 0 where there are too few to choose from, so that a group with fewer than k wrong answers
gives 0. The loss is GRPO's. Also the unbiased estimate of pass@k (reference page, section 1).

Decided here: it reads the verdict, not the reward (the code needs rewards of exactly 0 and 1). k = 4 (the pages: "use 4,
report"; the paper's own k is not verified). A group smaller than k cannot be counted and is refused with ValueError.
"""

from __future__ import annotations

import math

from torch import Tensor

from reference_methods.arithmetic import by_group
from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "estimate", "group_advantages", "loss_matrix"]


def group_advantages(correct: list[bool], k: int = 4, epsilon: float = 1e-6) -> list[float]:
    n, c = len(correct), sum(correct)
    if n < k:
        raise ValueError(f"a group of {n} has no pass@{k}")
    reward = 1.0 - math.comb(n - c, k) / math.comb(n, k)
    spread = math.sqrt(reward * (1.0 - reward)) + epsilon
    positive = (1.0 - reward) / spread
    if c == n:
        return [positive] * n
    negative = (1.0 - reward - math.comb(n - c - 1, k - 1) / math.comb(n - 1, k - 1)) / spread
    return [positive if right else negative for right in correct]


def advantages(correct: Tensor, groups: Tensor, *, k: int = 4, epsilon: float = 1e-6) -> Tensor:
    """Return the advantages [B]."""
    return by_group(groups, lambda rows: group_advantages([bool(correct[b]) for b in rows], k, epsilon))


def estimate(n: int, c: int, k: int) -> float:
    """Return the unbiased pass@k of c right answers among n."""
    if n - c < k:
        return 1.0
    missed = 1.0
    for j in range(n - c + 1, n + 1):
        missed *= 1.0 - k / j
    return 1.0 - missed
