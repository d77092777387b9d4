"""DPH-RL (arXiv 2509.07430): a mass-covering divergence on stored right answers of the base model, beside GRPO.

With u = pi / pi_base at a token of a stored answer (stored base log-probs):

    forward: u - 1 - ln u        js: u ln u - (u + 1) ln((u + 1) / 2)        alpha: (u^(1-a) - (1-a) u - a) / (a (a-1))

    auxiliary loss = coefficient * token mean over the buffer batch

Read in: addendum, section 3.5 (code seamoke/DPH-RL 139a9b2). Coefficient 0.01; a = 0.2. The gradient of the forward term
in l is u - 1. The RL part is GRPO with clip 0.2 / 0.28, without KL. The base answers each prompt 8 times.
RECONSTRUCTED: "prompts mostly solved go to a buffer" has no printed threshold; `split` needs one. The stored answer is
the first right one. clip_low = 0.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from reference_methods.aggregates import token_mean
from reference_methods.arithmetic import table, token_logp
from reference_methods.dapo import loss_matrix
from reference_methods.grpo import advantages, aggregate

__all__ = ["Divergence", "advantages", "aggregate", "auxiliary_loss", "divergence", "loss_matrix", "split"]

Divergence = Literal["forward", "js", "alpha"]


def divergence(log_u: Tensor, kind: Divergence = "forward", a: float = 0.2) -> Tensor:
    """Return the term of one token from log u = l - l_base."""
    u = torch.exp(log_u)
    if kind == "forward":
        return u - 1.0 - log_u
    if kind == "js":
        return u * log_u - (u + 1.0) * torch.log((u + 1.0) / 2.0)
    return (u ** (1.0 - a) - (1.0 - a) * u - a) / (a * (a - 1.0))


def auxiliary_loss(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    base_logp: Tensor,
    *,
    kind: Divergence = "forward",
    coefficient: float = 0.01,
    a: float = 0.2,
) -> Tensor:
    """Return the loss of a buffer batch: logits [N, T, V], base log-probs [N, T]."""
    logp = token_logp(logits, token_ids, mask)
    matrix = table(mask, lambda b, t: divergence(logp[b, t] - base_logp[b, t], kind, a), logits)
    return coefficient * token_mean(matrix, mask)


def split(base_correct: Sequence[Sequence[bool]], threshold: float) -> tuple[list[int], list[int], list[int]]:
    """Return (prompts for the buffer, the index of the stored answer of each, prompts for RL).

    A prompt goes to the buffer where the base's share of right answers is at least `threshold` and not 0.
    """
    buffer, stored, training = [], [], []
    for prompt, answers in enumerate(base_correct):
        solved = math.fsum(bool(right) for right in answers) / len(answers)
        if solved >= threshold and solved > 0:
            buffer.append(prompt)
            stored.append([bool(right) for right in answers].index(True))
        else:
            training.append(prompt)
    return buffer, stored, training
