"""The three ways from a [B, T] loss matrix of the whole optimizer step to a scalar (reference page, section 1)."""

from __future__ import annotations

from torch import Tensor

from reference_methods.arithmetic import flat_tokens


def token_mean(matrix: Tensor, mask: Tensor) -> Tensor:
    """Return `sum(L m) / sum(m)`: SimKO's code, DAPO, verl's default."""
    total = matrix.new_zeros(())
    places = flat_tokens(mask)
    for b, t in places:
        total = total + matrix[b, t]
    return total / max(len(places), 1)


def sequence_mean(matrix: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over sequences of each sequence's token mean: GRPO's paper, GSPO. An empty sequence counts as 0."""
    total = matrix.new_zeros(())
    for b in range(mask.shape[0]):
        inside = [t for t in range(mask.shape[1]) if bool(mask[b, t])]
        for t in inside:
            total = total + matrix[b, t] / len(inside)
    return total / mask.shape[0]


def constant_length(matrix: Tensor, mask: Tensor, length: float) -> Tensor:
    """Return the mean over sequences of each sequence's token sum, over a constant length: Dr.GRPO, SIREN."""
    total = matrix.new_zeros(())
    for b, t in flat_tokens(mask):
        total = total + matrix[b, t]
    return total / (mask.shape[0] * length)
