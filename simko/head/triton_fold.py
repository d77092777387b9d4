"""The fold of a tile as one Triton kernel: two reads of the logits, one write of p. Imported only if Triton is installed."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from simko.head.sweep import FAR, Running, top_of

_BLOCK = 1024
_FAR = tl.constexpr(FAR)


@triton.jit
def _fold_rows(  # type: ignore[no-untyped-def]
    z_ptr, p_ptr, moment_ptr, lanes_ptr, top_ptr, mass_ptr, shifted_ptr, rescale_ptr, n, factor,
    BLOCK: tl.constexpr, MOMENT: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    z_ptr += row * n
    p_ptr += row * n
    moment_ptr += row * n
    sum_type = top_ptr.dtype.element_ty
    best = tl.full([BLOCK], -float("inf"), sum_type)
    for start in range(0, n, BLOCK):
        inside = start + lane < n
        z = tl.load(z_ptr + start + lane, mask=inside, other=0.0) * factor
        best = tl.maximum(best, tl.where(inside, z, -float("inf")))
    tl.store(lanes_ptr + row * BLOCK + lane, best)

    old = tl.load(top_ptr + row)
    new = tl.maximum(old, tl.max(best, axis=0))
    mass = tl.zeros([BLOCK], sum_type)
    shifted = tl.zeros([BLOCK], sum_type)
    for start in range(0, n, BLOCK):
        inside = start + lane < n
        z = tl.load(z_ptr + start + lane, mask=inside, other=0.0) * factor - new
        z = tl.where(z < _FAR, _FAR, z)  # a maximum would swallow nan
        z = tl.where(inside, z, _FAR)
        e = tl.exp(z)
        mass += e
        shifted += e * z
        tl.store(p_ptr + start + lane, e.to(p_ptr.dtype.element_ty), mask=inside)
        if MOMENT:
            tl.store(moment_ptr + start + lane, (e * z).to(moment_ptr.dtype.element_ty), mask=inside)

    shift = old - new
    shift = tl.where(shift < _FAR, _FAR, shift)
    rescale = tl.exp(shift)
    before = tl.load(mass_ptr + row)
    tl.store(shifted_ptr + row, rescale * (tl.load(shifted_ptr + row) + shift * before) + tl.sum(shifted, axis=0))
    tl.store(mass_ptr + row, rescale * before + tl.sum(mass, axis=0))
    tl.store(top_ptr + row, new)
    tl.store(rescale_ptr + row, rescale)


def triton_fold(
    z: Tensor,
    p: Tensor,
    running: Running,
    factor: float,
    top: Tensor,
    columns: Tensor,
    rescale: Tensor,
    moment: Tensor | None = None,
) -> None:
    """Fold with one Triton program for each row. The contract is in `simko.head.sweep.Fold`."""
    if z.dtype == torch.float64:  # a scalar reaches a kernel as float32
        z.mul_(factor)
        factor = 1.0
    c, n = z.shape
    lanes = z.new_empty(c, _BLOCK)
    with torch.cuda.device_of(z):  # Triton launches on the current device, whatever its tensors lie on
        _fold_rows[(c,)](
            z, p, p if moment is None else moment, lanes, *running, rescale, n, factor,
            BLOCK=_BLOCK, MOMENT=moment is not None,
        )  # fmt: skip
    largest, where = top_of(z, lanes[:, :n], top.shape[1])
    top.copy_(largest * factor)
    columns.copy_(where)
