"""THR: token hidden reward (arXiv 2510.03669). Reconstructed from a note on the paper: no official code could be read.

For a group with right and wrong answers, V* the ids sampled in it, and everything of the old policy:

    g_jt = e_y - pi[V*]              h_jt: the hidden state              pi is not renormalised on V*
    M    = sum over right answers i of (1 / |y_i|) sum_k g_ik h_ik^T
    s_jt = g_jt^T M h_jt             THR_jt = s_jt for right answers, -s_jt for wrong ones
    A_jt = 1[|THR_jt| > tau] (1 + p sign(THR_jt)) A_j

THR is a token's influence on the likelihood of the group's right answers. p > 0 exploits, p < 0 explores (pass@K); p = 0 masks
only.

When to use it: take it if few tokens of an answer decide whether it is right. `thr_p` below 0 is for pass@K, above 0 for
pass@1. It keeps the hidden states of a whole step in memory. We have not compared it with other methods.

Choices, where the note is silent:
- tau is the least mean influence of one right answer's tokens on the other right answers (beta times it, as in NTHR, arXiv
  2505.18830). With one right answer it is the mean on itself.
- Tokens at or below tau have advantage 0 and stay in the denominator.
- Groups of equal rewards have no advantage. With shaped rewards an answer whose advantage is exactly 0 is no part of M, and
  groups that are all right or all wrong keep GRPO's advantage. The loss is GRPO's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simko.algorithms.grpo import GroupNormalised
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Stat, StepStats
from simko.config import setting
from simko.head import LmHead


@part
@dataclass(frozen=True)
class TokenHiddenReward(GroupNormalised):
    """GRPO's advantage on the tokens that move the right answers."""

    name: ClassVar[str] = "thr"

    thr_p: float = setting(-0.1, "below 0 explores (pass@K), above 0 exploits", minimum=-1.0, maximum=1.0)
    thr_beta: float = setting(1.0, "factor on the threshold", minimum=0.0)

    @property
    def needs_old(self) -> frozenset[Stat]:  # noqa: D102
        return frozenset(("logp", "hidden"))

    def tokens(self, step: StepStats) -> Float[Tensor, "B T"]:  # noqa: D102
        advantage = step.advantage[:, None].expand_as(step.mask).clone()
        for index in torch.unique(step.group):
            rows = torch.nonzero((step.group == index) & step.mask.any(-1))[:, 0]
            correct = step.correct[rows]
            if not 0 < int(correct.sum()) < len(rows):
                continue
            scores = influence(*_of_group(step, rows), correct)
            limit = self.thr_beta * threshold(scores, correct)
            for row, score, right in zip(rows.tolist(), scores.total, correct.tolist(), strict=True):
                thr = score if right else -score
                factor = torch.where(thr.abs() > limit, 1 + self.thr_p * torch.sign(thr), 0.0)
                advantage[row, step.mask[row]] *= factor.to(advantage)
        return advantage


@dataclass(frozen=True)
class Influence:
    """Of each row's tokens on the right answers: `total` on all of them; `others` on the other ones, for right rows."""

    total: list[Float[Tensor, "t"]]
    others: list[Float[Tensor, "t"]]


def _of_group(step: StepStats, rows: Int[Tensor, "n"]) -> tuple[list[Tensor], list[Tensor]]:
    """g (t, V*) and h (t, D) of each row, in float32 (float64 for float64)."""
    assert step.hidden is not None
    assert step.ids is not None
    assert step.logp is not None
    ids = [step.ids[row][step.mask[row]] for row in rows.tolist()]
    used = torch.unique(torch.cat(ids))
    head: LmHead = step.head
    part_head = LmHead(head.weight[used], None if head.bias is None else head.bias[used], head.soft_cap, head.scale)
    errors, states = [], []
    for row, own in zip(rows.tolist(), ids, strict=True):
        state = step.hidden[row]
        dtype = torch.float64 if state.dtype == torch.float64 else torch.float32
        logits = part_head.logits(state) / step.temperature
        place = torch.searchsorted(used, own)[:, None]
        log_mass = logits.gather(1, place) - step.logp[row][step.mask[row]].to(logits)[:, None]
        error = -torch.exp(logits - log_mass)
        error.scatter_add_(1, place, torch.ones_like(error[:, :1]))
        errors.append(error.to(dtype))
        states.append(state.to(dtype))
    return errors, states


def influence(errors: list[Tensor], states: list[Tensor], correct: Bool[Tensor, "n"]) -> Influence:
    """g^T M h of each token, with M over all right rows, and for right rows over the other ones."""
    own = [error.t() @ state / len(error) for error, state in zip(errors, states, strict=True)]
    right = correct.tolist()
    whole = torch.stack([m for m, is_right in zip(own, right, strict=True) if is_right]).sum(0)

    def on(matrix: Tensor, i: int) -> Tensor:
        return ((errors[i] @ matrix) * states[i]).sum(-1)

    return Influence(
        [on(whole, i) for i in range(len(errors))],
        [on(whole - own[i], i) for i in range(len(errors)) if right[i]],
    )


def threshold(scores: Influence, correct: Bool[Tensor, "n"]) -> float:
    """The least mean influence of a right answer on the other right ones; on itself where it is the only one."""
    if int(correct.sum()) > 1:
        return min(float(other.mean()) for other in scores.others)
    return float(scores.total[int(torch.nonzero(correct)[0])].mean())


method(
    "thr",
    advantage="thr",
    evidence="reconstructed",
    title="THR: the tokens that move a group's right answers (arXiv 2510.03669)",
    source="arXiv 2510.03669 (a note on it); arXiv 2505.18830",
)
