"""EEPO, sample then forget (arXiv 2510.05837).

    O1 = the first half of the group from pi; if the gate is open, one plain SGD step on a copy of the adapter that LOWERS
    U = mean over O1 of the token mean of -log(1 - min(pi(o_t), 1 - eps));  O2 = the second half from the copy;
    then the copy goes and GRPO trains on O1 and O2, each half with the log-probs of the policy that sampled it.

Read in: reference page, section 3.2; addendum, section 1.2 (notes on the paper; no code was read). Gate: mean entropy of
the last m = 3 steps below 0.3; step size 3e-3.

RECONSTRUCTED: the sign (the notes say ascent, which raises the probability; a check in the addendum shows that U must be
minimised); eps = 1e-3; the gate by training step (`token_gate` is the other reading); a gate closed until m values are
known; the cap on the gradient's norm; the first half is the larger one of an odd group.
The clamp has no gradient: tokens with pi > 1 - eps are not pushed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from reference_methods.aggregates import sequence_mean
from reference_methods.arithmetic import log_probabilities, table
from reference_methods.grpo import advantages, aggregate, loss_matrix

__all__ = [
    "State",
    "advantages",
    "aggregate",
    "clamped_share",
    "forget",
    "gate",
    "halves",
    "loss_matrix",
    "next_state",
    "token_gate",
    "unlearning_loss",
]


@dataclass(frozen=True)
class State:
    """The mean entropies of the last steps, oldest first."""

    entropies: tuple[float, ...] = ()


def next_state(state: State, entropy: float, *, window: int = 3) -> State:
    return State((*state.entropies, entropy)[-window:])


def gate(state: State, *, window: int = 3, threshold: float = 0.3) -> bool:
    """Return whether the step about to start forgets between its halves."""
    return len(state.entropies) >= window and sum(state.entropies[-window:]) / window < threshold


def token_gate(entropy: Tensor, mask: Tensor, *, window: int = 3, threshold: float = 0.3) -> Tensor:
    """Return [B, T]: whether the mean entropy of a token and the window - 1 before it is below the threshold."""
    result = torch.zeros_like(mask, dtype=torch.bool)
    for b in range(mask.shape[0]):
        inside = [t for t in range(mask.shape[1]) if bool(mask[b, t])]
        for position in range(window - 1, len(inside)):
            recent = [float(entropy[b, t]) for t in inside[position - window + 1 : position + 1]]
            result[b, inside[position]] = sum(recent) / window < threshold
    return result


def halves(group_size: int) -> tuple[int, int]:
    """Return how many answers are sampled before and after forgetting."""
    return group_size - group_size // 2, group_size // 2


def unlearning_loss(
    logits: Tensor, token_ids: Tensor, mask: Tensor, *, epsilon: float = 1e-3, open_tokens: Tensor | None = None
) -> Tensor:
    """Return U over the answers of the first half. `open_tokens` [B, T] is the gate by token."""

    def cell(b: int, t: int) -> Tensor:
        if open_tokens is not None and not bool(open_tokens[b, t]):
            return logits.new_zeros(())
        p = torch.exp(log_probabilities(logits[b, t])[int(token_ids[b, t])])
        if float(p.detach()) > 1.0 - epsilon:
            p = p.new_tensor(1.0 - epsilon)
        return -torch.log(1.0 - p)

    return sequence_mean(table(mask, cell, logits), mask)


def clamped_share(logits: Tensor, token_ids: Tensor, mask: Tensor, *, epsilon: float = 1e-3) -> float:
    """Return the share of tokens that the clamp leaves without a gradient."""
    places = [(b, t) for b in range(mask.shape[0]) for t in range(mask.shape[1]) if bool(mask[b, t])]
    clamped = 0
    for b, t in places:
        p = math.exp(float(log_probabilities(logits[b, t])[int(token_ids[b, t])]))
        clamped += p > 1.0 - epsilon
    return clamped / max(len(places), 1)


def forget(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    *,
    learning_rate: float = 3e-3,
    max_norm: float | None = None,
) -> list[Tensor]:
    """Return the parameters after one plain SGD step down the gradient of U, its norm over all tensors capped."""
    norm = math.sqrt(math.fsum(float((gradient.double() ** 2).sum()) for gradient in gradients))
    scale = 1.0 if max_norm is None or norm <= max_norm else max_norm / norm
    return [p - learning_rate * scale * g for p, g in zip(parameters, gradients, strict=True)]
