"""ASPO: asymmetric importance sampling (arXiv 2510.06062v2).

    A < 0   rt = r                             off (no gradient) where r < 1 - e
    A > 0   rt = pi_old pi / sg(pi)^2          off where r > 1 + e; the value is 1/r, the gradient (1/r) grad log pi
    both    where the weight (r, or 1/r) exceeds `dual_clip`:  L = -A dual_clip log pi, with its gradient
    e       `clip` on tokens of low entropy, `clip_entropy` above their response's quantile

A token of a right answer that became less likely weighs more, not less.

When to use it: take it with several updates a rollout batch. There GRPO's ratio gives most weight to tokens that are likely
already, and ASPO turns that over. With one update the ratio is 1, and ASPO is REINFORCE with GRPO's advantages. We have not
compared it with other methods.

Source: wizard-III/Archer2.0 b08d963, `compute_policy_loss_archer`, token mean, log-ratio within 20. Choices:
- The paper has e = .2 everywhere; the code .2 and .4. The defaults are the code's.
- Both have a KL term of .001 (k3), which costs a forward of the base model: `kl_coefficient`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from simko.algorithms.base import LossPart
from simko.algorithms.gates import high_entropy
from simko.algorithms.grpo import kl_term
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Loss, Stat, TokenStats
from simko.config import setting


@part
@dataclass(frozen=True)
class ASPOLoss(LossPart):
    """The ratio of right answers turned over."""

    name: ClassVar[str] = "aspo"
    needs_several_updates: ClassVar[bool] = True

    clip: float = setting(0.2, "clip radius (e) on tokens of low entropy", minimum=0.0, maximum=1.0)
    clip_entropy: float = setting(0.4, "clip radius (e) on tokens of high entropy", minimum=0.0, maximum=1.0)
    clip_quantile: float = setting(
        0.8, "tokens above this quantile of their response's entropy", minimum=0.0, maximum=1.0
    )
    dual_clip: float = setting(3.0, "largest weight of a token", above=0.0)
    kl_coefficient: float = setting(0.001, "weight of KL to the base model (one more forward a step)", minimum=0.0)

    @property
    def needs_new(self) -> frozenset[Stat]:  # noqa: D102
        return frozenset(("reference",)) if self.kl_coefficient > 0 else frozenset()

    def inert(self, updates_per_batch: int) -> tuple[str, ...]:  # noqa: D102
        if updates_per_batch > 1:
            return ()
        return ("clip", "clip_entropy", "clip_quantile", *(("dual_clip",) if self.dual_clip >= 1 else ()))

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        high = high_entropy(stats.entropy.detach(), stats.mask, self.clip_quantile, -1.0)
        radius = torch.where(high, self.clip_entropy, self.clip)
        ratio = torch.exp((stats.logp - stats.old_logp).clamp(-20, 20))
        falls = stats.advantage < 0

        kept = torch.minimum(ratio, 1 + radius)  # no gradient above the clip
        turned = kept / kept.detach() / kept.detach()
        matrix = -stats.advantage * torch.where(falls, torch.maximum(ratio, 1 - radius), turned)

        weight = torch.where(falls, ratio, 1 / ratio).detach()
        heavy = weight > self.dual_clip
        matrix = torch.where(heavy, -stats.advantage * self.dual_clip * stats.logp, matrix)
        off = torch.where(falls, ratio < 1 - radius, ratio > 1 + radius) & ~heavy
        return Loss(matrix + kl_term(stats, self.kl_coefficient), {"clip_fraction": off, "dual_clip_fraction": heavy})


method(
    "aspo",
    loss="aspo",
    title="ASPO: the importance ratio of right answers turned over (arXiv 2510.06062)",
    source="arXiv 2510.06062v2; wizard-III/Archer2.0 b08d963",
)
