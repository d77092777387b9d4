"""Advantages of one formula with several weights.

    A_i = w(c) (R_i - c/n)                                            c right answers among n in the group

    method        w(c)                                                source
    dr_grpo       1                                                   arXiv 2503.20783; sail-sg/understand-r1-zero dfca49d
    rloo          n / (n - 1)                                         arXiv 2402.14740
    f_grpo        (1 - c/n)^gamma / (std + 1e-6)                      arXiv 2602.06717
    maxrl         1 / (c/n + 1e-6)                                    arXiv 2602.02710; tajwarfahim/maxrl c0698eb
    one_sided     1 / sqrt(c/n)                                       tajwarfahim/maxrl
    pass_at_k     (1 - P) / ((s + 1e-6) (1 - c/n))                    arXiv 2508.10751; RUCAIBox/Passk_Training c3ba575
                  P = 1 - C(n-c, k) / C(n, k), s = sqrt(P (1 - P))
    pkpo          n/(n-1) C(n-c, k-1) / C(n-1, k-1)                   arXiv 2505.15201, leave one out

All sum to zero in a group, and c = 0 and c = n give 0. GRPO is of this form, too (w = 1 / std); it is in `simko.algorithms.grpo`.

`one_sided` and `pkpo` are advantages only: `--advantage pkpo` puts one into any method.

When to use `dr_grpo`: take it if problems that are nearly always or nearly never solved shall not weigh more than others. Its
loss divides by the token budget, so a step of short answers makes a smaller update. We have not compared it with other
methods.

When to use `rloo`: take it as a baseline without a standard deviation. It is Dr.GRPO's advantage times n / (n - 1), with
GRPO's token mean. We have not compared it with other methods.

When to use `f_grpo`: take it if your problems differ much in how hard they are. A problem that is solved often weighs less,
so the whole update is smaller: compare with GRPO at a lower learning rate. We have not compared it with other methods.

When to use `maxrl`: take it if the hard problems matter most. A right answer to a problem weighs more, the more rarely it is
solved. At two seeds a band calls it better than GRPO at pass@16, and decides nothing at any other K.

When to use `pass_at_k`: take it if you will sample several answers to a problem and need one right among them. A problem with
more than n - k right answers teaches nothing, so a larger `pass_k` costs pass@1. Our comparison of two seeds does not tell it
from GRPO.

When to use `simko_pass_at_k`: take it where you would take `pass_at_k`, if the candidates of a token must stay alive, too.
The top-K sharing acts only on problems that are not yet solved often. Our comparison of two seeds does not tell it from GRPO.

- `dr_grpo`, `rloo` and `f_grpo` weigh whatever the rewards are.
- `maxrl`, `one_sided`, `pass_at_k`, `simko_pass_at_k` and `pkpo` are defined for right and wrong, and read the verdict. A part of
  a reward that is no verdict (format, length) does not reach them.
- With fewer than k answers, k is their number. Then `pass_at_k` (and `simko_pass_at_k`) is 0 everywhere, and it is refused where
  no group has more than k.
- These methods change the size of the update, too: compare with a lower learning rate (arXiv 2602.06717, controls).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from typing import ClassVar

from simko.advantages import group_normalised
from simko.algorithms.base import Advantage
from simko.algorithms.registry import method, part
from simko.config import setting
from simko.errors import UserError
from simko.group_view import GroupView
from simko.types import rewards_differ


@part
@dataclass(frozen=True)
class DrGRPO(Advantage):
    """Rewards less the group's mean; the loss divides by the token budget, not by lengths."""

    name: ClassVar[str] = "dr_grpo"

    def group(self, view: GroupView) -> list[float]:  # noqa: D102
        return weighted(view.rewards, 1.0)


@part
@dataclass(frozen=True)
class LeaveOneOut(Advantage):
    """Rewards less the mean of the other rewards."""

    name: ClassVar[str] = "rloo"

    def group(self, view: GroupView) -> list[float]:  # noqa: D102
        return weighted(view.rewards, len(view) / (len(view) - 1)) if len(view) > 1 else [0.0]


@part
@dataclass(frozen=True)
class FocalGRPO(Advantage):
    """GRPO's advantage, smaller for problems that are solved often."""

    name: ClassVar[str] = "f_grpo"

    gamma: float = setting(0.5, "power of the share of wrong answers; larger favours hard problems", minimum=0.0)

    def group(self, view: GroupView) -> list[float]:  # noqa: D102
        focus = (1 - sum(view.correct) / len(view)) ** self.gamma
        return [focus * advantage for advantage in group_normalised(view.rewards)]


