"""Q4_K and Q6_K: the 4- and 6-bit blocks of GGUF files, which the package `gguf` can read and not write.

The searches for scales are those of llama.cpp's reference (`quantize_row_q4_K_ref` and `quantize_row_q6_K_ref` in
ggml/src/ggml-quants.c, MIT), many blocks at a time: a float32 sum in another order may choose another of two scales that are
equally good. The layouts of the bytes are those of `block_q4_K` and `block_q6_K` in ggml/src/ggml-common.h.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

SUPER = 256  # weights of a block, which has one float16 scale
Q4_K_BYTES, Q6_K_BYTES = 144, 210
_TINY = 1e-15  # below it a group counts as zeros
_AT_ONCE = {"cpu": 1 << 9, "cuda": 1 << 15}  # blocks: on a CPU they and their temporaries stay in its cache


def q4_k(weight: Float[Tensor, "rows columns"]) -> UInt8[Tensor, "rows bytes"]:
    """Quantise rows whose length is a multiple of 256 to Q4_K; 144 bytes for 256 weights.

    Eight groups of 32 weights have a scale and a minimum of 6 bits each: a weight is `d * scale * q - dmin * minimum`, q of 0
    to 15. Scale and minimum of a group are those of the least weighted squared error among 21 grids.
    """
    return _by_blocks(weight, _q4_k_blocks, Q4_K_BYTES)


def q6_k(weight: Float[Tensor, "rows columns"]) -> UInt8[Tensor, "rows bytes"]:
    """Quantise rows whose length is a multiple of 256 to Q6_K; 210 bytes for 256 weights.

    Sixteen groups of 16 weights have a scale of 8 bits: a weight is `d * scale * q`, q of -32 to 31. The scale of a group is
    the best of 19 for an error weighted by the weights' squares.
    """
    return _by_blocks(weight, _q6_k_blocks, Q6_K_BYTES)


@torch.no_grad()
def _by_blocks(weight: Tensor, quantise: Callable[[Tensor], Tensor], size: int) -> Tensor:
    rows, columns = weight.shape
    blocks = weight.to(torch.float32).reshape(-1, SUPER)
    parts = [quantise(part) for part in blocks.split(_AT_ONCE.get(weight.device.type, _AT_ONCE["cpu"]))]
    return torch.cat(parts).reshape(rows, columns // SUPER * size)


def _q4_k_blocks(x: Tensor) -> Tensor:
    """`(n, 256)` to `(n, 144)` bytes: d, dmin, scales and minima of 6 bits, then the numbers of 4 bits."""
    groups = x.reshape(-1, 8, 32)
    scales, minima = (part.reshape(-1, 8) for part in _scale_and_minimum(_upright(groups)))
    top, low = scales.amax(1, keepdim=True), minima.amax(1, keepdim=True)
    six = [
        torch.where(most > 0, (63 / most) * part, 0.0).round().clamp(0, 63)
        for part, most in ((scales, top), (minima, low))
    ]
    d, dmin = (top / 63).half(), (low / 63).half()
    step = (d.float() * six[0])[..., None]
    q = ((groups + (dmin.float() * six[1])[..., None]) / step).round().clamp(0, 15)
    q = torch.where(step == 0, 0.0, q).to(torch.uint8).reshape(-1, 4, 2, 32)
    scale, minimum = (part.to(torch.uint8) for part in six)
    first = torch.cat([scale[:, :4] | scale[:, 4:] >> 4 << 6, minimum[:, :4] | minimum[:, 4:] >> 4 << 6], 1)
    rest = (scale[:, 4:] & 15) | (minimum[:, 4:] & 15) << 4
    numbers = (q[:, :, 0] | q[:, :, 1] << 4).reshape(-1, 128)
    return torch.cat([_bytes(d), _bytes(dmin), first, rest, numbers], 1)


def _scale_and_minimum(x: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and minimum (as a number to subtract, not negative) of each group: `(32, groups)` to `(groups,)` twice."""
    weights = x.square().mean(0).sqrt() + x.abs()
    least = x.amin(0).clamp(max=0)
    most = x.amax(0)
    flat = most == least
    most = torch.where(flat, least + 1, most)
    weighted = weights * x
    sum_w, sum_x = weights.sum(0), weighted.sum(0)

    def error(q: Tensor, scale: Tensor, minimum: Tensor) -> Tensor:
        return ((q * scale + minimum - x).square() * weights).sum(0)

    scale, minimum = (most - least) / 15, least
    best = error(((x - least) * (15 / (most - least))).round().clamp(0, 15), scale, minimum)
    for tenths in range(-10, 11):  # each grid begins at the best minimum so far, not at the least weight
        q = ((x - minimum) * ((15 + 0.1 * tenths) / (most - minimum))).round().clamp(0, 15)
        wq = weights * q
        sum_q, sum_qq, sum_qx = wq.sum(0), (wq * q).sum(0), (weighted * q).sum(0)
        determinant = sum_w * sum_qq - sum_q.square()
        new_scale = (sum_w * sum_qx - sum_x * sum_q) / determinant
        new_minimum = (sum_qq * sum_x - sum_q * sum_qx) / determinant
        above_zero = new_minimum > 0
        new_scale = torch.where(above_zero, sum_qx / sum_qq, new_scale)
        new_minimum = new_minimum.clamp(max=0)
        new_error = error(q, new_scale, new_minimum)
        better = (determinant > 0) & (new_error < best)  # false for NaN
        best = torch.where(better, new_error, best)
        scale, minimum = torch.where(better, new_scale, scale), torch.where(better, new_minimum, minimum)
    return torch.where(flat, 0.0, scale), -minimum


