"""NSR, negative sample reinforcement (arXiv 2506.01347): `A = 0` if the verdict is correct, else -1.

Read in: reference page, section 4.2; addendum, section 1.8. Loss: clip 0.2, token mean. A group that is all wrong learns,
and so does a group with one valid answer: there are no group statistics.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "loss_matrix"]


def advantages(correct: Tensor) -> Tensor:
    """Return the advantages [B]."""
    return torch.tensor([0.0 if bool(right) else -1.0 for right in correct], dtype=torch.float64)
