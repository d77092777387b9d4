"""The covariance of KL-Cov and Clip-Cov (arXiv 2505.22617): `cov_t = (A_t - mean A) (l_t - mean l)`, detached.

Read in: reference page, section 4.3. Means are over all valid tokens. The code's are of a micro-batch; here they are of
the whole optimizer step, with the tokens of sequences whose advantage is 0 (the reference page asks for the mini-batch).
"""

from __future__ import annotations

from torch import Tensor

from reference_methods.arithmetic import flat_tokens, mean, per_token, table


def covariances(advantages: Tensor, logp: Tensor, mask: Tensor) -> Tensor:
    """Return cov [B, T] from advantages [B] or [B, T] and log-probs [B, T]."""
    advantage, places = per_token(advantages, mask), flat_tokens(mask)
    mean_advantage = mean([float(advantage[b, t]) for b, t in places])
    mean_logp = mean([float(logp[b, t]) for b, t in places])

    def cell(b: int, t: int) -> float:
        return (float(advantage[b, t]) - mean_advantage) * (float(logp[b, t]) - mean_logp)

    return table(mask, cell, logp.detach())
