"""ASPO, asymmetric importance sampling (arXiv 2510.06062).

    A < 0:  rt = max(r, 1 - e), no gradient below;                      L = -A rt
    A > 0:  rt = pi_old pi / sg(pi)^2 (value 1/r, gradient (1/r) grad l), no gradient where r > 1 + e;   L = -A rt
    either: where the weight (r for A < 0, 1/r for A > 0) exceeds c:    L = -A c log pi, gradient kept
    e = 0.2 at low-entropy tokens, 0.4 at tokens whose entropy is strictly above their row's quantile 0.8;  c = 3

Read in: reference page, section 3.5; addendum, section 1.5 (paper, and code wizard-III/Archer2.0 b08d963
`compute_policy_loss_archer`). Order: hard mask by r, then the weight, then the dual clip. Where A > 0 clips, the value is
`-A / (1 + e)`, as in the code. The log-ratio is held within 20. Token mean; advantages of GRPO.
Decided here: the code's radii (the paper has e = 0.2 for all tokens: pass `clip_high_entropy=0.2`); no KL term (script:
k3, 0.001). The entropy gate is of the current policy, frozen. The dual clip tests the ratio after the hard mask.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference_methods.arithmetic import clipped_ratio, entropy, per_token, row_gate, table, token_logp
from reference_methods.grpo import advantages, aggregate

__all__ = ["advantages", "aggregate", "loss_matrix"]


def loss_matrix(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    *,
    clip_low_entropy: float = 0.2,
    clip_high_entropy: float = 0.4,
    quantile: float = 0.8,
    dual_clip: float = 3.0,
    gate: Tensor | None = None,
    frozen_logits: Tensor | None = None,
) -> Tensor:
    """Return the token losses [B, T]. `gate` [B, T] replaces the entropy gate where it is passed."""
    frozen = logits.detach() if frozen_logits is None else frozen_logits
    advantage, logp = per_token(advantages, mask), token_logp(logits, token_ids, mask)
    frozen_logp = token_logp(frozen, token_ids, mask)
    high = row_gate(entropy(frozen, mask), mask, quantile) if gate is None else gate

    def cell(b: int, t: int) -> Tensor:
        a, radius = advantage[b, t], clip_high_entropy if bool(high[b, t]) else clip_low_entropy
        ratio = torch.exp(torch.clamp(logp[b, t] - old_logp[b, t], -20.0, 20.0))
        frozen_ratio = torch.exp(torch.clamp(frozen_logp[b, t] - old_logp[b, t], -20.0, 20.0))
        if float(a) < 0:
            weight = frozen_ratio if float(frozen_ratio) > 1.0 - radius else frozen_ratio.new_tensor(1.0 - radius)
            term = clipped_ratio(ratio, 1.0 - radius, float("inf"))
        else:
            bounded = clipped_ratio(frozen_ratio, 0.0, 1.0 + radius)
            weight = 1.0 / bounded
            term = clipped_ratio(ratio, 0.0, 1.0 + radius) / bounded / bounded
        if float(weight) > dual_clip:
            return -a * dual_clip * logp[b, t]
        return -a * term

    return table(mask, cell, logits)
