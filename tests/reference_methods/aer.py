"""AER-style adaptive entropy regularisation (after arXiv 2510.10959). RECONSTRUCTED as a whole: the paper's formula and
its values were not read; the abstract names its three ideas.

    H*      = kappa H_0                                    H_0 = mean entropy at step 0
    lam_t   = clip(lam_{t-1} + eta (H* - H_t), 0, lam_max)
    w_g     = max(0, (rho - acc_g) / rho), normalised to mean 1 over the groups of the step
    loss    = GRPO - lam_t * token mean of (w_g H_t), H with gradient

Read in: reference page, section 3.6; addendum, sections 1.6 and 2. kappa = 0.4, rho = 0.5. The addendum asks for an eta
with which lam moves at most a tenth of lam_max a step.
Decided here: `rate` (eta) and `maximum` (lam_max) have no default; a move is held within a tenth of the maximum; lam
starts at 0; step 0 sets H_0 and moves nothing; weights that are all 0 stay 0. acc_g counts verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reference_methods import grpo
from reference_methods.aggregates import token_mean
from reference_methods.arithmetic import entropy, members, table
from reference_methods.grpo import advantages, aggregate, loss_matrix

__all__ = [
    "State",
    "advantages",
    "aggregate",
    "group_weights",
    "loss",
    "loss_matrix",
    "next_state",
    "regulariser",
    "row_weights",
]


@dataclass(frozen=True)
class State:
    initial_entropy: float | None = None
    coefficient: float = 0.0


def next_state(
    state: State, entropy: float, *, rate: float, maximum: float, kappa: float = 0.4, largest_move: float = 0.1
) -> State:
    """Return the state after a step with this mean entropy."""
    if state.initial_entropy is None:
        return State(entropy, state.coefficient)
    limit = largest_move * maximum
    move = min(max(rate * (kappa * state.initial_entropy - entropy), -limit), limit)
    return State(state.initial_entropy, min(max(state.coefficient + move, 0.0), maximum))


def group_weights(accuracies: list[float], *, rho: float = 0.5) -> list[float]:
    """Return the weights of groups with these shares of right answers: mean 1, or all 0."""
    raw = [max(0.0, (rho - accuracy) / rho) for accuracy in accuracies]
    total = sum(raw)
    return [value * len(raw) / total if total else 0.0 for value in raw]


def row_weights(correct: Tensor, groups: Tensor, *, rho: float = 0.5) -> Tensor:
    """Return [B]: each sequence has the weight of its group."""
    rows = members(groups)
    weights = group_weights([sum(bool(correct[b]) for b in group) / len(group) for group in rows], rho=rho)
    result = torch.zeros(len(groups), dtype=torch.float64)
    for group, weight in zip(rows, weights, strict=True):
        for b in group:
            result[b] = weight
    return result


def regulariser(logits: Tensor, mask: Tensor, weights: Tensor, coefficient: float) -> Tensor:
    """Return what is added to the loss, from weights [B] and lam."""
    values = entropy(logits, mask)
    return -coefficient * token_mean(table(mask, lambda b, t: weights[b] * values[b, t], logits), mask)


def loss(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    weights: Tensor,
    coefficient: float,
    **settings: Any,
) -> Tensor:
    """Return the loss of the step."""
    matrix = grpo.loss_matrix(logits, token_ids, mask, old_logp, advantages, **settings)
    return aggregate(matrix, mask) + regulariser(logits, mask, weights, coefficient)
