"""KL-Cov and Clip-Cov: the tokens that lower entropy most are held back (arXiv 2505.22617).

    cov_t = (A_t - mean A) (l_t - mean l)         over all tokens of the step, l = log pi_old(y_t)

    kl_cov    L = -A r, without a clip; on the largest `kl_cov_ratio` of cov, at least one token:  + coefficient |l - l_old|
    clip_cov  PPO's loss with ratios in [0, 2]; max(1, ratio N) tokens with 1 < cov < 5, drawn at random, have no loss

When to use `kl_cov`: take it if entropy collapses early, and you make several updates a rollout batch. With one update its
pull has no gradient, and it is REINFORCE. Our comparison of two seeds does not tell it from GRPO.

When to use `clip_cov`: take it if entropy collapses early. It also acts with one update a rollout batch. Its band from 1 to 5
is made for advantages of GRPO's size: smaller ones seldom reach it. We have not compared it with other methods.

Source: PRIME-RL/Entropy-Mechanism-of-RL 8850579; ratios and the coefficient as set in verl-recipe 48ea0a7 `entropy/`: 0.002 for
7B models (the YAML of verl differs). Departures:
- cov is of the whole step, not of a micro-batch, and under the old policy, once for all updates of a rollout batch. At that point
  no token is clipped yet, so Clip-Cov excludes none for it.
- KL-Cov's |l - l_old| has no gradient at l = l_old: with one update a rollout batch it does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simko.algorithms.base import LossPart
from simko.algorithms.grpo import ClippedLoss
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Loss, Prepared, Stat, State, StepStats, TokenStats
from simko.config import setting

_SOURCE = "arXiv 2505.22617; PRIME-RL/Entropy-Mechanism-of-RL 8850579"


@part
@dataclass(frozen=True)
class KLCov(LossPart):
    """A pull to the old policy on the tokens with the largest covariance."""

    name: ClassVar[str] = "kl_cov"
    needs_several_updates: ClassVar[bool] = True

    kl_cov_ratio: float = setting(0.002, "share of the step's tokens that are held back", minimum=0.0, maximum=1.0)
    kl_cov_coefficient: float = setting(1.0, "weight of |log pi - log pi_old| on them", minimum=0.0)

    @property
    def whole_step(self) -> bool:  # noqa: D102
        return True

    @property
    def needs_old(self) -> frozenset[Stat]:  # noqa: D102
        return frozenset(("logp",))

    def inert(self, updates_per_batch: int) -> tuple[str, ...]:  # noqa: D102
        return ("kl_cov_ratio", "kl_cov_coefficient") if updates_per_batch == 1 else ()

    def prepare(self, step: StepStats, advantage: Float[Tensor, "B T"], state: State) -> Prepared:  # noqa: D102
        chosen = torch.zeros_like(step.mask)
        cov = covariance(step, advantage)
        if len(cov):
            count = max(1, int(self.kl_cov_ratio * len(cov)))
            picks = torch.zeros_like(cov, dtype=torch.bool)
            picks[cov.topk(count).indices] = True
            chosen = chosen.masked_scatter(step.mask, picks)
        moved = ((advantage != 0) | chosen) & step.mask  # a chosen token is held back without an advantage, too
        return Prepared(constants={"chosen": chosen}, keep=moved.any(-1))

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        chosen, gap = stats.constants["chosen"], stats.logp - stats.old_logp
        matrix = -stats.advantage * torch.exp(gap) + self.kl_cov_coefficient * gap.abs() * chosen
        return Loss(matrix, {"chosen_fraction": chosen})


@part
@dataclass(frozen=True)
class ClipCov(ClippedLoss):
    """PPO's loss without some tokens of large covariance."""

    name: ClassVar[str] = "clip_cov"

    clip_cov_ratio: float = setting(0.0002, "share of the step's tokens that have no loss", minimum=0.0, maximum=1.0)
    clip_cov_low: float = setting(1.0, "covariance above which a token may be drawn")
    clip_cov_high: float = setting(5.0, "covariance below which a token may be drawn")

    @property
    def whole_step(self) -> bool:  # noqa: D102
        return True

    @property
    def needs_old(self) -> frozenset[Stat]:  # noqa: D102
        return frozenset(("logp",))

    def prepare(self, step: StepStats, advantage: Float[Tensor, "B T"], state: State) -> Prepared:  # noqa: D102
        cov = covariance(step, advantage)
        within = torch.nonzero((cov > self.clip_cov_low) & (cov < self.clip_cov_high))[:, 0].cpu().numpy()
        count = min(len(within), max(1, int(self.clip_cov_ratio * len(cov))))
        picks = torch.zeros_like(cov, dtype=torch.bool)
        if count:
            picks[torch.from_numpy(np.sort(step.rng.choice(within, count, replace=False))).to(cov.device)] = True
        chosen = torch.zeros_like(step.mask).masked_scatter(step.mask, picks)
        return Prepared(constants={"chosen": chosen})

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        plain, chosen = super().loss(stats), stats.constants["chosen"]
        return replace(plain, matrix=plain.matrix * ~chosen, shares={**plain.shares, "chosen_fraction": chosen})


def covariance(step: StepStats, advantage: Float[Tensor, "B T"]) -> Float[Tensor, "N"]:
    """Return `(A - mean A) (l - mean l)` of the step's N tokens, row by row."""
    a, logp = advantage[step.mask], step.old_logp[step.mask]
    return (a - a.mean()) * (logp - logp.mean())


method(
    "kl_cov",
    loss="kl_cov",
    title="KL-Cov: a pull to the old policy at high covariance (arXiv 2505.22617)",
    source=_SOURCE,
)
method(
    "clip_cov",
    loss="clip_cov",
    defaults={"clip_low": 1.0, "clip_high": 1.0},
    title="Clip-Cov: no loss on some tokens of high covariance (arXiv 2505.22617)",
    source=_SOURCE,
)
