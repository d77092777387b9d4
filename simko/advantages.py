"""From groups to the batch of an optimizer step: advantages, and which sequences need a forward."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, stdev
from typing import Protocol

import numpy as np

from simko.group_view import GroupView, view_of
from simko.types import Batch, Group, rewards_differ


class _Method(Protocol):
    @property
    def every_row(self) -> bool: ...
    @property
    def min_valid(self) -> int: ...
    def advantages(self, view: GroupView) -> list[float]: ...


def group_normalised(rewards: Sequence[float], epsilon: float = 1e-6) -> list[float]:
    """Return `(R - mean) / (std + epsilon)`, std with Bessel's correction; a group of one has mean 0 and std 1.

    Equal rewards give exactly 0: by the formula, six of 0.2 would give 1e-11, and Adam would move the weights by a whole step.
    Source: GRPO as in verl, `core_algos.compute_grpo_outcome_advantage`.
    """
    if len(rewards) == 1:
        return [rewards[0] / (1.0 + epsilon)]
    if not rewards_differ(rewards):
        return [0.0] * len(rewards)
    mean, std = fmean(rewards), stdev(rewards)
    return [(reward - mean) / (std + epsilon) for reward in rewards]


def make_batch(groups: Sequence[Group], method: _Method, max_new_tokens: int = 0) -> Batch:
    """Collect the sequences that carry a gradient, and the denominators over all of `groups`.

    A failed verifier (timeout, error) is not a wrong answer: its completion is no sequence and is not counted. A sequence
    without an advantage, or in a group with too few answers, needs no forward, but its tokens count. A method whose loss pulls
    at every row (a KL or an entropy term) keeps sequences without an advantage, too.
    """
    rows, group_index, advantages, correct = [], [], [], []
    for index, group in enumerate(groups):
        valid = group.valid
        if len(valid) < method.min_valid:
            continue
        values = method.advantages(view_of(valid, max_new_tokens))
        for completion, advantage in zip(valid, values, strict=True):
            if (advantage != 0.0 or method.every_row) and completion.sampled.any():
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
    """Split `groups`, in order, into at most `parts` runs of near-equal size: one for each update of a rollout batch."""
    parts = min(parts, len(groups))
    bounds = [round(i * len(groups) / parts) for i in range(parts + 1)] if parts else [0]
    return [list(groups[a:b]) for a, b in pairwise(bounds)]
