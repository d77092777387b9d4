"""The head's statistics of a micro-batch as the matrices that a method reads, and a token's weight where the sampler is not the
trainer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simko.algorithms.base import TokenStats
from simko.head import TokenStatistics
from simko.micro_batch import MicroBatch
from simko.types import Batch


def matrices(
    micro: MicroBatch,
    raw: TokenStatistics,
    batch: Batch,
    k: int,
    old_logp: Sequence[Tensor] | None,
    ref_logp: Sequence[Tensor] | None,
) -> TokenStats:
    """N-row statistics laid out as `[B, T]`; without `old_logp` the current policy is the old one."""

    def of_rows(values: Sequence[Tensor]) -> Tensor:
        return _lay(micro, torch.cat([values[row] for row in micro.rows]).to(raw.logp))

    logp = _lay(micro, raw.logp)
    advantage = torch.as_tensor(batch.advantage[micro.rows], dtype=logp.dtype, device=logp.device)
    return TokenStats(
        mask=micro.mask,
        logp=logp,
        old_logp=logp.detach() if old_logp is None else of_rows(old_logp),
        advantage=advantage[:, None].expand_as(logp),
        correct=torch.as_tensor(batch.correct[micro.rows], device=logp.device),
        entropy=_lay(micro, raw.entropy),
        is_top1=_lay(micro, raw.is_top1),
        topk_logp=_lay(micro, raw.topk_logp[:, :k]),
        topk_ids=_lay(micro, raw.topk_ids[:, :k]),
        ref_logp=None if ref_logp is None else of_rows(ref_logp),
    )


@torch.no_grad()
def importance_weight(micro: MicroBatch, batch: Batch, old_logp: Float[Tensor, "B T"], clip: float) -> Tensor:
    """`min(pi_old(y) / pi_sampler(y), clip)`, a constant that multiplies a token's loss.

    For engines whose numbers are not the trainer's: the ratio of the trainer's own log-prob before the update to the one that
    the sampler recorded. Truncated importance sampling (Yao et al. 2025, "Your efficient RL framework secretly brings you
    off-policy RL training"; TRL's `vllm_importance_sampling_cap`, 2.0 there).
    """
    drawn = np.concatenate([c.logprobs[c.sampled] for c in (batch.completions[row] for row in micro.rows)])
    sampler = _lay(micro, torch.from_numpy(drawn).to(old_logp))
    return torch.exp(old_logp - sampler).clamp(max=clip)


def _lay(micro: MicroBatch, values: Tensor) -> Tensor:
    out = values.new_zeros(*micro.mask.shape, *values.shape[1:])
    return out.masked_scatter(micro.mask.reshape(*micro.mask.shape, *([1] * (values.dim() - 1))), values)
