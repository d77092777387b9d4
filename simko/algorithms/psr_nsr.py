"""PSR, NSR and W-REINFORCE: learning from right answers, from wrong ones, or from both unequally (arXiv 2506.01347).

    psr           A = 1 if right, else 0
    nsr           A = 0 if right, else -1
    w_reinforce   A = weight if right, else -1

When to use `psr`: take it as a control, to see what right answers alone teach. The SimKO paper finds that it concentrates
probability faster than GRPO does. We have not compared it with other methods.

When to use `nsr`: take it if pass@K must be kept. It makes wrong answers less likely, and leaves to the model where their
probability goes. Where most answers are wrong, its update is larger than GRPO's. Our comparison of two seeds does not tell it
from GRPO.

When to use `w_reinforce`: take it where you would take `nsr`, if right answers must count a little, too. The SimKO paper
reports that it fails on logic puzzles. Our comparison of two seeds does not tell it from GRPO.

There is no baseline: a group with one valid answer counts, and so does a group whose answers are all wrong. It is informative
where an answer has an advantage. The loss is PPO's, token mean, clip 0.2.

Source: TianHongZXY/RLVR-Decomposed a5d4e7c, `compute_psr_nsr_outcome_advantage`.

Departure: the code tests `score == 1`; here the verdict says what is right, so shaped rewards do not break it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simko.algorithms.base import Advantage
from simko.algorithms.registry import method, part
from simko.config import setting
from simko.group_view import GroupView

_SOURCE = "arXiv 2506.01347; TianHongZXY/RLVR-Decomposed a5d4e7c"


@dataclass(frozen=True)
class _WithoutBaseline(Advantage):
    """An advantage of each answer by itself."""

    min_valid: ClassVar[int] = 1

    def informative(self, view: GroupView) -> bool:
        return any(self.group(view))


@part
@dataclass(frozen=True)
class PSR(_WithoutBaseline):
    """Right answers alone."""

    name: ClassVar[str] = "psr"

    def group(self, view: GroupView) -> list[float]:  # noqa: D102
        return [1.0 if correct else 0.0 for correct in view.correct]


@part
@dataclass(frozen=True)
class NSR(_WithoutBaseline):
    """Wrong answers alone."""

    name: ClassVar[str] = "nsr"

    def group(self, view: GroupView) -> list[float]:  # noqa: D102
        return [0.0 if correct else -1.0 for correct in view.correct]


@part
@dataclass(frozen=True)
class WReinforce(_WithoutBaseline):
    """Wrong answers, and right ones with a small weight."""

    name: ClassVar[str] = "w_reinforce"

    positive_weight: float = setting(0.1, "advantage of a right answer (lambda)", minimum=0.0)

    def group(self, view: GroupView) -> list[float]:  # noqa: D102
        return [self.positive_weight if correct else -1.0 for correct in view.correct]


method("psr", advantage="psr", title="PSR: positive samples alone (arXiv 2506.01347)", source=_SOURCE)
method("nsr", advantage="nsr", title="NSR: negative samples alone (arXiv 2506.01347)", source=_SOURCE)
method(
    "w_reinforce",
    advantage="w_reinforce",
    title="W-REINFORCE: negative samples, and a tenth of the positive ones (arXiv 2506.01347)",
    source=_SOURCE,
)