@dataclass(frozen=True)
class _OfVerdicts(Advantage):
    """An advantage that reads right and wrong alone."""

    def group(self, view: GroupView) -> list[float]:
        right, n = sum(view.correct), len(view)
        return weighted([float(x) for x in view.correct], self.weight(right, n)) if 0 < right < n else [0.0] * n

    def informative(self, view: GroupView) -> bool:
        return any(self.group(view))  # not where rewards differ among wrong answers, nor where pass@k is 1

    def weight(self, right: int, n: int) -> float:
        """w for `right` right answers among n, 0 < right < n."""
        raise NotImplementedError


@part
@dataclass(frozen=True)
class MaxRL(_OfVerdicts):
    """Ascends log pass rate: right answers of hard problems weigh most."""

    name: ClassVar[str] = "maxrl"

    def weight(self, right: int, n: int) -> float:  # noqa: D102
        return 1.0 / (right / n + 1e-6)


@part
@dataclass(frozen=True)
class OneSided(_OfVerdicts):
    """Half way between Dr.GRPO and MaxRL."""

    name: ClassVar[str] = "one_sided"

    def weight(self, right: int, n: int) -> float:  # noqa: D102
        return 1.0 / sqrt(right / n)


@part
@dataclass(frozen=True)
class PassAtK(_OfVerdicts):
    """The pass rate of K answers in place of one, normalised as in GRPO."""

    name: ClassVar[str] = "pass_at_k"

    pass_k: int = setting(4, "answers of which one must be right (K)", minimum=1)

    def check(self, views: Sequence[GroupView]) -> None:
        """Raise `UserError` if K is as large as the groups: then one right answer is enough, and every advantage is 0."""
        n = max(map(len, views), default=0)
        if 1 < n <= self.pass_k:
            raise UserError(
                f"pass_k is {self.pass_k}, and problems have {n} answers: every advantage is 0; set --pass-k below {n}, or raise "
                "--group-size"
            )

    def weight(self, right: int, n: int) -> float:  # noqa: D102
        k = min(self.pass_k, n)
        rate = 1 - comb(n - right, k) / comb(n, k)
        return (1 - rate) / ((sqrt(rate * (1 - rate)) + 1e-6) * (1 - right / n))


@part
@dataclass(frozen=True)
class PKPO(_OfVerdicts):
    """The unbiased gradient of the pass rate of K answers, with a leave-one-out baseline."""

    name: ClassVar[str] = "pkpo"

    pass_k: int = setting(4, "answers of which one must be right (K)", minimum=1)

    def weight(self, right: int, n: int) -> float:  # noqa: D102
        k = min(self.pass_k, n)
        return n / (n - 1) * comb(n - right, k - 1) / comb(n - 1, k - 1)


def weighted(values: Sequence[float], weight: float) -> list[float]:
    """`weight (value - mean)`, exactly 0 for equal values."""
    if not rewards_differ(values):
        return [0.0] * len(values)
    mean = sum(values) / len(values)
    return [weight * (value - mean) for value in values]


method(
    "dr_grpo",
    advantage="dr_grpo",
    defaults={"aggregation": "constant_length"},
    title="Dr.GRPO: no standard deviation, divided by the token budget (arXiv 2503.20783)",
    source="arXiv 2503.20783; sail-sg/understand-r1-zero dfca49d",
)
method(
    "rloo",
    advantage="rloo",
    title="RLOO: each reward less the mean of the others (arXiv 2402.14740)",
    source="arXiv 2402.14740",
)
method(
    "pass_at_k",
    advantage="pass_at_k",
    title="Pass@k training: the group's pass rate of K answers (arXiv 2508.10751)",
    source="arXiv 2508.10751; RUCAIBox/Passk_Training c3ba575; K of the comparisons is not published: 4 here",
)
method(
    "simko_pass_at_k",
    advantage="pass_at_k",
    loss="simko",
    title="SimKO's loss with pass@k advantages",
    source="this project",
)
method(
    "maxrl",
    advantage="maxrl",
    title="MaxRL: rewards over the pass rate (arXiv 2602.02710)",
    source="arXiv 2602.02710; tajwarfahim/maxrl c0698eb",
)
method(
    "f_grpo",
    advantage="f_grpo",
    title="F-GRPO: GRPO with a focus on hard problems (arXiv 2602.06717)",
    source="arXiv 2602.06717; AnamikaLochab/UCPO 93ce506",
)
