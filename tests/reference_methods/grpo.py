"""GRPO (arXiv 2402.03300), as in verl.

    A_i = (R_i - mean_g) / (std_g + 1e-6),  std over n - 1
    L   = max(-A r, -A clip(r, 1 - e_lo, 1 + e_hi)),  r = exp(l - o)

Read in: reference page, section 1 ("Group advantage", "PPO token loss", aggregation) and section 4.1; the code is verl
`verl/trainer/ppo/core_algos.py::compute_grpo_outcome_advantage`. Defaults: clip 0.2 / 0.2, no KL, epsilon 1e-6.

Decided here:
- Equal rewards give exactly 0. The formula leaves rounding errors over 1e-6 (six rewards of 0.2).
- A group of one gives 0. verl's code uses mean 0 and std 1 there, so that A = R / (1 + 1e-6): `single="verl"`.
- The aggregate is the token mean over the optimizer step (verl's default), not the paper's mean over sequences.
- Dual clip (verl: c = 3, `min(L, -A c)` for A < 0) is off.
- The KL term is `beta k3(l, reference)` on each token; beta is 0 by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from reference_methods.aggregates import token_mean
from reference_methods.arithmetic import (
    all_equal,
    bessel_std,
    by_group,
    k3,
    mean,
    per_token,
    ppo_token,
    table,
    token_logp,
)


def normalised(
    rewards: Sequence[float], epsilon: float = 1e-6, single: Literal["zero", "verl"] = "zero"
) -> list[float]:
    """Return the advantages of one group."""
    if len(rewards) == 1 and single == "verl":
        return [rewards[0] / (1.0 + epsilon)]
    if all_equal(rewards):
        return [0.0] * len(rewards)
    centre, spread = mean(rewards), bessel_std(rewards)
    return [(reward - centre) / (spread + epsilon) for reward in rewards]


def advantages(rewards: Tensor, groups: Tensor, *, epsilon: float = 1e-6) -> Tensor:
    """Return the advantages [B]."""
    return by_group(groups, lambda rows: normalised([float(rewards[b]) for b in rows], epsilon))


def loss_matrix(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
    kl_coefficient: float = 0.0,
    reference_logp: Tensor | None = None,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return the PPO token losses [B, T]. Nothing in it is frozen; `frozen_logits` is there for one signature."""
    del frozen_logits
    advantage, logp = per_token(advantages, mask), token_logp(logits, token_ids, mask)

    def cell(b: int, t: int) -> Tensor:
        value = ppo_token(advantage[b, t], torch.exp(logp[b, t] - old_logp[b, t]), clip_low, clip_high)
        if dual_clip is not None and float(advantage[b, t]) < 0:
            value = torch.minimum(value, -advantage[b, t] * dual_clip)
        if kl_coefficient and reference_logp is not None:
            value = value + kl_coefficient * k3(logp[b, t], reference_logp[b, t])
        return value

    return table(mask, cell, logits)


def aggregate(matrix: Tensor, mask: Tensor) -> Tensor:
    return token_mean(matrix, mask)
