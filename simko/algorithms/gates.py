"""Gates by entropy: which tokens of a response are uncertain, measured against the response itself."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def high_entropy(
    entropy: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"], quantile: float, floor: float
) -> Bool[Tensor, "B T"]:
    """Mark tokens whose entropy is strictly above their own response's quantile, and above `floor` nats."""
    threshold = row_quantile(entropy, mask, quantile).clamp(min=floor)
    return (entropy > threshold[:, None]) & mask


def row_quantile(x: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"], q: float) -> Float[Tensor, "B"]:
    """Return the quantile of each row's masked entries, linear between two as in `torch.quantile`; 0 for an empty row."""
    ordered = x.masked_fill(~mask, torch.inf).sort(-1).values
    last = (mask.sum(-1) - 1).clamp(min=0)
    position = q * last.to(x.dtype)
    below = position.floor().long()
    above = torch.minimum(below + 1, last)
    low, high = (ordered.gather(-1, index[:, None])[:, 0] for index in (below, above))
    return torch.where(mask.any(-1), torch.lerp(low, high, position - below), 0.0)
