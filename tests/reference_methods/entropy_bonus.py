"""The entropy bonus: `loss = GRPO - c * token mean of H`, H with gradient, c = 0.01.

Read in: reference page, section 4.9 (c is of SimKO's baseline). Gradient of H in the logits: `-p_v (log p_v + H)`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from reference_methods import grpo
from reference_methods.aggregates import token_mean
from reference_methods.arithmetic import entropy
from reference_methods.grpo import advantages, aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "loss", "loss_matrix", "regulariser"]


def regulariser(logits: Tensor, mask: Tensor, coefficient: float = 0.01) -> Tensor:
    """Return what is added to the loss."""
    return -coefficient * token_mean(entropy(logits, mask), mask)


def loss(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    coefficient: float = 0.01,
    **settings: Any,
) -> Tensor:
    """Return the loss of the step."""
    matrix = grpo.loss_matrix(logits, token_ids, mask, old_logp, advantages, **settings)
    return aggregate(matrix, mask) + regulariser(logits, mask, coefficient)
