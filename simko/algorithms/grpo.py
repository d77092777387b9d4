"""GRPO: group-relative policy optimisation (arXiv 2402.03300), with PPO's clipped ratio.

    A_i = (R_i - mean_g) / (std_g + 1e-6)                      one group g of G completions, std with Bessel's correction
    r   = pi(y_t) / pi_old(y_t)
    L_t = max(-A r, -A clip(r, 1 - clip_low, 1 + clip_high))  [+ kl_coefficient * KL(pi || pi_base), estimator k3]

When to use it: take it as your first run, and run it beside every other method: each changes some part of it. Expect pass@1
to rise, and pass@K to fall for large K. A problem whose answers are all right or all wrong teaches it nothing.

Departures: the loss is the mean over all tokens of the step, as in DAPO, verl and the SimKO code. The paper's mean is
`aggregation="sequence_mean"`. There is no KL term unless `kl_coefficient` asks for one. Equal rewards give exactly 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simko.advantages import group_normalised
from simko.algorithms.base import Advantage, LossPart
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Aggregation, Loss, Stat, TokenStats
from simko.config import setting
from simko.group_view import GroupView


@part
@dataclass(frozen=True)
class GroupNormalised(Advantage):
    """Rewards less the group's mean, over its standard deviation."""

    name: ClassVar[str] = "grpo"

    def group(self, view: GroupView) -> list[float]:  # noqa: D102
        return group_normalised(view.rewards)


@part
@dataclass(frozen=True)
class ClippedLoss(LossPart):
    """PPO's clipped ratio, and a KL term where one is asked for."""

    name: ClassVar[str] = "grpo"

    clip_low: float = setting(0.2, "ratio clipped at 1 - clip_low", minimum=0.0, maximum=1.0)
    clip_high: float = setting(0.2, "ratio clipped at 1 + clip_high", minimum=0.0)
    kl_coefficient: float = setting(0.0, "weight of KL to the base model (one more forward a step)", minimum=0.0)
    aggregation: Aggregation = setting("token_mean", "mean over tokens, over sequences, or over the token budget")

    @property
    def needs_new(self) -> frozenset[Stat]:  # noqa: D102
        return frozenset(("reference",)) if self.kl_coefficient > 0 else frozenset()

    @property
    def aggregate(self) -> Aggregation:  # noqa: D102
        return self.aggregation

    def inert(self, updates_per_batch: int) -> tuple[str, ...]:  # noqa: D102
        return ("clip_low", "clip_high") if updates_per_batch == 1 else ()

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        ratio = torch.exp(stats.logp - stats.old_logp)
        matrix, clipped = clipped_loss(ratio, stats.advantage, self.clip_low, self.clip_high)
        return Loss(matrix + kl_term(stats, self.kl_coefficient), {"clip_fraction": clipped})


def clipped_loss(
    ratio: Float[Tensor, "B T"], advantage: Float[Tensor, "B T"], clip_low: float, clip_high: float
) -> tuple[Float[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """Return PPO's pessimistic loss, and the tokens whose gradient the clip removed (arXiv 1707.06347, eq. 7)."""
    plain = -advantage * ratio
    clipped = -advantage * ratio.clamp(1 - clip_low, 1 + clip_high)
    return torch.maximum(plain, clipped), clipped > plain


def kl_term(stats: TokenStats, coefficient: float) -> Float[Tensor, "B T"] | float:
    """Return `coefficient * (e^d - d - 1)`, d = log pi_base - log pi: the k3 estimator of GRPO eq. 4. 0.0 if it is off."""
    if coefficient == 0.0:
        return 0.0
    assert stats.ref_logp is not None
    d = stats.ref_logp - stats.logp
    return coefficient * (torch.exp(d) - d - 1)


method(
    "grpo",
    title="GRPO, token mean, no KL (arXiv 2402.03300)",
    source="arXiv 2402.03300; verl core_algos.compute_grpo_outcome_advantage",
)
