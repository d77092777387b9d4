"""UCPO: the reward of a problem is spread over its right answers, unlikely ones first (arXiv 2605.00365).

Among the n_c right answers of a group, n_c >= 2, with lbar_i the mean log-prob of the answer's tokens:

    q_i = max(softmax_i(lbar), 1e-6)        w_i = n_c ((1 - tau) / n_c + tau (1/q_i) / sum_j 1/q_j)        A_i <- w_i A_i

Wrong answers keep their advantage. The weights sum to n_c, so the positive mass is what it was.

When to use it: take it if a problem has several right answers, and the policy settles on one of them. By default its weights
stay within a few percent of 1, so it is nearly GRPO; with `--no-length-norm` they come near 1 - tau and 1 + tau. We have not
compared it with other methods.

Source: AnamikaLochab/UCPO 93ce506, `compute_dgrpo_advantage_outcome_invq_l` (tau .2 in its scripts). Choices:
- The paper describes a conditional KL penalty; this is the code.
- The code divides log-probs by length, and a comment in its script says that they are summed: `length_norm`. With the sum,
  weights saturate near 1 - tau and 1 + tau.
- The engine's recorded log-probs are read: no forward is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isfinite
from typing import ClassVar

from simko.advantages import group_normalised
from simko.algorithms.base import Advantage
from simko.algorithms.registry import method, part
from simko.config import setting
from simko.group_view import GroupView


@part
@dataclass(frozen=True)
class UniformCorrect(Advantage):
    """GRPO's advantage, re-weighted among the right answers."""

    name: ClassVar[str] = "ucpo"
    reads_logp: ClassVar[bool] = True

    tau: float = setting(0.2, "share of the weight that goes by 1/probability", minimum=0.0, maximum=1.0)
    length_norm: bool = setting(True, "mean log-prob of an answer's tokens; the sum otherwise")

    def group(self, view: GroupView) -> list[float]:  # noqa: D102
        advantages = group_normalised(view.rewards)
        right = [i for i, correct in enumerate(view.correct) if correct and isfinite(view.mean_logp[i])]
        if len(right) < 2:
            return advantages
        logps = [view.mean_logp[i] * (1 if self.length_norm else view.lengths[i]) for i in right]
        for i, weight in zip(right, uniform_weights(logps, self.tau), strict=True):
            advantages[i] *= weight
        return advantages


def uniform_weights(logps: list[float], tau: float) -> list[float]:
    """The weights w of answers with these log-probs; they sum to their number."""
    peak, n = max(logps), len(logps)
    mass = [exp(logp - peak) for logp in logps]
    inverse = [1 / max(m / sum(mass), 1e-6) for m in mass]
    return [n * ((1 - tau) / n + tau * x / sum(inverse)) for x in inverse]


method(
    "ucpo",
    advantage="ucpo",
    title="UCPO: credit spread over a problem's right answers (arXiv 2605.00365)",
    source="arXiv 2605.00365; AnamikaLochab/UCPO 93ce506",
)
