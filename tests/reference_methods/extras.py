"""Formulas of the two pages that belong to no method in the list, kept because the pages print numbers for them.

Read in: addendum, section 3 (nos. 2 and 7, and "Runners-up").
"""

from __future__ import annotations

import math

from reference_methods import grpo


def tail_miss(mass: float, tail: float, n: int) -> float:
    """Return the chance that a mixed group of n misses a rare right set of this mass (F-GRPO, no. 2)."""
    return (1.0 - tail) ** n - (mass - tail) ** n - (1.0 - mass) ** n


def unlikeliness_advantages(rewards: list[float], ranks: list[int], beta: float = 0.25) -> list[float]:
    """Return GRPO's advantages of `R (1 - beta rank / G)`; rank 0 is the least likely answer (arXiv 2506.02355, no. 7)."""
    size = len(rewards)
    return grpo.normalised([reward * (1.0 - beta * rank / size) for reward, rank in zip(rewards, ranks, strict=True)])


def bbg_gate(m: int, n: int, k: int) -> float:
    """Return `u(m; n, k) = k prod_{j=1..k-1} (n - m + j) / (n + 1 + j)` (arXiv 2606.15455)."""
    return k * math.prod((n - m + j) / (n + 1 + j) for j in range(1, k))


def darling_factor(cluster: int, group: int) -> float:
    """Return the factor on the quality of an answer whose cluster has this size (arXiv 2509.02534)."""
    return max(0.1, (group - cluster) / (group - 1))


def repo_r(advantage: float, probability: float, z: float = 0.1) -> float:
    """Return REPO-R's advantage of a token (arXiv 2603.11682)."""
    logp = math.log(probability)
    return advantage * (1.0 - z * logp) if advantage > 0 else advantage * (1.0 + z * logp)


def reco_ratio(probability: float, old_probability: float) -> float:
    """Return `p (1 - p) / (p_old (1 - p_old))`, what ReCo puts in the ratio's place (arXiv 2607.26862)."""
    return probability * (1.0 - probability) / (old_probability * (1.0 - old_probability))
