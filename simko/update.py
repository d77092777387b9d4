"""One optimizer step: the batch in micro-batches, each method's loss matrix, one aggregation over the whole step.

Every row's weight is known before the first forward (a count of the whole step, not of its micro-batch), so the gradients of
the micro-batches add up to the same update however the batch is split.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simko.algorithms.base import Aggregation, Algorithm, TokenStats
from simko.head import TokenStatistics, token_statistics
from simko.metrics import RANKS, diagnostics
from simko.micro_batch import MicroBatch, plan_micro_batches
from simko.types import Batch, Policy


def statistics(policy: Policy, micro: MicroBatch, k: int, temperature: float) -> TokenStatistics:
    """The head's statistics of the N sampled tokens of a micro-batch, row by row."""
    hidden = policy.hidden(micro.ids)
    row = torch.arange(len(micro.rows), device=micro.ids.device)[:, None].expand_as(micro.mask)
    picked = hidden[row[micro.mask], micro.positions[micro.mask]]
    head = policy.lm_head()
    k = min(k, head.weight.shape[0])
    return token_statistics(
        picked, head.weight, micro.targets[micro.mask], k, temperature,
        bias=head.bias, soft_cap=head.soft_cap, scale=head.scale,
    )  # fmt: skip


@torch.no_grad()
def token_logprobs(
    policy: Policy, batch: Batch, temperature: float, micro_batch_tokens: int, *, base: bool = False
) -> list[Tensor]:
    """The trainer's own log-probs of each row's sampled tokens, before an update; `base`: with the adapter off."""
    out: list[Tensor] = [torch.empty(0)] * len(batch)
    with policy.base() if base else nullcontext():
        for rows in plan_micro_batches(batch, micro_batch_tokens):
            micro = MicroBatch.of(batch, rows, policy.device)
            logp = statistics(policy, micro, 1, temperature).logp
            for row, part in zip(rows, logp.split(micro.mask.sum(-1).tolist()), strict=True):
                out[row] = part
    return out


def row_weights(batch: Batch, aggregation: Aggregation, max_new_tokens: int) -> Float[np.ndarray, "B"]:
    """What one token's loss of each row counts for in the step's loss.

    token_mean: 1 / tokens of the step. sequence_mean: 1 / (sequences of the step * tokens of the row).
    constant_length: 1 / (sequences of the step * token budget).
    """
    if aggregation == "token_mean":
        return np.full(len(batch), 1.0 / max(batch.step_tokens, 1))
    constant = aggregation == "constant_length"
    lengths = np.array([max_new_tokens if constant else max(int(c.sampled.sum()), 1) for c in batch.completions])
    return 1.0 / (max(batch.step_sequences, 1) * lengths)


def accumulate_gradients(
    policy: Policy,
    method: Algorithm,
    batch: Batch,
    *,
    temperature: float,
    micro_batch_tokens: int,
    max_new_tokens: int,
    old_logp: Sequence[Tensor] | None = None,
    ref_logp: Sequence[Tensor] | None = None,
) -> dict[str, float]:
    """Add the step's gradient to the adapter's `.grad`; returns the step's metrics (means over its trained tokens).

    `old_logp` and `ref_logp` hold one (tokens,) tensor a row; without `old_logp` the current policy is the old one.
    """
    weights = row_weights(batch, method.aggregate, max_new_tokens)
    totals = {"loss": 0.0, "sampler_gap_max": 0.0}
    for rows in plan_micro_batches(batch, micro_batch_tokens):
        micro = MicroBatch.of(batch, rows, policy.device)
        raw = statistics(policy, micro, max(method.k, RANKS), temperature)
        stats = _matrices(micro, raw, batch, method.k, old_logp, ref_logp)
        loss = method.loss(stats)
        weight = torch.as_tensor(weights[rows], dtype=raw.logp.dtype, device=raw.logp.device)
        value = (loss.matrix.masked_fill(~micro.mask, 0.0) * weight[:, None]).sum()
        value.backward()
        found = {name: float(share[micro.mask].float().sum()) for name, share in loss.shares.items()}
        found |= {"loss": value.item()} | diagnostics(raw, [batch.completions[row] for row in rows])
        for name, part in found.items():
            before = totals.get(name, 0.0)
            totals[name] = max(before, part) if name.endswith("_max") else before + part
    count = max(sum(int(c.sampled.sum()) for c in batch.completions), 1)
    alone = {name: totals.pop(name) for name in ("loss", "sampler_gap_max")}
    return alone | {name: total / count for name, total in totals.items()}


def apply_gradients(policy: Policy, optimizer: torch.optim.Optimizer, max_grad_norm: float) -> tuple[float, bool]:
    """Clip, step, clear. Returns the gradient norm before clipping, and False where it was not finite: no step then."""
    parameters = [parameter for _, parameter in policy.trainable_parameters()]
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm))
    if finite := bool(np.isfinite(norm)):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm, finite


def _matrices(
    micro: MicroBatch,
    raw: TokenStatistics,
    batch: Batch,
    k: int,
    old_logp: Sequence[Tensor] | None,
    ref_logp: Sequence[Tensor] | None,
) -> TokenStats:
    """N-row statistics laid out as `[B, T]`."""

    def lay(values: Tensor) -> Tensor:
        out = values.new_zeros(*micro.mask.shape, *values.shape[1:])
        return out.masked_scatter(micro.mask.reshape(*micro.mask.shape, *([1] * (values.dim() - 1))), values)

    def of_rows(values: Sequence[Tensor]) -> Tensor:
        return lay(torch.cat([values[row] for row in micro.rows]).to(raw.logp))

    logp = lay(raw.logp)
    advantage = torch.as_tensor(batch.advantage[micro.rows], dtype=logp.dtype, device=logp.device)
    return TokenStats(
        mask=micro.mask,
        logp=logp,
        old_logp=logp.detach() if old_logp is None else of_rows(old_logp),
        advantage=advantage[:, None].expand_as(logp),
        correct=torch.as_tensor(batch.correct[micro.rows], device=logp.device),
        entropy=lay(raw.entropy),
        is_top1=lay(raw.is_top1),
        topk_logp=lay(raw.topk_logp[:, :k]),
        topk_ids=lay(raw.topk_ids[:, :k]),
        ref_logp=None if ref_logp is None else of_rows(ref_logp),
    )
