"""80/20, only high-entropy tokens learn (arXiv 2506.01939): the loss is kept where the entropy is at least the quantile.

Read in: reference page, section 4.6; addendum, section 1.8. Two published versions:
- `scope="step"` (the default; TRL's `top_entropy_quantile=0.2`): one quantile 0.8 over all tokens of the step, `>=`,
  the loss elsewhere is 0, and all tokens count in the token mean.
- `scope="row"` (SIREN's copy): a quantile a row, strict `>`, and only kept tokens count.
The rest is DAPO's: clip 0.2 / 0.28.
Decided here: the quantile is over all tokens of the step, also those of sequences whose advantage is 0. Entropies are of
the old pass (reference page, section 5, rule 4); here the caller passes them.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from reference_methods import dapo
from reference_methods.aggregates import token_mean
from reference_methods.arithmetic import flat_tokens, quantile, row_gate, table
from reference_methods.grpo import advantages

__all__ = ["advantages", "aggregate", "kept_tokens", "loss_matrix"]


def kept_tokens(entropy: Tensor, mask: Tensor, *, q: float = 0.8, scope: Literal["step", "row"] = "step") -> Tensor:
    """Return [B, T]: True at the tokens that learn."""
    if scope == "row":
        return row_gate(entropy, mask, q)
    places = flat_tokens(mask)
    threshold = quantile([float(entropy[b, t]) for b, t in places], q)
    kept = torch.zeros_like(mask, dtype=torch.bool)
    for b, t in places:
        kept[b, t] = float(entropy[b, t]) >= threshold
    return kept


def loss_matrix(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    kept: Tensor,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return the token losses [B, T], 0 outside of `kept` [B, T]."""
    del frozen_logits
    matrix = dapo.loss_matrix(logits, token_ids, mask, old_logp, advantages, clip_low=clip_low, clip_high=clip_high)
    return table(mask, lambda b, t: matrix[b, t] if bool(kept[b, t]) else matrix.new_zeros(()), logits)


def aggregate(
    matrix: Tensor, mask: Tensor, kept: Tensor | None = None, scope: Literal["step", "row"] = "step"
) -> Tensor:
    """Return the token mean: over all tokens, or over the kept ones for `scope="row"`."""
    return token_mean(matrix, kept if scope == "row" and kept is not None else mask)
