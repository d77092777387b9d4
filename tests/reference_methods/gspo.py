"""GSPO (arXiv 2507.18071): one ratio a sequence, in its token form.

    s_i = exp(mean_t (l - o));   s_it = sg(s_i) exp(l - sg(l));   L = max(-A s_it, -A clip(s_it, 1 - e_lo, 1 + e_hi))

Read in: reference page, section 4.7 (verl). e_lo = 3e-4, e_hi = 4e-4; mean over sequences of token means; no KL.
log s_it is held at 10 at most (verl). Decided here: verl's dual clip at 10 is off; the token form takes one A a sequence
or one a token.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference_methods.aggregates import sequence_mean
from reference_methods.arithmetic import per_token, ppo_token, table, token_logp
from reference_methods.grpo import advantages

__all__ = ["advantages", "aggregate", "loss_matrix"]


def loss_matrix(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    clip_low: float = 3e-4,
    clip_high: float = 4e-4,
    largest_log_ratio: float = 10.0,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return the token losses [B, T]."""
    frozen = logits.detach() if frozen_logits is None else frozen_logits
    advantage, logp = per_token(advantages, mask), token_logp(logits, token_ids, mask)
    frozen_logp = token_logp(frozen, token_ids, mask)

    def cell(b: int, t: int) -> Tensor:
        inside = [u for u in range(mask.shape[1]) if bool(mask[b, u])]
        log_s = sum(float(frozen_logp[b, u] - old_logp[b, u]) for u in inside) / len(inside)
        log_ratio = torch.clamp(log_s + logp[b, t] - frozen_logp[b, t], max=largest_log_ratio)
        return ppo_token(advantage[b, t], torch.exp(log_ratio), clip_low, clip_high)

    return table(mask, cell, logits)


def aggregate(matrix: Tensor, mask: Tensor) -> Tensor:
    return sequence_mean(matrix, mask)
