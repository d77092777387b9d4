"""Answers as others read them: those of one task for an advantage, and any as a batch of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simko.types import Batch, Completion


@dataclass(frozen=True, slots=True)
class GroupView:
    """The G answers to one task whose verifier reached a verdict."""

    rewards: Sequence[float]
    correct: Sequence[bool]
    mean_logp: Sequence[float]  # mean log-prob of the sampled tokens, as the sampler recorded it
    lengths: Sequence[int]  # sampled tokens
    max_new_tokens: int = 0  # the token budget; 0 if unknown
    parts: Sequence[Mapping[str, float]] = ()  # named parts of each reward; none where no verdict has any

    def __len__(self) -> int:
        return len(self.rewards)


def view_of(valid: Sequence[Completion], max_new_tokens: int = 0) -> GroupView:
    """What an advantage reads of a group's answers."""
    return GroupView(
        rewards=[c.verdict.reward for c in valid],
        correct=[c.verdict.correct for c in valid],
        mean_logp=[float(c.logprobs[c.sampled].mean(dtype=np.float64)) if c.sampled.any() else 0.0 for c in valid],
        lengths=[int(c.sampled.sum()) for c in valid],
        max_new_tokens=max_new_tokens,
        parts=[c.verdict.parts for c in valid] if any(c.verdict.parts for c in valid) else (),
    )


def batch_of(completions: Sequence[Completion]) -> Batch:
    """Answers as a batch of their own, each with advantage 1."""
    rows = tuple(completion for completion in completions if completion.sampled.any())
    return Batch(
        completions=rows,
        group=np.arange(len(rows)),
        advantage=np.ones(len(rows)),
        correct=np.array([c.verdict.correct for c in rows], dtype=np.bool_),
        step_tokens=int(sum(c.sampled.sum() for c in rows)),
        step_sequences=len(rows),
    )
