"""DAPO: clip-higher, refilled batches, and a soft penalty on overlong answers (arXiv 2503.14476).

    clip 0.2 below and 0.28 above; token mean; no KL
    refill: groups of equal rewards are dropped, and more problems are sampled until the step has its number of groups
    an answer of l tokens, with budget L and buffer b:   R <- R + min(0, (L - b - l) / b), at least R - 1

When to use it: take it if most problems are solved always or never (the metric `informative` is low). It samples more
problems until a step is full, so steps take longer. The penalty matters only where answers come near the token budget. We
have not compared it with other methods.

Source: verl-project/verl-recipe 48ea0a7, `dapo/` (L 20,480, b 4,096). Departures:
- The buffer is a share of the environment's token budget (`overlong_buffer` 0.2 = 4,096 / 20,480), not a number of tokens.
- A refill ends after `refill_rounds`: the step is then smaller. Its problems are drawn outside the order of the epoch.
- Dropped groups do not count in the denominators, as in DAPO. Elsewhere here they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from simko.advantages import group_normalised
from simko.algorithms.base import Advantage, RolloutContext, Sampling
from simko.algorithms.registry import method, part
from simko.algorithms.stats import State
from simko.config import setting
from simko.group_view import GroupView
from simko.types import Group, Task


@part
@dataclass(frozen=True)
class OverlongShaped(Advantage):
    """GRPO's advantage of rewards with a penalty on overlong answers."""

    name: ClassVar[str] = "dapo"

    overlong_buffer: float = setting(
        0.2, "last share of the token budget in which the penalty grows to 1; 0: none", minimum=0.0, maximum=1.0
    )
    overlong_penalty: float = setting(1.0, "penalty at the full budget", minimum=0.0)

    def group(self, view: GroupView) -> list[float]:  # noqa: D102
        buffer = self.overlong_buffer * view.max_new_tokens
        return group_normalised(
            [
                reward + self.overlong_penalty * overlong(length, view.max_new_tokens, buffer)
                for reward, length in zip(view.rewards, view.lengths, strict=True)
            ]
        )


def overlong(length: int, budget: int, buffer: float) -> float:
    """The penalty in [-1, 0] on an answer of `length` tokens; 0 without a buffer."""
    return max(-1.0, min(0.0, (budget - buffer - length) / buffer)) if buffer > 0 else 0.0


@part
@dataclass(frozen=True)
class Refill(Sampling):
    """Only groups whose rewards differ, or their parts where the advantage reads these; others are replaced by new problems."""

    name: ClassVar[str] = "refill"

    refill_rounds: int = setting(10, "times that a step samples more problems, at most", minimum=0)

    def sample(self, context: RolloutContext, tasks: Sequence[Task], state: State) -> list[Group]:  # noqa: D102
        every = context.sample(tasks, context.group_size)
        kept = [group for group in every if context.informative(group)]
        rounds = 0
        while len(kept) < len(tasks) and rounds < self.refill_rounds:
            if not (more := context.refill(len(tasks) - len(kept))):
                break
            groups = context.sample(more, context.group_size)
            every += groups
            kept += [group for group in groups if context.informative(group)]
            rounds += 1
        valid = [answer for group in every for answer in group.valid]
        context.metrics["refill_rounds"] = float(rounds)
        context.metrics["refill_sampled"] = float(len(every))
        context.metrics["refill_solve_rate"] = sum(answer.verdict.correct for answer in valid) / max(len(valid), 1)
        return kept or every


method(
    "dapo",
    advantage="dapo",
    sampling="refill",
    defaults={"clip_high": 0.28},
    title="DAPO: clip-higher, refill, overlong penalty (arXiv 2503.14476)",
    source="arXiv 2503.14476; verl-project/verl-recipe 48ea0a7",
)