def _q6_k_blocks(x: Tensor) -> Tensor:
    """`(n, 256)` to `(n, 210)` bytes: the lower 4 bits, the upper 2 bits, scales of 8 bits, d."""
    groups = x.reshape(-1, 16, 16)
    scales = _signed_scale(_upright(groups)).reshape(-1, 16)
    top = scales.gather(1, scales.abs().argmax(1, keepdim=True))
    zeros = top.abs() < _TINY
    inverse = torch.where(zeros, 0.0, -128 / top)
    d = torch.where(zeros, 0.0, 1 / inverse).half()
    eight = (inverse * scales).round().clamp(-128, 127)
    step = (d.float() * eight)[..., None]
    q = torch.where(step == 0, -32.0, (groups / step).round().clamp(-32, 31)) + 32
    q = torch.where(zeros[..., None], 0.0, q).to(torch.uint8).reshape(-1, 2, 4, 32)  # a zero block is all zero bytes
    lower = torch.cat([q[:, :, 0] & 15 | (q[:, :, 2] & 15) << 4, q[:, :, 1] & 15 | (q[:, :, 3] & 15) << 4], 2)
    upper = q[:, :, 0] >> 4 | q[:, :, 1] >> 4 << 2 | q[:, :, 2] >> 4 << 4 | q[:, :, 3] >> 4 << 6
    return torch.cat([lower.reshape(-1, 128), upper.reshape(-1, 64), _bytes(eight.to(torch.int8)), _bytes(d)], 1)


def _signed_scale(x: Tensor) -> Tensor:
    """The scale of each group, `(16, groups)` to `(groups,)`; its sign is that of minus the largest weight."""
    most = x.gather(0, x.abs().argmax(0, keepdim=True))[0]
    zeros = most.abs() < _TINY
    most = torch.where(zeros, 1.0, most)
    cubes, squares = x.pow(3), x.square()
    scale = best = torch.zeros_like(most)
    for tenths in (0, *range(-9, 0), *range(1, 10)):
        q = (x * (-(32 + 0.1 * tenths) / most)).round().clamp(-32, 31)
        sum_x, sum_q = (cubes * q).sum(0), (squares * q * q).sum(0)
        better = (sum_q > 0) & ((sum_x.square() > best * sum_q) | (tenths == 0))
        scale = torch.where(better, sum_x / sum_q, scale)
        best = torch.where(better, scale * sum_x, best)
    return torch.where(zeros, 0.0, scale)


def _upright(groups: Tensor) -> Tensor:
    """The weights of a group below each other: sums over the first axis are several times faster on a CPU."""
    return groups.reshape(-1, groups.shape[-1]).t().contiguous()


def _bytes(values: Tensor) -> Tensor:
    return values.contiguous().view(torch.uint8)
