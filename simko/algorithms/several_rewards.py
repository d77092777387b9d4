"""Several rewards without collapse: each part of a reward is normalised in its group, and then they are summed (GDPO).

    A_i = sum over parts m of  w_m (R_im - mean R_m) / (std R_m + 1e-6)        mean and std over the answers of one problem

Summed first, (correct 1, format 0) and (correct 0, format 1) are one reward, and a part with a small spread does not count.
A verifier names the parts in its verdict: `Verdict(..., parts={"correct": 1.0, "format": 0.2})`. The reward itself is not read
where there are parts. An answer without parts has its reward as its only part, of the name `reward`.

When to use it: take it if your verifier names several parts of a reward, as correct and format. Without parts it is GRPO. We
have not compared it with other methods.

Source: arXiv 2601.05242; NVlabs/GDPO. Departures:
- The published code normalises the weighted sum once more, over the whole batch. Here it does not: what an answer is worth
  would depend on the other problems of the step.
- The std has Bessel's correction, and a part that is equal in its group adds exactly 0, as in `simko.algorithms.grpo`.
- A part that an answer lacks is 0 there. The paper has every part for every answer.
- The paper can let one reward count only where another is met. A verifier can do so itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from simko.advantages import group_normalised
from simko.algorithms.base import Advantage
from simko.algorithms.registry import method, part
from simko.config import setting
from simko.errors import UserError, nearest
from simko.group_view import GroupView
from simko.types import rewards_differ

REWARD = "reward"
"""The name of the only part of a reward that has none."""


@part
@dataclass(frozen=True)
class SeveralRewards(Advantage):
    """Each part of the reward normalised by itself, then their weighted sum."""

    name: ClassVar[str] = "several"

    reward_weights: str = setting("", "weight of each part, as correct=1,format=0.2; 1 for every part where empty")

    def __post_init__(self) -> None:
        weights_of(self.reward_weights)

    def group(self, view: GroupView) -> list[float]:  # noqa: D102
        weights = weights_of(self.reward_weights)
        normalised = {name: group_normalised(values) for name, values in columns(view).items()}
        return [sum(weights.get(name, 1.0) * normalised[name][i] for name in normalised) for i in range(len(view))]

    def informative(self, view: GroupView) -> bool:
        """Whether a part that counts differs inside the group."""
        weights = weights_of(self.reward_weights)
        return any(weights.get(name, 1.0) and rewards_differ(values) for name, values in columns(view).items())

    def check(self, views: Sequence[GroupView]) -> None:
        """Raise `UserError` if `reward_weights` and the parts that the verifier gives do not have the same names."""
        weights = weights_of(self.reward_weights)
        seen = {name for view in views for parts in view.parts for name in parts}
        if not weights or not (seen or any(reward for view in views for reward in view.rewards)):
            return  # all weigh 1, or nothing was judged yet
        if not seen:
            seen = {REWARD}
        known = ", ".join(sorted(seen))
        for name in weights:
            if name not in seen:
                raise UserError(
                    f"reward_weights is '{self.reward_weights}', and no verdict has a part '{name}'{nearest(name, seen)}; the "
                    f"verifier gives {known}"
                )
        for name in sorted(seen):
            if name not in weights:
                raise UserError(
                    f"reward_weights is '{self.reward_weights}', without the part '{name}' of the verdicts; add {name}=1, or "
                    f"{name}=0 to leave it out"
                )


def columns(view: GroupView) -> dict[str, list[float]]:
    """The values of each part, one for each answer of a group; 0 where an answer lacks it."""
    every: list[Mapping[str, float]] = [
        parts or {REWARD: reward} for reward, parts in zip(view.rewards, view.parts or [{}] * len(view), strict=True)
    ]
    return {name: [parts.get(name, 0.0) for parts in every] for name in sorted({n for parts in every for n in parts})}


def weights_of(text: str) -> dict[str, float]:
    """The weights in `correct=1,format=0.2` by name; empty for an empty text.

    Raises:
        UserError: a name without a weight, a weight that is no finite number, a name that stands twice, or no weight but 0.
    """
    weights: dict[str, float] = {}
    for item in text.split(",") if text.strip() else ():
        name, _, value = (word.strip() for word in item.rpartition("="))
        try:
            weight = float(value)
        except ValueError:
            weight = math.nan
        if not name or not math.isfinite(weight):
            raise UserError(
                f"reward_weights is '{text}': '{item.strip()}' is no weight; give name=number for each part, as in "
                "correct=1,format=0.2"
            )
        if name in weights:
            raise UserError(f"reward_weights is '{text}': '{name}' stands twice; give each part once")
        weights[name] = weight
    if weights and not any(weights.values()):
        raise UserError(f"reward_weights is '{text}': every weight is 0; give one part a weight, as in {name}=1")
    return weights


method(
    "gdpo",
    advantage="several",
    evidence="reconstructed",
    title="GDPO: each part of a reward normalised by itself (arXiv 2601.05242)",
    source="arXiv 2601.05242; NVlabs/GDPO",
)
