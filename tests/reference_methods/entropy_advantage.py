"""Entropy advantage (arXiv 2506.14758): `A'_t = A_t + min(alpha sg(H_t), |A_t| / kappa)`.

Read in: addendum, section 1.8 (the paper, v4): alpha = 0.4 with GRPO (0.1 with PPO), kappa = 2 (above 1, so that A keeps
its sign); H is of the current policy inside the update, detached; token mean, clip-higher (0.2 / 0.28, DAPO's).
"""

from __future__ import annotations

from torch import Tensor

from reference_methods import grpo
from reference_methods.arithmetic import entropy, per_token, table
from reference_methods.grpo import advantages, aggregate

__all__ = ["advantages", "aggregate", "loss_matrix", "shape"]


def shape(advantage: float, entropy: float, *, alpha: float = 0.4, kappa: float = 2.0) -> float:
    """Return A' of one token."""
    return advantage + min(alpha * entropy, abs(advantage) / kappa)


def loss_matrix(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    alpha: float = 0.4,
    kappa: float = 2.0,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return the token losses [B, T], with the advantages shaped by the frozen entropies."""
    frozen = logits.detach() if frozen_logits is None else frozen_logits
    base, level = per_token(advantages, mask), entropy(frozen, mask)
    shaped = table(
        mask, lambda b, t: shape(float(base[b, t]), float(level[b, t]), alpha=alpha, kappa=kappa), base.detach()
    )
    return grpo.loss_matrix(logits, token_ids, mask, old_logp, shaped, clip_low=clip_low, clip_high=clip_high)
