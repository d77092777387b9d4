"""The one sweep over the vocabulary: logits tile by tile, statistics and `Wbar = E_p[W]` as running sums.

For a tile of c rows and n vocabulary entries, with a running maximum m as in attention's online softmax:

    z = h W_tile^T * factor;  m' = max(m, max z);  r = e^(m - m');  p = e^(z - m')
    S <- r S + sum p;   T <- r (T + (m - m') S) + sum p (z - m');   Wbar <- r Wbar + p W_tile

and after the last tile `log p_j = z_j - m - log S`, `H = log S - T / S`, `Wbar <- Wbar / S`. The backward is a gather:

    dL/dh = factor * ( sum_j g_j W[id_j]  -  (sum_j g_j) Wbar ),     j over the sampled id and the K candidates

It is exact, since `d log p_j / dz = e_j - p`. Forward and backward together take two products with W.

For a gradient of the entropy, a third product sums `U = E_p[(z - m) W]` beside Wbar. The old sum moves with m as T does, so U is
updated before Wbar, whose old value it reads:

    U <- r (U + (m - m') Wbar) + (p (z - m')) W_tile;   after the last tile  U <- U / S
    dH/dh = -factor * (U - (T / S) Wbar),     since dH/dz_v = -p_v (z_v - E_p[z]), and m cancels

All sums over the
vocabulary are float32 (float64 for float64). If a tile's product were rounded to bf16 before it is added, training would be
biased, although the error of a single step looks the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from simko.device import cuda_memory
from simko.head.linear import linear, suits
from simko.sizes import CPU_TILE_ELEMENTS, CUDA_TILE_BYTES

LOWEST = -3.0e38  # start of a running maximum: finite, so that a first entry of -inf does not give nan
FAR = -1.0e4  # e^FAR is 0 in every dtype, and 0 * FAR is 0 where 0 * -inf is nan


class Tile(NamedTuple):
    """Size of the logits that are alive at once: `rows` tokens by `width` vocabulary entries."""

    rows: int
    width: int


class Running(NamedTuple):
    """Running sums, (c,) each, updated in place: the maximum m so far, S = sum e^(z - m), T = sum e^(z - m) (z - m)."""

    top: Tensor
    mass: Tensor
    shifted: Tensor


# fold(z, p, running, factor, top, columns, rescale) reads raw logits z (c, n), which it may overwrite. It updates `running`, and
# writes e^(factor z - m') to p (c, n), the k largest scaled logits to `top` (c, k), their columns in the tile to `columns`
# (c, k), and e^(m - m') to `rescale` (c,). With `moment` (c, n), p times (factor z - m') goes there.
Fold = Callable[[Tensor, Tensor, Running, float, Tensor, Tensor, Tensor, Tensor | None], None]


class Columns(NamedTuple):
    """What the sweep gives for each of N rows. z are the tempered logits; `z_sum` is 0 unless it was asked for."""

    logp: Tensor
    topk_logp: Tensor
    topk_ids: Tensor
    entropy: Tensor
    sampled: Tensor  # z of the sampled id
    lse: Tensor  # log sum e^z
    z_sum: Tensor


def tile_for(rows: int, vocabulary: int, device: torch.device) -> Tile:
    """A tile large enough for full GEMM speed: 2 x 8 MiB on a CPU, at most a quarter of the free memory on CUDA."""
    elements, width = CPU_TILE_ELEMENTS, 4096
    if device.type == "cuda":
        elements = min(max(cuda_memory(device).free // 4, 2**25), CUDA_TILE_BYTES) // 8  # 4 bytes of z, at most 4 of p
        width = max(4096, elements // 4096 // 1024 * 1024)
    width = min(width, vocabulary)
    return Tile(max(1, min(rows, elements // width)), width)


class OneSweep(torch.autograd.Function):
    """Maps `(hidden, weight, bias, ids, k, factor, tile, fold, entropy_grad, z_sum)` to `Columns`."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        ids: Tensor,
        k: int,
        factor: float,
        tile: Tile,
        fold: Fold,
        entropy_grad: bool,
        z_sum: bool,
    ) -> Columns:
        """Sweep once. Keep `Wbar (N, D)`, ids and perhaps dH/dh for the backward: nothing with a vocabulary dimension."""
        n, d = hidden.shape
        dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
        logp, entropy, sampled, lse, total = (hidden.new_empty(n, dtype=dtype) for _ in range(5))
        topk_logp, topk_ids = hidden.new_empty(n, k, dtype=dtype), ids.new_empty(n, k)
        out = Columns(logp, topk_logp, topk_ids, entropy, sampled, lse, total)
        wbar = hidden.new_zeros(n if ctx.needs_input_grad[0] else 0, d, dtype=dtype)
        spread = torch.zeros_like(wbar) if entropy_grad else wbar[:0]  # U, at last dH/dh / factor
        size = min(tile.rows, n) * min(tile.width, weight.shape[0])
        operand = _operand(hidden, weight, dtype)
        spaces = [hidden.new_empty(size, dtype=operand) for _ in range(2 if len(spread) else 1)]
        for start in range(0, n, tile.rows):
            part = slice(start, min(start + tile.rows, n))
            rows = _rows(
                hidden[part], weight, bias, ids[part], k, factor, tile.width, fold, wbar[part], spread[part], spaces, z_sum
            )  # fmt: skip
            for column, values in zip(out, rows, strict=True):
                column[part] = values
        ctx.save_for_backward(weight, ids, out.topk_ids, wbar, spread)
        ctx.factor, ctx.hidden_dtype = factor, hidden.dtype
        constant = (out.topk_ids, out.sampled, out.lse, out.z_sum)
        ctx.mark_non_differentiable(*constant, *(() if entropy_grad else (out.entropy,)))
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gather the rows of W that the gradient needs."""
        weight, ids, topk_ids, wbar, spread = ctx.saved_tensors
        g = torch.cat([gradients[0][:, None], gradients[1]], dim=1)
        grad = wbar * -g.sum(-1, keepdim=True)
        for j, column in enumerate((ids, *topk_ids.unbind(1))):
            grad.addcmul_(weight[column].to(wbar.dtype), g[:, j, None])
        if len(spread):
            g = torch.cat([g, gradients[3][:, None]], dim=1)
            grad.addcmul_(spread, g[:, -1:])
        grad.masked_fill_((g == 0).all(-1, keepdim=True), 0.0)  # last: a masked row may hold 0 * nan
        return grad.mul_(ctx.factor).to(ctx.hidden_dtype), *[None] * 9


def _rows(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    ids: Tensor,
    k: int,
    factor: float,
    width: int,
    fold: Fold,
    wbar: Tensor,
    spread: Tensor,
    spaces: list[Tensor],
    z_sum: bool,
) -> Columns:
    """Sweep all tiles for c rows; fill `wbar` and `spread` (c, D) unless they are empty (no such gradient is wanted)."""
    c, vocabulary = len(hidden), weight.shape[0]
    running = Running(*(wbar.new_full((c,), value) for value in (LOWEST, 0.0, 0.0)))
    starts = range(0, vocabulary, width)
    # Allocate what outlives a tile before the loop: in the hole of a freed tile it would make the heap grow by a tile.
    sampled, rescale, total = wbar.new_empty(c), wbar.new_empty(c), wbar.new_zeros(c)
    tops, columns = wbar.new_full((c, len(starts) * k), -torch.inf), ids.new_zeros(c, len(starts) * k)
    for index, start in enumerate(starts):
        block = weight[start : start + width]
        n = len(block)
        z = raw_logits(hidden, block, None if bias is None else bias[start : start + width])
        p, *moment = (space[: c * n].view(c, n) for space in spaces)
        local = ids - start
        inside = (local >= 0) & (local < n)
        sampled.copy_(torch.where(inside, z.gather(1, local.clamp(0, n - 1)[:, None])[:, 0] * factor, sampled))
        places = slice(index * k, index * k + min(k, n))
        if z_sum:
            total.add_(z.sum(-1), alpha=factor)
        # after the gather of the sampled logits, since the fold may overwrite z; before the products, which read p
        fold(z, p, running, factor, tops[:, places], columns[:, places], rescale, *moment)
        columns[:, places] += start
        if len(spread):
            # before Wbar, whose old value moves U; r log r is 0 for r = 0, as in the first tile
            spread.mul_(rescale[:, None]).addcmul_(wbar, torch.xlogy(rescale, rescale)[:, None])
            add_product_into(spread, moment[0], block)
        if len(wbar):
            add_product_into(wbar, p, block, rescale if start else None)
        del z
    top, order = tops.topk(k, dim=1)
    log_mass = running.mass.log()
    mean = running.shifted / running.mass  # E_p[z] - m
    if len(wbar):
        wbar /= running.mass[:, None]
    if len(spread):
        spread.div_(-running.mass[:, None]).addcmul_(wbar, mean[:, None])
    # log p <= 0 and H >= 0 hold exactly: rounding must not turn a certain token into a positive log-prob
    return Columns(
        (sampled - running.top - log_mass).clamp_(max=0),
        (top - running.top[:, None] - log_mass[:, None]).clamp_(max=0),
        columns.gather(1, order),
        (log_mass - mean).clamp_(min=0),
        sampled,
        running.top + log_mass,
        total,
    )


def _operand(hidden: Tensor, weight: Tensor, dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of p: half precision, as the weight, if the GEMM can sum it in float32 (CUDA); else `dtype`."""
    half = weight.dtype in (torch.bfloat16, torch.float16) and hidden.dtype == weight.dtype
    return weight.dtype if half and hidden.is_cuda else dtype


