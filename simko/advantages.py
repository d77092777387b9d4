"""Groups to the batch of an optimizer step: advantages, and what can be left out of the forward."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any, Protocol

import numpy as np

from simko.types import Batch, Group


class _Advantages(Protocol):
    @property
    def needs(self) -> frozenset[Any]: ...
    def advantages(self, rewards: Sequence[float], correct: Sequence[bool]) -> list[float]: ...


def group_normalised(rewards: Sequence[float], epsilon: float = 1e-6) -> list[float]:
    """`(R - mean) / (std + epsilon)` with Bessel's correction; a group of one has mean 0 and std 1.

    Source: GRPO as in verl, `core_algos.compute_grpo_outcome_advantage`.
    """
    if len(rewards) == 1:
        return [rewards[0] / (1.0 + epsilon)]
    mean, std = fmean(rewards), stdev(rewards)
    return [(reward - mean) / (std + epsilon) for reward in rewards]


def make_batch(groups: Sequence[Group], method: _Advantages) -> Batch:
    """The sequences that carry a gradient, and the denominators of all of `groups`.

    A completion whose verifier failed (timeout, error) is neither a sequence nor counted: a failed verifier is not a wrong
    answer. A group with fewer than two valid completions, or without an advantage, costs no forward, but its tokens count;
    a method that needs the reference pulls every sequence towards it, so that there all but lone ones are kept.
    """
    all_pull = "reference" in method.needs
    rows, group_index, advantages, correct = [], [], [], []
    for index, group in enumerate(groups):
        valid = group.valid
        if len(valid) < 2:
            continue
        given = method.advantages([c.verdict.reward for c in valid], [c.verdict.correct for c in valid])
        for completion, advantage in zip(valid, given, strict=True):
            if (advantage != 0.0 or all_pull) and completion.sampled.any():
                rows.append(completion)
                group_index.append(index)
                advantages.append(advantage)
                correct.append(completion.verdict.correct)
    counted = [c for group in groups for c in group.valid]
    return Batch(
        completions=tuple(rows),
        group=np.asarray(group_index, dtype=np.int64),
        advantage=np.asarray(advantages, dtype=np.float64),
        correct=np.asarray(correct, dtype=np.bool_),
        step_tokens=int(sum(c.sampled.sum() for c in counted)),
        step_sequences=len(counted),
    )


def split_groups(groups: Sequence[Group], parts: int) -> list[list[Group]]:
    """`groups` in order, as at most `parts` runs of near-equal size: one for each update of a rollout batch."""
    parts = min(parts, len(groups))
    bounds = [round(i * len(groups) / parts) for i in range(parts + 1)] if parts else [0]
    return [list(groups[a:b]) for a, b in pairwise(bounds)]
