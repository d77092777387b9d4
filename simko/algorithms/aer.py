"""AER-style adaptive entropy regularisation, after arXiv 2510.10959. Reconstructed: its formula is published nowhere we can read.

The abstract says three things. Each prompt has a coefficient by its difficulty. The target is a fraction of the initial entropy.
A global coefficient follows the target. This is our design of it:

    H*    = kappa H_0                                     H_0: mean entropy of the first step
    lam  <- clip(lam + step, 0, lam_max)                  step = eta (H* - H), at most a tenth of lam_max either way
    w_g   = max(0, (rho - acc_g) / rho), scaled to mean 1 over the step's groups      acc_g: share of right answers
    L     = L_GRPO - lam w_g H_t                          H with a gradient

When to use it: take it if entropy falls early in a run, and hard problems still have answers to find. Harder problems get
more of the bonus, and problems that are solved more often than rho get none. The bonus grows while entropy is below its
target, and shrinks above it. We have not compared it with other methods.

kappa .4 is the value that a digest of the paper gives; rho, eta and lam_max are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simko.algorithms.grpo import ClippedLoss
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Loss, Prepared, Stat, State, StepStats, TokenStats
from simko.config import setting


@part
@dataclass(frozen=True)
class AERLoss(ClippedLoss):
    """GRPO's loss with an entropy bonus for hard problems, as large as the entropy needs."""

    name: ClassVar[str] = "aer"

    aer_kappa: float = setting(0.4, "target entropy as a share of the first step's", minimum=0.0, maximum=1.0)
    aer_rho: float = setting(0.5, "problems solved more often than this get no bonus", above=0.0, maximum=1.0)
    aer_eta: float = setting(0.005, "gain of the controller, per nat", minimum=0.0)
    aer_start: float = setting(0.0, "weight of the entropy at the first step", minimum=0.0)
    aer_max: float = setting(0.05, "largest weight of the entropy", minimum=0.0)

    @property
    def needs_new(self) -> frozenset[Stat]:  # noqa: D102
        return super().needs_new | {"entropy_grad"}

    @property
    def every_row(self) -> bool:  # noqa: D102
        return True

    def initial_state(self) -> State:  # noqa: D102
        return {"weight": min(self.aer_start, self.aer_max)}

    def prepare(self, step: StepStats, advantage: Float[Tensor, "B T"], state: State) -> Prepared:  # noqa: D102
        weight = state.get("weight", self.aer_start)
        difficulty = group_difficulty(step.correct, step.group, self.aer_rho)
        return Prepared(
            constants={"bonus": (weight * difficulty).to(step.advantage)}, metrics={"aer_weight": float(weight)}
        )

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        plain = super().loss(stats)
        return replace(plain, matrix=plain.matrix - stats.constants["bonus"][:, None] * stats.entropy)

    def end_step(self, state: State, metrics: Mapping[str, Any]) -> State:  # noqa: D102
        if "entropy" not in metrics:
            return state
        start = state.get("first_entropy", metrics["entropy"])
        most = 0.1 * self.aer_max
        move = max(-most, min(most, self.aer_eta * (self.aer_kappa * start - metrics["entropy"])))
        return {"first_entropy": start, "weight": max(0.0, min(self.aer_max, state.get("weight", 0.0) + move))}


def group_difficulty(correct: Bool[Tensor, "B"], group: Int[Tensor, "B"], rho: float) -> Float[Tensor, "B"]:
    """`max(0, (rho - accuracy) / rho)` of each row's group, scaled so that its mean over groups is 1 (0 if all are 0)."""
    groups, place = torch.unique(group, return_inverse=True)
    right, size = (torch.zeros(len(groups), dtype=torch.float64, device=group.device) for _ in range(2))
    right.index_add_(0, place, correct.to(right))
    size.index_add_(0, place, torch.ones_like(correct).to(size))
    weight = ((rho - right / size) / rho).clamp(min=0)
    total = weight.sum()
    return (weight * len(groups) / total if float(total) > 0 else weight)[place]


method(
    "aer",
    loss="aer",
    evidence="reconstructed",
    title="AER-style: an entropy bonus for hard problems that follows a target (after arXiv 2510.10959)",
    source="arXiv 2510.10959 (abstract and digest); the formula is ours",
)
