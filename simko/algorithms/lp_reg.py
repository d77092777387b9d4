"""Lp-Reg: low-probability tokens that are no noise are kept (arXiv 2510.03222).

The proxy is the old policy without the tokens below kappa times its largest probability, renormalised. Take the step's tokens
with A < 0 in the lowest share rho of log-prob. Those whose log-prob is below the proxy's get

    L = -A r + coefficient k3(l, proxy),      k3 = e^d - d - 1,  d = proxy - l

without a clip. All other tokens have PPO's loss with ratios in [0, 10].

When to use it: take it in long runs, if rare but sensible tokens die out in wrong answers. It looks at one in a hundred
tokens of wrong answers. It costs one more forward of the whole step. We have not compared it with other methods.

Source: CarlanLark/Lp-Reg-dev 33b27e2, `compute_policy_loss_lp_reg`; kappa .02, rho .01 (14B; .005 for 32B), coefficient 1.
Departures:
- Which tokens are lowest, and which of them lie below the proxy, is decided once over the whole optimizer step under the old
  policy. The code decides in each micro-batch under the current policy, and picks no single token: small micro-batches switch it
  off silently.
- A token that the proxy removed is never touched, as in the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from simko.algorithms.grpo import ClippedLoss, clipped_loss, kl_term
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Loss, Prepared, Stat, State, StepStats, TokenStats
from simko.config import setting


@part
@dataclass(frozen=True)
class LpRegLoss(ClippedLoss):
    """PPO's loss with a pull to the proxy on unlikely tokens of wrong answers."""

    name: ClassVar[str] = "lp_reg"

    lp_kappa: float = setting(
        0.02, "tokens below this share of the top probability are noise", minimum=0.0, maximum=1.0
    )
    lp_rho: float = setting(0.01, "share of the step's tokens with A < 0 that are looked at", minimum=0.0, maximum=1.0)
    lp_coefficient: float = setting(1.0, "weight of the pull to the proxy", minimum=0.0)

    @property
    def needs_old(self) -> frozenset[Stat]:  # noqa: D102
        return frozenset(("logp", "proxy"))

    @property
    def stat_options(self) -> Mapping[str, float]:  # noqa: D102
        return {"min_p": self.lp_kappa}

    def prepare(self, step: StepStats, advantage: Float[Tensor, "B T"], state: State) -> Prepared:  # noqa: D102
        assert step.proxy_logp is not None
        falls, logp = (advantage < 0) & step.mask, step.old_logp
        count = int(self.lp_rho * int(falls.sum()))
        chosen = torch.zeros_like(step.mask)
        if count:
            limit = logp[falls].kthvalue(count).values
            chosen = falls & (logp <= limit) & (logp < step.proxy_logp)
        return Prepared(constants={"chosen": chosen, "proxy": step.proxy_logp})

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        ratio, chosen = torch.exp(stats.logp - stats.old_logp), stats.constants["chosen"]
        matrix, clipped = clipped_loss(ratio, stats.advantage, self.clip_low, self.clip_high)
        gap = torch.where(chosen, stats.constants["proxy"] - stats.logp, 0.0)  # -1e4 elsewhere would overflow
        pulled = -stats.advantage * ratio + self.lp_coefficient * (torch.exp(gap) - gap - 1)
        matrix = torch.where(chosen, pulled, matrix)
        return Loss(
            matrix + kl_term(stats, self.kl_coefficient),
            {"clip_fraction": clipped & ~chosen, "chosen_fraction": chosen},
        )


method(
    "lp_reg",
    loss="lp_reg",
    defaults={"clip_low": 1.0, "clip_high": 9.0},
    title="Lp-Reg: low-probability tokens of wrong answers are kept alive (arXiv 2510.03222)",
    source="arXiv 2510.03222; CarlanLark/Lp-Reg-dev 33b27e2",
)
