"""NaN and infinity, found before they reach a weight."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from simko.head import TokenStatistics
from simko.micro_batch import MicroBatch, NonFiniteRowsError
from simko.types import Batch


@torch.no_grad()
def all_finite(tensors: Iterable[Tensor | None]) -> bool:
    """Whether every entry is a finite number; one synchronisation with the device."""
    given = [t.detach() for t in tensors if t is not None and t.numel() and t.is_floating_point()]
    # the largest magnitude carries NaN along, and cannot overflow as a sum of squares would
    return not given or math.isfinite(torch.nn.utils.get_total_norm(given, math.inf))


def finite_rows(batch: Batch, *logprobs: Sequence[Tensor] | None) -> list[int]:
    """Rows whose advantage, sampler's log-probs and given log-probs are finite."""
    rows = []
    for row, completion in enumerate(batch.completions):
        fine = np.isfinite(batch.advantage[row]) and np.isfinite(completion.logprobs[completion.sampled]).all()
        if fine and all_finite(values[row] for values in logprobs if values is not None):
            rows.append(row)
    return rows


def check_rows(micro: MicroBatch, raw: TokenStatistics) -> None:
    """Raise `NonFiniteRowsError` with the rows whose log-probs or entropy are not finite."""
    spoilt = ~torch.isfinite(raw.logp.detach() + raw.entropy)
    if bool(spoilt.any()):
        row = torch.nonzero(micro.mask)[:, 0][spoilt].unique()
        raise NonFiniteRowsError([micro.rows[i] for i in row.tolist()])
