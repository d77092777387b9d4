"""Entropy in the loss: a bonus, the entropy advantage, and training on high-entropy tokens alone.

    entropy_bonus         L = L_GRPO - c H,  H with a gradient                                   c .01
    entropy_advantage     A' = A + min(alpha sg(H), |A| / kappa)   (arXiv 2506.14758)            alpha .4, kappa 2
    high_entropy_tokens   L = 1[H >= quantile of the step's H] L_GRPO   (arXiv 2506.01939)       top 20 % of the tokens

When to use `entropy_bonus`: take it as the plainest means against falling entropy. It pulls at every token, useful or not. On
a 7B model the SimKO paper reports a lower pass@1 and a higher pass@256 with it than with GRPO. We have not compared it with
other methods.

When to use `entropy_advantage`: take it if right answers hang on a few uncertain tokens, which then get more credit. Do not
expect it to hold entropy up: in its paper entropy falls faster than with GRPO. We have not compared it with other methods.

When to use `high_entropy_tokens`: take it for long answers, where most tokens are certain and few decide. In answers of a few
tokens a fifth is almost nothing. We have not compared it with other methods.

- `entropy_bonus` is SimKO's baseline "GRPO + entropy loss" (arXiv 2510.14807, table 1). Answers of groups without a signal take
  part, too.
- `entropy_advantage` reads the current policy's entropy, without a gradient, inside each update. kappa > 1 keeps the sign of A;
  for A < 0 it softens the penalty. alpha is .1 for PPO in the paper. Clip-higher, as there.
- The quantile of `high_entropy_tokens` is TRL's: over all tokens of the step, `>=`, and dropped tokens stay in the denominator.
  It is taken under the old policy, once for all updates of a rollout batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from simko.algorithms.grpo import ClippedLoss
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Loss, Prepared, Stat, State, StepStats, TokenStats
from simko.config import setting


@part
@dataclass(frozen=True)
class EntropyBonus(ClippedLoss):
    """GRPO's loss less a share of the entropy."""

    name: ClassVar[str] = "entropy_bonus"

    entropy_coefficient: float = setting(0.01, "weight of the entropy", minimum=0.0)

    @property
    def needs_new(self) -> frozenset[Stat]:  # noqa: D102
        return super().needs_new | {"entropy_grad"}

    @property
    def every_row(self) -> bool:  # noqa: D102
        return True

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        plain = super().loss(stats)
        return replace(plain, matrix=plain.matrix - self.entropy_coefficient * stats.entropy)


@part
@dataclass(frozen=True)
class EntropyAdvantage(ClippedLoss):
    """GRPO's loss with advantages raised where the policy is uncertain."""

    name: ClassVar[str] = "entropy_advantage"

    entropy_alpha: float = setting(0.4, "weight of the entropy in an advantage", minimum=0.0)
    entropy_kappa: float = setting(2.0, "an advantage grows by at most its size over kappa", above=1.0)

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        gain = torch.minimum(self.entropy_alpha * stats.entropy.detach(), stats.advantage.abs() / self.entropy_kappa)
        plain = super().loss(replace(stats, advantage=stats.advantage + gain))
        return replace(plain, shares={**plain.shares, "entropy_gain": gain})


@part
@dataclass(frozen=True)
class HighEntropyTokens(ClippedLoss):
    """GRPO's loss on the step's most uncertain tokens."""

    name: ClassVar[str] = "high_entropy_tokens"

    top_entropy: float = setting(0.2, "share of the step's tokens that are trained", above=0.0, maximum=1.0)

    @property
    def whole_step(self) -> bool:  # noqa: D102
        return True

    @property
    def needs_old(self) -> frozenset[Stat]:  # noqa: D102
        return frozenset(("entropy",))

    def prepare(self, step: StepStats, advantage: Float[Tensor, "B T"], state: State) -> Prepared:  # noqa: D102
        assert step.entropy is not None
        tokens = step.entropy[step.mask]
        if not len(tokens):
            return Prepared(constants={"chosen": step.mask})
        threshold = quantile(tokens, 1 - self.top_entropy)
        return Prepared(constants={"chosen": (step.entropy >= threshold) & step.mask})

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        plain, chosen = super().loss(stats), stats.constants["chosen"]
        return replace(plain, matrix=plain.matrix * chosen, shares={**plain.shares, "chosen_fraction": chosen})


def quantile(values: Float[Tensor, "N"], q: float) -> Float[Tensor, ""]:
    """Return the quantile, linear between two values; `torch.quantile` takes at most 16 million."""
    ordered = values.sort().values
    place = q * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return torch.lerp(ordered[low], ordered[high], place - low)


_CLIP_HIGHER: Mapping[str, float] = {"clip_high": 0.28}
method(
    "entropy_bonus",
    loss="entropy_bonus",
    title="GRPO with an entropy bonus of 0.01",
    source="arXiv 2510.14807, table 1",
)
method(
    "entropy_advantage",
    loss="entropy_advantage",
    defaults=_CLIP_HIGHER,
    title="Entropy advantage: more credit where the policy is uncertain (arXiv 2506.14758)",
    source="arXiv 2506.14758v4",
)
method(
    "high_entropy_tokens",
    loss="high_entropy_tokens",
    advantage="dapo",
    sampling="refill",
    defaults=_CLIP_HIGHER,
    title="80/20: DAPO on the fifth of the tokens with the highest entropy (arXiv 2506.01939)",
    source="arXiv 2506.01939; huggingface/trl f2cd57710, top_entropy_quantile",
)
