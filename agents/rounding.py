"""Rounding: what is left of an adapter if it is added to a weight and the sum is rounded to the weight's dtype.

A bf16 number has 8 significant bits. So a weight of 0.02 changes only if the adapter adds more than 6e-5, and an adapter is
smaller than that for its first dozens of steps. What then remains of it is few entries, each far too large.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simko.device import to_host

APART_BELOW = 0.99
"""Decoding keeps an adapter apart while the cosine of a layer's `Lost` is below this. Its cost is in docs/results/speed.md."""


@dataclass(frozen=True)
class Lost:
    """What rounding took from a delta. Add those of several layers for the whole of them: `sum(parts, Lost())`."""

    entries: int = 0
    vanished: int = 0
    """Of the entries that are not zero, those that changed nothing."""
    intended: float = 0.0
    """Sum of squares of the delta; `stored` is that of the change that is left of it, `shared` their inner product."""
    stored: float = 0.0
    shared: float = 0.0

    def __add__(self, other: Lost) -> Lost:
        return Lost(
            self.entries + other.entries,
            self.vanished + other.vanished,
            self.intended + other.intended,
            self.stored + other.stored,
            self.shared + other.shared,
        )

    @property
    def cosine(self) -> float:
        """Cosine between the delta and the change that is left: 1 if nothing was lost, 0 if everything was."""
        if self.intended == 0:
            return 1.0
        return self.shared / (self.intended * self.stored) ** 0.5 if self.stored else 0.0

    @property
    def share_vanished(self) -> float:
        """Share of the delta's entries that changed nothing, in [0, 1]."""
        return self.vanished / self.entries if self.entries else 0.0

    def __str__(self) -> str:
        return f"cosine {self.cosine:.4f} with the adapter, {self.share_vanished:.1%} of its entries vanished"


@torch.no_grad()
def merged_weight(
    base: Float[Tensor, "O I"], delta: Float[Tensor, "O I"], dtype: torch.dtype
) -> tuple[Float[Tensor, "O I"], Lost]:
    """Return `base + delta`, rounded once to `dtype`, and what the rounding took from `delta`.

    The sum is computed in float32, in float64 for float64. A float32 or float64 result is not examined: `Lost` then says that
    nothing was lost. To read the numbers waits for a GPU once.
    """
    exact = torch.promote_types(dtype, torch.float32)
    weight = (base.to(exact) + delta.to(exact)).to(dtype)
    if dtype == exact:
        return weight, Lost()
    return weight, _lost(base.to(dtype), delta.to(exact), weight)


def _lost(before: Tensor, delta: Tensor, after: Tensor) -> Lost:
    change = after.to(delta.dtype) - before.to(delta.dtype)
    moves = delta != 0
    sums = torch.stack(
        [
            moves.sum(),
            (moves & (change == 0)).sum(),
            *((a * b).sum(dtype=torch.float64) for a, b in ((delta, delta), (change, change), (change, delta))),
        ]
    )
    [(entries, vanished, *squares)] = to_host(sums)
    return Lost(int(entries), int(vanished), *map(float, squares))
