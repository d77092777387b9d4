"""The fold: it adds a tile of logits to the running sums of `simko.head.sweep`. One contract, two ways.

- `torch`: plain operations, anywhere.
- `triton`: one kernel a tile, on CUDA, or on a CPU under Triton's interpreter (`TRITON_INTERPRET=1`, for tests).
- `auto`: triton on CUDA if it is installed, else torch. On a CPU the fold is a fifth of a sweep: compiling it did not pay.

The products with W are the vendor's GEMM in every tier.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from typing import Literal, get_args

import torch
from torch import Tensor

from simko.head.sweep import FAR, Fold, Running, top_of

Tier = Literal["auto", "torch", "triton"]
LANES = 64


def fold_of(tier: Tier, device: torch.device) -> Fold:
    """Return the fold of a tier.

    Raises:
        ValueError: there is no such tier, or `triton` cannot run here.
    """
    if tier == "torch":
        return fold
    if tier == "triton" or (tier == "auto" and device.type == "cuda" and _has_triton()):
        if not _has_triton():
            raise ValueError("tier 'triton' needs Triton: pip install triton, or tier='torch'")
        if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
            raise ValueError(f"tier 'triton' needs a CUDA device, not {device.type}: tier='torch' runs anywhere")
        from simko.head.triton_fold import triton_fold

        return triton_fold
    if tier != "auto":
        raise ValueError(f"tier is {tier!r}, must be one of {', '.join(get_args(Tier))}")
    return fold


def fold(
    z: Tensor,
    p: Tensor,
    running: Running,
    factor: float,
    top: Tensor,
    columns: Tensor,
    rescale: Tensor,
    moment: Tensor | None = None,
) -> None:
    """Fold with plain torch. The contract is in `simko.head.sweep.Fold`."""
    if factor != 1.0:
        z.mul_(factor)
    largest, where = top_of(z, _lane_maxima(z), top.shape[1])
    top.copy_(largest)
    columns.copy_(where)
    new = torch.maximum(running.top, largest[:, 0])
    shift = (running.top - new).clamp_(min=FAR)
    rescale.copy_(shift.exp())
    z.sub_(new[:, None]).clamp_(min=FAR)
    e = torch.exp(z, out=p) if p.dtype == z.dtype else z.exp()
    # the old sums are rescaled to the new maximum before the tile is added; `shifted` comes first: it needs the old mass
    running.shifted.add_(shift * running.mass).mul_(rescale).add_(torch.linalg.vecdot(e, z))
    running.mass.mul_(rescale).add_(e.sum(-1))
    running.top.copy_(new)
    if e is not p:
        p.copy_(e)
    if moment is not None:
        moment.copy_(z.mul_(e))


def _lane_maxima(z: Tensor) -> Tensor | None:
    """Return the maxima of `LANES` interleaved lanes, (c, LANES); None if the tile is too narrow for this to pay."""
    c, n = z.shape
    if n < 8 * LANES:
        return None
    whole = n // LANES * LANES
    maxima = z[:, :whole].view(c, -1, LANES).amax(1)
    rest = maxima[:, : n - whole]
    torch.maximum(rest, z[:, whole:], out=rest)
    return maxima


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None
