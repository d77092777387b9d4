"""GSPO and CISPO: other importance ratios.

    gspo    s_i = exp(mean_t (l - l_old)),  s_it = sg(s_i) exp(l - sg(l));  PPO's clip with s_it, 3e-4 and 4e-4 (arXiv 2507.18071)
    cispo   L = -sg(min(r, cap)) A l                                                                (arXiv 2506.13585)

When to use `gspo`: take it with several updates a rollout batch and long answers, where the ratios of single tokens are
noisy. It takes one advantage an answer, so advantages by token are refused beside it. With one update it is REINFORCE with
GRPO's advantages. We have not compared it with other methods.

When to use `cispo`: take it with several updates a rollout batch, if a clip takes the gradient of tokens that matter. CISPO
caps their weight and keeps their gradient. With one update it is REINFORCE with GRPO's advantages. We have not compared it
with other methods.

- GSPO's mean is over sequences. log s is at most 10, as in verl.
- CISPO's paper gives no number for the cap: 5 is that of ScaleRL (TRL's `epsilon_high`).
- The value of CISPO's loss means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from simko.algorithms.base import LossPart
from simko.algorithms.grpo import ClippedLoss, clipped_loss, kl_term
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Loss, TokenStats
from simko.config import setting


@part
@dataclass(frozen=True)
class GSPOLoss(ClippedLoss):
    """PPO's clip with the geometric mean of an answer's ratios."""

    name: ClassVar[str] = "gspo"
    needs_several_updates: ClassVar[bool] = True

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        gap = (stats.logp - stats.old_logp).masked_fill(~stats.mask, 0.0).detach()
        mean = gap.sum(-1, keepdim=True) / stats.mask.sum(-1, keepdim=True).clamp(min=1)
        ratio = torch.exp(mean.clamp(max=10.0)) * torch.exp(stats.logp - stats.logp.detach())
        matrix, clipped = clipped_loss(ratio, stats.advantage, self.clip_low, self.clip_high)
        return Loss(matrix + kl_term(stats, self.kl_coefficient), {"clip_fraction": clipped})


@part
@dataclass(frozen=True)
class CISPOLoss(LossPart):
    """REINFORCE with a capped ratio as a constant weight."""

    name: ClassVar[str] = "cispo"
    needs_several_updates: ClassVar[bool] = True

    ratio_cap: float = setting(5.0, "largest weight of a token", above=0.0)

    def inert(self, updates_per_batch: int) -> tuple[str, ...]:  # noqa: D102
        return ("ratio_cap",) if updates_per_batch == 1 and self.ratio_cap >= 1 else ()

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        ratio = torch.exp(stats.logp - stats.old_logp).detach()
        matrix = -ratio.clamp(max=self.ratio_cap) * stats.advantage * stats.logp
        return Loss(matrix, {"clip_fraction": ratio > self.ratio_cap})


method(
    "gspo",
    loss="gspo",
    defaults={"clip_low": 3e-4, "clip_high": 4e-4, "aggregation": "sequence_mean"},
    title="GSPO: one ratio for a whole answer (arXiv 2507.18071)",
    source="arXiv 2507.18071; verl and TRL, gspo",
)
method(
    "cispo",
    loss="cispo",
    title="CISPO: the clip is on the weight, not on the gradient (arXiv 2506.13585)",
    source="arXiv 2506.13585; huggingface/trl f2cd57710",
)
