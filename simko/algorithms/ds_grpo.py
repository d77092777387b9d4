"""DS-GRPO: differential smoothing (arXiv 2511.19942).

    A_i = (R_i - mean) / (std + 1e-6) - gamma_right * lbar_i     if right
    A_i = (R_i - mean) / (std + 1e-6) + gamma_wrong * lbar_i     if wrong

`lbar_i` is the mean log-prob of the answer's tokens under the policy that sampled it; std is the population's. A right answer
that the policy finds unlikely gains, and a wrong one that it finds likely loses more.

When to use it: take it if the right answers to a problem become all alike. It needs no further forward. It moves groups of
equal rewards, too, where GRPO has no signal; `mixed_groups_only` stops that. We have not compared it with other methods.

Source: tajwarfahim/maxrl c0698eb, `compute_dsgrpo_outcome_advantage`, by another group than the paper's. Its gammas are .05; the
paper's could not be read. Departures and choices:
- The theory smooths by the base policy. Its users and this file take the sampling one: the engine recorded its log-probs.
- As in the code, groups of equal rewards learn, too: from the smoothing alone.
- Wrong is what the verifier says, not `score == 0`.
- Another implementation sums log-probs and takes gammas of .1 (AnamikaLochab/UCPO); the mean is used here.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import ClassVar

from simko.algorithms.base import Advantage
from simko.algorithms.registry import method, part
from simko.config import setting
from simko.group_view import GroupView
from simko.types import rewards_differ


@part
@dataclass(frozen=True)
class DifferentialSmoothing(Advantage):
    """GRPO's advantage with a bonus for unlikely answers."""

    name: ClassVar[str] = "ds_grpo"
    reads_logp: ClassVar[bool] = True

    gamma_right: float = setting(0.05, "weight of the mean log-prob of right answers", minimum=0.0)
    gamma_wrong: float = setting(0.05, "weight of the mean log-prob of wrong answers", minimum=0.0)
    mixed_groups_only: bool = setting(False, "leave groups of equal rewards out")

    def group(self, view: GroupView) -> list[float]:  # noqa: D102
        if rewards_differ(view.rewards):
            mean, std = fmean(view.rewards), pstdev(view.rewards)
            plain = [(reward - mean) / (std + 1e-6) for reward in view.rewards]
        else:
            plain = [0.0] * len(view)
            if self.mixed_groups_only:
                return plain
        return [
            advantage + (-self.gamma_right if right else self.gamma_wrong) * logp
            for advantage, right, logp in zip(plain, view.correct, view.mean_logp, strict=True)
        ]


method(
    "ds_grpo",
    advantage="ds_grpo",
    evidence="reconstructed",
    title="DS-GRPO: differential smoothing by log-prob (arXiv 2511.19942)",
    source="arXiv 2511.19942; tajwarfahim/maxrl c0698eb",
)
