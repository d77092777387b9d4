"""W-REINFORCE (arXiv 2506.01347): `A = lambda` if the verdict is correct, else -1; lambda = 0.1.

Read in: reference page, section 4.2; addendum, section 1.8. Loss: clip 0.2, token mean. No group statistics.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "loss_matrix"]


def advantages(correct: Tensor, *, positive_weight: float = 0.1) -> Tensor:
    """Return the advantages [B]."""
    return torch.tensor([positive_weight if bool(right) else -1.0 for right in correct], dtype=torch.float64)
