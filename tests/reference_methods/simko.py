"""SimKO, renamed CaSP in v3 (arXiv 2510.14807).

At a token with gate h = 1 (entropy strictly above its row's quantile q):

    right answer, A > 0:        r+ = (1 - alpha) r + (alpha / K) sum_k sg(r / r_k) r_k
    A < 0, y is the top-1:      the advantage (or the ratio) times lambda
    L = max(-A rt, -A clip(rt)),  rt in {r, r+, lambda r}

Because sg(r / r_k) r_k has value sg(r) and gradient r grad(l_k), no old top-K log-probs are needed.
Gradient in the logits where nothing clips: `-A r ((1 - alpha h) e_y + (alpha h / K) sum_k e_vk - pi)`.

Read in: reference page, sections 2.1 (formula), 2.2 (settings), 2.3 and 2.4 (code CLR-Lab/SimKO 306f4ff
`verl/trainer/ppo/core_algos.py::compute_policy_loss_simko`), 2.5 (vectors). The advantages are GRPO's.

Decided here:
- Sharing needs the verdict `correct` and A > 0. The penalty needs A < 0 at that token, whatever the verdict (2.4, no. 5).
- The penalty multiplies the advantage by default (2.4, no. 3); the paper's formula multiplies the ratio.
- Of equally likely candidates the lower id ranks first.
- Top-K, top-1, entropy and quantile are those of the current policy, frozen.
- "Probability-proportional smoothing" is a row of the ablation table 2.7 without a formula. RECONSTRUCTED: the share
  1/K becomes sg(p_k / sum_j p_j) over the K candidates.
- Warm-up of the logic preset: steps 0 to 49 are GRPO.
- The entropy floor that 2.4, no. 7 proposes is not applied.
- Rewards that are equal in a group give exactly 0 (`grpo.advantages`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_methods.arithmetic import (
    entropy,
    log_probabilities,
    per_token,
    ppo_token,
    ranked,
    row_gate,
    table,
    token_logp,
)
from reference_methods.grpo import advantages, aggregate

__all__ = ["PRESETS", "Preset", "advantages", "aggregate", "loss_matrix", "mixed_ratio", "settings_at"]


@dataclass(frozen=True)
class Preset:
    alpha: float
    top_k: int
    quantile: float
    top1_penalty: float
    warmup_steps: int
    clip_low: float
    clip_high: float
    refill: bool


PRESETS = {
    "math": Preset(0.01, 3, 0.8, 1.1, 0, 0.2, 0.2, False),
    "logic": Preset(0.005, 3, 0.8, 1.05, 50, 0.2, 0.28, True),
    "code": Preset(0.05, 3, 0.8, 1.1, 0, 0.2, 0.2, False),
}


def settings_at(step: int, preset: Preset) -> tuple[float, float]:
    """Return (alpha, top1_penalty) at a step counted from 0: those of GRPO during the warm-up."""
    return (0.0, 1.0) if step < preset.warmup_steps else (preset.alpha, preset.top1_penalty)


def mixed_ratio(
    row: Tensor,
    frozen_row: Tensor,
    token: int,
    old_logp: Tensor,
    alpha: float,
    top_k: int,
    smoothing: Literal["uniform", "probability"] = "uniform",
) -> Tensor:
    """Return r+ at one token from its logits [V]: its value is r, its gradient is shared among the top K."""
    logp, frozen = log_probabilities(row), log_probabilities(frozen_row)
    ratio = torch.exp(logp[token] - old_logp)
    if alpha == 0.0:
        return ratio
    frozen_ratio = torch.exp(frozen[token] - old_logp)
    candidates = ranked(frozen_row)[:top_k]
    mass = sum(float(torch.exp(frozen[k])) for k in candidates)
    total = (1.0 - alpha) * ratio
    for k in candidates:
        share = 1.0 / len(candidates) if smoothing == "uniform" else float(torch.exp(frozen[k])) / mass
        total = total + alpha * share * frozen_ratio * torch.exp(logp[k] - frozen[k])
    return total


def loss_matrix(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    correct: Tensor,
    alpha: float = 0.01,
    top_k: int = 3,
    quantile: float = 0.8,
    top1_penalty: float = 1.1,
    penalty_on: Literal["advantage", "ratio"] = "advantage",
    smoothing: Literal["uniform", "probability"] = "uniform",
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    gate: Tensor | None = None,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return the token losses [B, T]. `correct` is [B]; `gate` [B, T] replaces the entropy gate where it is passed."""
    frozen = logits.detach() if frozen_logits is None else frozen_logits
    advantage, logp = per_token(advantages, mask), token_logp(logits, token_ids, mask)
    h = row_gate(entropy(frozen, mask), mask, quantile) if gate is None else gate

    def cell(b: int, t: int) -> Tensor:
        a, token = advantage[b, t], int(token_ids[b, t])
        ratio = torch.exp(logp[b, t] - old_logp[b, t])
        if bool(h[b, t]) and bool(correct[b]) and float(a) > 0:
            ratio = mixed_ratio(logits[b, t], frozen[b, t], token, old_logp[b, t], alpha, top_k, smoothing)
        if bool(h[b, t]) and float(a) < 0 and ranked(frozen[b, t])[0] == token:
            if penalty_on == "advantage":
                a = top1_penalty * a
            else:
                ratio = top1_penalty * ratio
        return ppo_token(a, ratio, clip_low, clip_high)

    return table(mask, cell, logits)
