"""CISPO (arXiv 2506.13585): `L = -sg(clamp(r, low, high)) A log pi`; each token keeps its gradient. Token mean.

Read in: reference page, section 4.8; addendum, section 1.8. The paper prints no bound: the cap is ScaleRL's, r <= 5
(absolute, as TRL's `epsilon_high=5.0`), without a lower bound. NeMo-RL and F-CISPO use [0, 6]: pass `high=6.0`.
Advantages of GRPO. The value of the loss has no meaning; only its gradient has.
"""

from __future__ import annotations

import math

from torch import Tensor

from reference_methods.arithmetic import per_token, table, token_logp
from reference_methods.grpo import advantages, aggregate

__all__ = ["advantages", "aggregate", "loss_matrix"]


def loss_matrix(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    low: float = 0.0,
    high: float = 5.0,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return the token losses [B, T]; `low` and `high` bound the ratio itself."""
    frozen = logits.detach() if frozen_logits is None else frozen_logits
    advantage, logp = per_token(advantages, mask), token_logp(logits, token_ids, mask)
    frozen_logp = token_logp(frozen, token_ids, mask)

    def cell(b: int, t: int) -> Tensor:
        weight = min(max(math.exp(float(frozen_logp[b, t] - old_logp[b, t])), low), high)
        return -weight * advantage[b, t] * logp[b, t]

    return table(mask, cell, logits)
