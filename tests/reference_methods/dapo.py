"""DAPO (arXiv 2503.14476): clip-higher, the token mean, refill (dynamic sampling), and the soft penalty on long answers.

Read in: reference page, section 4.1; addendum, section 1.8. Clip 0.2 / 0.28, no KL, advantages of GRPO. A group goes when
all or none of its answers are right, and others are sampled until enough groups remain. Longest answer 20,480 tokens,
buffer 4,096. The pages give no formula for the penalty; this one is of verl's reward manager, from memory, RECONSTRUCTED:

    penalty = -min(max(length - (longest - buffer), 0) / buffer, 1) * factor

Decided here: `refill` keeps the first groups that are informative, in the order in which they were sampled. The filter
reads verdicts (verl's metric `acc`), not rewards. The overlong FILTER (TRL's `mask_truncated_completions`) takes a cut
answer out of the loss and out of the token count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from reference_methods import grpo
from reference_methods.grpo import advantages, aggregate

__all__ = ["advantages", "aggregate", "informative", "loss_matrix", "overlong_filter", "overlong_penalty", "refill"]


def loss_matrix(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    **settings: Any,
) -> Tensor:
    """Return the token losses [B, T]: GRPO's with the upper clip at 0.28."""
    return grpo.loss_matrix(
        logits, token_ids, mask, old_logp, advantages, clip_low=clip_low, clip_high=clip_high, **settings
    )


def informative(correct: Sequence[bool]) -> bool:
    """Return whether a group has a right and a wrong answer."""
    return 0 < sum(bool(right) for right in correct) < len(correct)


def refill(sampled: Sequence[Sequence[bool]], wanted: int) -> tuple[list[int], int]:
    """Return which of the groups sampled so far are kept, and how many are still missing."""
    kept: list[int] = []
    for index, correct in enumerate(sampled):
        if len(kept) < wanted and informative(correct):
            kept.append(index)
    return kept, wanted - len(kept)


def overlong_penalty(length: int, longest: int = 20480, buffer: int = 4096, factor: float = 1.0) -> float:
    """Return what is added to the reward of an answer of `length` tokens: between -factor and 0."""
    excess = length - (longest - buffer)
    if excess <= 0:
        return 0.0
    return -factor * min(excess / buffer, 1.0)


def overlong_filter(mask: Tensor, truncated: Sequence[bool]) -> Tensor:
    """Return the mask [B, T] without the answers that the token budget cut."""
    result = mask.clone()
    for b, cut in enumerate(truncated):
        if cut:
            for t in range(mask.shape[1]):
                result[b, t] = False
    return result
