"""Which rows of a batch share a forward, and their tokens as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from simko.types import Batch


@dataclass(frozen=True)
class MicroBatch:
    """B rows of a batch, right-padded to L tokens; the T columns of the matrices are response tokens."""

    rows: list[int]
    ids: Int[Tensor, "B L"]
    mask: Bool[Tensor, "B T"]  # tokens the policy sampled
    targets: Int[Tensor, "B T"]
    positions: Int[Tensor, "B T"]  # where each target's predicting hidden state lies in L

    @classmethod
    def of(cls, batch: Batch, rows: Sequence[int], device: torch.device | str) -> MicroBatch:
        """The rows' tokens on `device`."""
        chosen = [batch.completions[row] for row in rows]
        longest = max(len(c.prompt_ids) + len(c.ids) for c in chosen)
        width = max(len(c.ids) for c in chosen)
        ids = np.zeros((len(rows), longest), dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.bool_)
        targets = np.zeros((len(rows), width), dtype=np.int64)
        positions = np.zeros((len(rows), width), dtype=np.int64)
        for i, c in enumerate(chosen):
            p, t = len(c.prompt_ids), len(c.ids)
            ids[i, :p], ids[i, p : p + t] = c.prompt_ids, c.ids
            mask[i, :t], targets[i, :t] = c.sampled, c.ids
            positions[i, :t] = np.arange(p - 1, p + t - 1)
        return cls(list(rows), *(torch.from_numpy(a).to(device) for a in (ids, mask, targets, positions)))


def plan_micro_batches(batch: Batch, max_tokens: int) -> list[list[int]]:
    """Rows sorted by length, as many a micro-batch as `max_tokens` padded tokens hold (one row at the least)."""
    lengths = [len(c.prompt_ids) + len(c.ids) for c in batch.completions]
    plan: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
        if plan and lengths[row] * (len(plan[-1]) + 1) <= max_tokens:
            plan[-1].append(row)
        else:
            plan.append([row])
    return plan
