"""SIREN, selective entropy regularisation (arXiv 2509.25133).

    nucleus: the largest top prefix whose mass is strictly below 0.8 (the token that crosses is out; it may be empty)
    Hn = entropy of p renormalised on the nucleus, with gradient; 0 where the nucleus is empty
    peak: Hn strictly above its row's quantile 0.8
    E = mean over all sequences of the mean of Hn over the peak tokens; a sequence without peaks counts as 0
    loss = Dr.GRPO + beta (E - E0)^2,  beta = 0.005,  E0 = E at the first step, before any update

Read in: reference page, section 3.4; addendum, section 1.4 (code Linn3a/siren fa59a8d `verl/verl/workers/actor/dp_actor.py`
`efficient_top_p_sampling`, `mask_by_quantile`). Probabilities are of the full softmax, candidates are of the top 10,000
logits, 1e-12 is added to the nucleus' mass. Base: advantages without std, clip 0.2 / 0.2, sum over a constant length.
Decided here, as the addendum recommends: E is of the whole optimizer step (the code: of a micro-batch). Nucleus and peaks
are of the current policy, frozen; E has the gradient. E0 is of the old pass of step 1, with nucleus and peaks of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reference_methods.arithmetic import log_probabilities, ranked, row_gate, table
from reference_methods.dr_grpo import advantages, aggregate, loss_matrix

__all__ = [
    "State",
    "advantages",
    "aggregate",
    "loss",
    "loss_matrix",
    "next_state",
    "nucleus",
    "nucleus_entropy",
    "peak_entropy",
    "regulariser",
]


@dataclass(frozen=True)
class State:
    """E0, or None before the first step."""

    anchor: float | None = None


def next_state(state: State, peak_entropy: float) -> State:
    """Return the state with the anchor of the first step; it never moves afterwards."""
    return State(peak_entropy) if state.anchor is None else state


def nucleus(row: Tensor, *, top_p: float = 0.8, pool: int = 10000) -> list[int]:
    """Return the ids of the nucleus of one row of logits [V]."""
    logp = log_probabilities(row.detach())
    ids, mass = [], 0.0
    for v in ranked(row.detach())[:pool]:
        mass += math.exp(float(logp[v]))
        if mass >= top_p:
            break
        ids.append(v)
    return ids


def nucleus_entropy(
    logits: Tensor, mask: Tensor, *, top_p: float = 0.8, pool: int = 10000, frozen_logits: Tensor | None = None
) -> Tensor:
    """Return Hn [B, T], with gradient through the probabilities of the frozen nucleus."""
    frozen = logits.detach() if frozen_logits is None else frozen_logits

    def cell(b: int, t: int) -> Tensor:
        ids, total = nucleus(frozen[b, t], top_p=top_p, pool=pool), logits.new_zeros(())
        if not ids:
            return total
        p = torch.exp(log_probabilities(logits[b, t]))
        mass = sum((p[v] for v in ids), start=logits.new_zeros(())) + 1e-12
        for v in ids:
            total = total - p[v] / mass * torch.log(p[v] / mass)
        return total

    return table(mask, cell, logits)


def peak_entropy(
    logits: Tensor,
    mask: Tensor,
    *,
    top_p: float = 0.8,
    pool: int = 10000,
    quantile: float = 0.8,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return E of the step, a scalar with gradient."""
    frozen = logits.detach() if frozen_logits is None else frozen_logits
    values = nucleus_entropy(logits, mask, top_p=top_p, pool=pool, frozen_logits=frozen)
    peaks = row_gate(nucleus_entropy(frozen, mask, top_p=top_p, pool=pool), mask, quantile)
    total = logits.new_zeros(())
    for b in range(mask.shape[0]):
        places = [t for t in range(mask.shape[1]) if bool(peaks[b, t])]
        for t in places:
            total = total + values[b, t] / len(places)
    return total / mask.shape[0]


def regulariser(peak_entropy: Tensor, anchor: float, *, beta: float = 0.005) -> Tensor:
    return beta * (peak_entropy - anchor) ** 2


def loss(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    length: float,
    anchor: float,
    beta: float = 0.005,
    top_p: float = 0.8,
    quantile: float = 0.8,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return the loss of the step."""
    matrix = loss_matrix(logits, token_ids, mask, old_logp, advantages, clip_low=clip_low, clip_high=clip_high)
    level = peak_entropy(logits, mask, top_p=top_p, quantile=quantile, frozen_logits=frozen_logits)
    return aggregate(matrix, mask, length) + regulariser(level, anchor, beta=beta)
