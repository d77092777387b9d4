"""UCAS: advantages shaped by the model's confidence (arXiv 2510.10649).

    c_i   = mean over the answer's tokens of KL(uniform || p), as a z-score in its group
    A_i w_i,   w_i = exp(-answer_down c_i) if A_i > 0, else exp(answer_up c_i)            .25, .35
    A'_it = A_i w_i - token_weight u_it;  not below 0 where A_i w_i > 0                   .05
    u_it  = raw logit of the sampled token, before temperature, scaled to [0, 1] over all tokens of the step (.5 if all are equal)

When to use it: take it if the model is sure of wrong answers. These are punished harder, and right answers that it doubts
gain. It pushes down tokens of groups with equal rewards, too, where GRPO has no signal. We have not compared it with other
methods.

Source: xvolcano02/UCAS b122ff2, `compute_ucas_advantage`, and the paper. Departures:
- The paper takes the mean of the KL, the code its sum, so that c grows with length. Here the mean; `confidence="sum"` is the
  code's.
- An answer that is alone in its group has c = 0; the code puts the raw sum into the exponential.
- Groups of equal rewards (A = 0) still get -.05 u, as in the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simko.algorithms.grpo import GroupNormalised
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Stat, StepStats
from simko.config import setting


@part
@dataclass(frozen=True)
class UncertaintyAware(GroupNormalised):
    """GRPO's advantage, larger for unsure right answers and for sure wrong ones, and smaller on sure tokens."""

    name: ClassVar[str] = "ucas"

    answer_down: float = setting(0.25, "how much confidence lowers a right answer", minimum=0.0)
    answer_up: float = setting(0.35, "how much confidence raises the penalty of a wrong answer", minimum=0.0)
    token_weight: float = setting(0.05, "what the surest token loses", minimum=0.0)
    confidence: Literal["mean", "sum"] = setting("mean", "of an answer's tokens: the paper's mean, or the code's sum")

    @property
    def needs_old(self) -> frozenset[Stat]:  # noqa: D102
        return frozenset(("certainty", "raw_logit"))

    @property
    def every_row(self) -> bool:  # noqa: D102
        return True

    def tokens(self, step: StepStats) -> Float[Tensor, "B T"]:  # noqa: D102
        assert step.certainty is not None
        assert step.raw_logit is not None
        confidence = torch.where(step.mask, step.certainty, 0.0).sum(-1)
        if self.confidence == "mean":
            confidence = confidence / step.mask.sum(-1).clamp(min=1)
        score = group_scores(confidence, step.group, step.mask.any(-1))
        weight = torch.where(
            step.advantage > 0, torch.exp(-self.answer_down * score), torch.exp(self.answer_up * score)
        )
        answer = (step.advantage * weight)[:, None]
        shaped = answer - self.token_weight * scaled(step.raw_logit, step)
        return torch.where(answer > 0, shaped.clamp(min=0), shaped)


def group_scores(values: Float[Tensor, "B"], group: Int[Tensor, "B"], counted: Bool[Tensor, "B"]) -> Float[Tensor, "B"]:
    """Each counted value's z-score in its group (Bessel's correction, + 1e-6); 0 alone in a group, and for the others."""
    out = torch.zeros_like(values)
    for index in torch.unique(group):
        rows = (group == index) & counted  # a row that is not finite has no confidence
        if int(rows.sum()) > 1:
            out[rows] = (values[rows] - values[rows].mean()) / (values[rows].std() + 1e-6)
    return out


def scaled(values: Float[Tensor, "B T"], step: StepStats) -> Float[Tensor, "B T"]:
    """Values scaled to [0, 1] over the step's tokens; .5 if all are equal."""
    tokens = values[step.mask]
    if not len(tokens) or float(tokens.max() - tokens.min()) == 0.0:
        return torch.full_like(values, 0.5)
    return (values - tokens.min()) / (tokens.max() - tokens.min() + 1e-6)


method(
    "ucas",
    advantage="ucas",
    title="UCAS: advantages shaped by confidence (arXiv 2510.10649)",
    source="arXiv 2510.10649; xvolcano02/UCAS b122ff2",
)
