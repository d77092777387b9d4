"""Lp-Reg, low-probability regularisation (arXiv 2510.03222).

    proxy = the old policy without the tokens below kappa * its largest probability, renormalised; kappa = 0.02
    selected: A < 0, log-prob among the lowest share rho of the step's tokens with A < 0, and below the proxy's
    selected token: L = -A r + coef k3(l, proxy), unclipped;  others: PPO with the ratio within [0, 10]

Read in: addendum, section 3.6 (code CarlanLark/Lp-Reg-dev 33b27e2 `compute_policy_loss_lp_reg`, `recipe/lp_reg/*.sh`).
rho = 0.01 (14B; 0.005 for 32B), coef 1, token mean, advantages of GRPO. The positive side is off. A token that the proxy
removed has log-prob -1e4 there, so it is never selected.
As in the code: the number is max(1, int(rho * tokens with A < 0)), and with 1 nothing is selected. The log-probs are of
the current policy, frozen.
Decided here: selection is over the whole step (the code: a micro-batch). A token at exactly kappa times the largest stays.
Of equal log-probs the earlier token is taken. That code also holds k3 within 10; the page does not say so: `k3_cap=None`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reference_methods.arithmetic import flat_tokens, k3, log_probabilities, per_token, ppo_token, table, token_logp
from reference_methods.grpo import advantages, aggregate

__all__ = ["advantages", "aggregate", "loss_matrix", "proxy_logp", "proxy_probabilities", "select"]

REMOVED = -1e4


def proxy_probabilities(probabilities: list[float], kappa: float = 0.02) -> list[float]:
    """Return the proxy's law from the old policy's [V]."""
    largest = max(probabilities)
    kept = [p if p >= kappa * largest else 0.0 for p in probabilities]
    return [p / sum(kept) for p in kept]


def proxy_logp(old_logits: Tensor, token_ids: Tensor, mask: Tensor, *, kappa: float = 0.02) -> Tensor:
    """Return the proxy's log-probs [B, T] of the sampled tokens."""

    def cell(b: int, t: int) -> float:
        law = [math.exp(float(value)) for value in log_probabilities(old_logits[b, t])]
        p = proxy_probabilities(law, kappa)[int(token_ids[b, t])]
        return math.log(p) if p > 0 else REMOVED

    return table(mask, cell, old_logits.detach())


def select(advantages: Tensor, logp: Tensor, proxy: Tensor, mask: Tensor, *, rho: float = 0.01) -> Tensor:
    """Return [B, T]: True at the tokens that are pulled towards the proxy."""
    advantage = per_token(advantages, mask)
    negative = [(b, t) for b, t in flat_tokens(mask) if float(advantage[b, t]) < 0]
    result = torch.zeros_like(mask, dtype=torch.bool)
    count = max(1, int(rho * len(negative)))
    if count < 2:
        return result
    for b, t in sorted(negative, key=lambda place: (float(logp[place]), place))[:count]:
        result[b, t] = float(logp[b, t]) < float(proxy[b, t])
    return result


def loss_matrix(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    proxy: Tensor,
    rho: float = 0.01,
    coefficient: float = 1.0,
    ratio_low: float = 0.0,
    ratio_high: float = 10.0,
    k3_cap: float | None = None,
    selected: Tensor | None = None,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return the token losses [B, T] from the proxy's log-probs [B, T]."""
    frozen = logits.detach() if frozen_logits is None else frozen_logits
    advantage, logp = per_token(advantages, mask), token_logp(logits, token_ids, mask)
    pulled = (
        select(advantages, token_logp(frozen, token_ids, mask), proxy, mask, rho=rho) if selected is None else selected
    )

    def cell(b: int, t: int) -> Tensor:
        a, ratio = advantage[b, t], torch.exp(logp[b, t] - old_logp[b, t])
        if not bool(pulled[b, t]):
            return ppo_token(a, ratio, 1.0 - ratio_low, ratio_high - 1.0)
        divergence = k3(logp[b, t], proxy[b, t])
        if k3_cap is not None:
            divergence = torch.clamp(divergence, max=k3_cap)
        return -a * ratio + coefficient * divergence

    return table(mask, cell, logits)
