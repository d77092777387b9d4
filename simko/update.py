"""One optimizer step: the batch in micro-batches, each method's loss matrix, one aggregation over the whole step.

Every row's weight is known before the first forward: it is a count of the whole step, not of a micro-batch. So the gradients
of the micro-batches add up to the same update, however the batch is split, packed, or split again when memory runs out; and
those of several ranks, which each compute a part of the rows, add up to that of one process.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from simko.algorithms.base import TokenLoss
from simko.algorithms.stats import Prepared, StepStats
from simko.concentration import Concentration, Look, metrics_of
from simko.metrics import RANKS, add, added, diagnostics
from simko.micro_batch import (
    MicroBatch,
    NonFiniteRowsError,
    TokenBudget,
    all_finite,
    check_rows,
    finite_rows,
    importance_weight,
    matrices,
    row_weights,
    run,
)
from simko.ranks import Parcel, of_main
from simko.ranks.sharing import Gradients, clip, my_rows
from simko.types import Batch, Policy


def accumulate_gradients(
    policy: Policy, method: TokenLoss, batch: Batch, *,
    temperature: float, micro_batch_tokens: int | TokenBudget, max_new_tokens: int,
    step: StepStats | None = None, prepared: Prepared | None = None, tis_clip: float = 0.0, group_size: int = 0,
) -> dict[str, float]:  # fmt: skip
    """Add the step's gradient to the adapter's `.grad`; return the step's metrics (means over its trained tokens).

    `step` and `prepared` are those of `prepare`; without them the current policy is the old one, and nothing couples rows.
    `tis_clip` above 0 weights each token by truncated importance sampling (see `simko.micro_batch`). A row that gives NaN or
    infinity is counted in `nonfinite_rows`. It adds nothing to the gradient, and its tokens stay in the denominators.
    `group_size` (G) above 0 adds the metrics of `simko.concentration`, which change nothing of the gradient.
    """
    budget = TokenBudget(micro_batch_tokens) if isinstance(micro_batch_tokens, int) else micro_batch_tokens
    weights, halvings = row_weights(batch, method.aggregate, max_new_tokens), budget.halvings
    parameters = [parameter for _, parameter in policy.trainable_parameters()]
    extra: frozenset[Any] = method.needs_new & {"entropy_grad", "nucleus_entropy"}

    fine = finite_rows(batch, step)
    keep = prepared.keep if prepared else None
    kept = fine if keep is None else of_main(lambda: [row for row in fine if keep[row]])  # cards may round differently
    seen = Concentration(batch, kept, policy.lm_head(), step.step if step else 0) if group_size and kept else None

    def gradients_of(micro: MicroBatch) -> tuple[tuple[Tensor | None, ...], dict[str, float], Look | None]:
        states = micro.states(policy)
        picked = seen.states(micro, states) if seen else states[:0]
        raw = micro.statistics(policy, max(method.k, RANKS), temperature, extra, method.stat_options, states)
        del states  # the backward does not need them
        check_rows(micro, raw)  # before the backward: here the rows to blame are known
        stats = matrices(micro, raw, batch, method.k, step, prepared)
        loss = method.loss(stats)
        weight = torch.as_tensor(weights[micro.rows], dtype=raw.logp.dtype, device=raw.logp.device)
        weight = weight[:, None].expand_as(loss.matrix)
        shares = dict(loss.shares)
        if tis_clip:
            shares["tis_weight"] = importance_weight(micro, batch, stats.old_logp, tis_clip)
            shares["tis_clipped"] = shares["tis_weight"] >= tis_clip
            weight = weight * shares["tis_weight"]
        value = (loss.matrix.masked_fill(~micro.mask, 0.0) * weight).sum()
        if loss.regulariser is not None:
            value = value + loss.regulariser
        # not `backward`: if this micro-batch is tried again, nothing of it must be in `.grad`
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        if not all_finite([value, *gradients]):
            raise NonFiniteRowsError
        sums = {name: float(share[micro.mask].float().sum()) for name, share in shares.items()}
        sums |= {"loss": value.item(), "tokens": float(len(raw.logp))}
        look = seen.look(micro, raw, picked) if seen else None
        return gradients, sums | diagnostics(raw, [batch.completions[row] for row in micro.rows]), look

    gradient = Gradients(parameters)

    def mine() -> Parcel:
        totals = {"loss": 0.0, "sampler_gap_max": 0.0, "tokens": 0.0, "rows": 0.0}
        for micro, (gradients, sums, look) in run(policy, batch, budget, gradients_of, my_rows(batch, kept)):
            add(totals, {**sums, "rows": len(micro.rows)})
            gradient.add(gradients)
            if seen and look:
                seen.add(look)
        totals["oom_halvings"] = float(budget.halvings - halvings)
        return Parcel(totals, seen.columns(temperature, group_size) if seen else {})

    parts = gradient.share(mine, budget)
    totals = added(part.facts for part in parts)
    count = max(totals.pop("tokens"), 1.0)
    alone = {name: totals.pop(name) for name in ("loss", "sampler_gap_max")}
    used = totals.pop("rows") + len(fine) - len(kept)
    alone |= {"nonfinite_rows": len(batch) - used, "oom_halvings": totals.pop("oom_halvings")}
    means = {name: total / count for name, total in totals.items()}
    spread = metrics_of([part.tensors for part in parts]) if seen else {}
    return alone | dict(prepared.metrics if prepared else {}) | means | spread


def apply_gradients(policy: Policy, optimizer: torch.optim.Optimizer, max_grad_norm: float) -> tuple[float, bool]:
    """Clip the gradient, take a step, clear. Return the norm before clipping, and whether the step was taken.

    No step is taken without a gradient, nor if a gradient, a weight or the optimizer's state is not finite.
    """
    parameters = [parameter for _, parameter in policy.trainable_parameters()]
    norm = clip(parameters, max_grad_norm)
    state = [value for entry in optimizer.state.values() for value in entry.values() if isinstance(value, Tensor)]
    finite = bool(np.isfinite(norm)) and all_finite([*parameters, *state])
    if taken := finite and any(parameter.grad is not None for parameter in parameters):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm, taken
