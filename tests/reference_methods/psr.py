"""PSR, positive sample reinforcement (arXiv 2506.01347): `A = 1` if the verdict is correct, else 0. No group statistics.

Read in: reference page, section 4.2; addendum, section 1.8 (code TianHongZXY/RLVR-Decomposed a5d4e7c
`compute_psr_nsr_outcome_advantage`). Loss: clip 0.2, token mean. Wrong answers add nothing but their tokens count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "loss_matrix"]


def advantages(correct: Tensor) -> Tensor:
    """Return the advantages [B]."""
    return torch.tensor([1.0 if bool(right) else 0.0 for right in correct], dtype=torch.float64)
