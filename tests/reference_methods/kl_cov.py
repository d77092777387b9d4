"""KL-Cov (arXiv 2505.22617): `L = -A r` without clipping; at the tokens of highest covariance also `coef |l - o|`.

Read in: reference page, section 4.3; addendum, section 1.8 (code PRIME-RL/Entropy-Mechanism-of-RL 8850579). The share is
a FRACTION here: 0.002 (the repository's `k_percent` 0.2 is in percent; 7B; 0.0002 for 32B), at least one token; coef 1.
Token mean; advantages of GRPO.
Decided here: of equal covariances the earlier token (row after row) is taken. The number is int(fraction * tokens). The
covariance is of the frozen policy over the step; pass `selected` for that of the old pass. |l - o| has gradient 0 at l = o.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference_methods.arithmetic import flat_tokens, per_token, table, token_logp
from reference_methods.covariance import covariances
from reference_methods.grpo import advantages, aggregate

__all__ = ["advantages", "aggregate", "loss_matrix", "select"]


def select(advantages: Tensor, logp: Tensor, mask: Tensor, *, fraction: float = 0.002) -> Tensor:
    """Return [B, T]: True at the tokens that are held back."""
    values, places = covariances(advantages, logp, mask), flat_tokens(mask)
    count = max(1, int(fraction * len(places)))
    chosen = sorted(places, key=lambda place: (-float(values[place]), place))[:count]
    result = torch.zeros_like(mask, dtype=torch.bool)
    for b, t in chosen:
        result[b, t] = True
    return result


def loss_matrix(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    fraction: float = 0.002,
    coefficient: float = 1.0,
    selected: Tensor | None = None,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return the token losses [B, T]."""
    frozen = logits.detach() if frozen_logits is None else frozen_logits
    advantage, logp = per_token(advantages, mask), token_logp(logits, token_ids, mask)
    held = (
        select(advantages, token_logp(frozen, token_ids, mask), mask, fraction=fraction)
        if selected is None
        else selected
    )

    def cell(b: int, t: int) -> Tensor:
        difference = logp[b, t] - old_logp[b, t]
        value = -advantage[b, t] * torch.exp(difference)
        return value + coefficient * difference.abs() if bool(held[b, t]) else value

    return table(mask, cell, logits)