def logits_of(hidden: Tensor, weight: Tensor) -> Tensor:
    """Return `hidden @ weight^T` in float32 (float64 for float64). Logits in bf16 would bias training."""
    if hidden.is_cuda and hidden.dtype in (torch.bfloat16, torch.float16):
        return torch.mm(hidden, weight.to(hidden.dtype).t(), out_dtype=torch.float32)
    dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    return linear(hidden.to(dtype), weight.to(dtype))


def raw_logits(hidden: Tensor, block: Tensor, bias: Tensor | None) -> Tensor:
    """Return `logits_of` plus the bias of these vocabulary entries."""
    z = logits_of(hidden, block)
    return z if bias is None else z.add_(bias.to(z.dtype))


@lru_cache
def adds_in_place(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `addmm` adds a product in half precision to float32 sums, rightly. Tried once on a device.

    torch 2.8 and 2.9 refuse it (mended by pytorch/pytorch#167931, for 2.10). Without it a product takes another array.
    """
    ones, sums = torch.ones(16, 16, dtype=dtype, device=device), torch.ones(16, 16, device=device)
    try:
        torch.addmm(sums, ones, ones, out_dtype=torch.float32, out=sums)
    except RuntimeError:
        return False
    return bool((sums == 17).all())


def add_product_into(out: Tensor, p: Tensor, block: Tensor, rescale: Tensor | None = None) -> None:
    """Set `out = rescale * out + p @ block`, never rounded below the dtype of `out`."""
    if rescale is not None:
        out *= rescale[:, None]
    block = block.to(p.dtype)
    if p.dtype != out.dtype and adds_in_place(p.device, p.dtype):
        torch.addmm(out, p, block, out_dtype=out.dtype, out=out)
    elif p.dtype != out.dtype:
        out += torch.mm(p, block, out_dtype=out.dtype)
    elif suits(p, block):
        out += linear(p, block.t())
    else:
        out.addmm_(p, block)


def top_of(z: Tensor, lane_maxima: Tensor | None, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest entries of each row, and their columns: `torch.topk` without its pass over every entry.

    Lane l of `lane_maxima` (c, L) holds the largest entry of the columns congruent to l modulo L. The k largest entries lie
    in the k lanes with the largest maxima, so only these lanes are searched.
    """
    n = z.shape[1]
    if lane_maxima is None or k > lane_maxima.shape[1]:
        return z.topk(k, dim=1)
    lanes = lane_maxima.shape[1]
    chosen = lane_maxima.topk(k, dim=1).indices
    steps = torch.arange(0, n, lanes, device=z.device)
    columns = (chosen[:, :, None] + steps).flatten(1)
    outside = columns >= n
    columns = columns.clamp_(max=n - 1)
    top, order = z.gather(1, columns).masked_fill_(outside, -torch.inf).topk(k, dim=1)
    return top, columns.gather(1, order)
