"""The whole optimizer step under the old policy: one pass without a gradient, where a method or several updates ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simko.algorithms.compose import Algorithm
from simko.algorithms.stats import Prepared, Stat, State, StepStats
from simko.micro_batch import MicroBatch, TokenBudget, run
from simko.packing import needed
from simko.ranks import add_tensors
from simko.ranks.sharing import my_rows
from simko.schedule import stream_seed
from simko.types import Batch, Policy

_COLUMNS = ("logp", "entropy", "certainty", "raw_logit", "nucleus_entropy", "proxy_logp")
_STATS: dict[str, str] = {"proxy": "proxy_logp"}
_HIDDEN = "hidden of row "
_MATRICES = ("sampler_logp", "ref_logp", *_COLUMNS)


def prepare(
    policy: Policy,
    method: Algorithm,
    batch: Batch,
    *,
    temperature: float,
    micro_batch_tokens: int | TokenBudget,
    several: bool = False,
    state: State | None = None,
    seed: int = 0,
    step: int = 0,
) -> tuple[StepStats, Prepared]:
    """The whole step under the old policy, before any update of its rollout batch, and what the method decides for it.

    There is a pass where the method needs its statistics, or where `several` updates make the current policy another than the
    old one; in that case the method may take the sampler's log-probs instead.
    """
    budget = TokenBudget(micro_batch_tokens) if isinstance(micro_batch_tokens, int) else micro_batch_tokens
    of_sampler = method.sampling.old_policy == "sampler"
    needs: frozenset[Stat] = method.needs_old | (frozenset(("logp",)) if several and not of_sampler else frozenset())
    stats = step_stats(
        policy, batch, needs, temperature=temperature, budget=budget, options=method.stat_options,
        reference="reference" in method.needs_new, seed=seed, step=step,
    )  # fmt: skip
    prepared = method.prepare(stats, state or {})
    stats = replace(stats, hidden=None, head=None)  # as large as the step: they must not outlive the pass
    if of_sampler or not several:  # with one update the current policy is the old one: its ratio is exactly 1
        stats = replace(stats, logp=stats.sampler_logp if of_sampler else None)
    return stats, prepared


def step_stats(
    policy: Policy,
    batch: Batch,
    needs: frozenset[Stat],
    *,
    temperature: float,
    budget: TokenBudget,
    options: Mapping[str, float] | None = None,
    reference: bool = False,
    seed: int = 0,
    step: int = 0,
) -> StepStats:
    """The rows of `batch` as `[B, T]`, with the statistics that `needs` names, and with the base model's log-probs.

    Costs a forward where `needs` is not empty, and another for `reference`. A row whose numbers are not finite is masked.
    """
    device, dtype = policy.device, next((weight.dtype for _, weight in policy.trainable_parameters()), torch.float32)
    dtype = torch.float64 if dtype == torch.float64 else torch.float32
    answers = [needed(completion) for completion in batch.completions]
    width = max(map(len, answers), default=0)
    stats = StepStats(
        mask=_padded(
            [c.sampled[: len(a)] for c, a in zip(batch.completions, answers, strict=True)], width, device, bool
        ),
        sampler_logp=_padded(
            [c.logprobs[: len(a)] for c, a in zip(batch.completions, answers, strict=True)], width, device
        ).to(dtype),
        advantage=torch.as_tensor(batch.advantage, dtype=dtype, device=device),
        reward=torch.tensor([c.verdict.reward for c in batch.completions], dtype=dtype, device=device),
        correct=torch.as_tensor(batch.correct, device=device),
        group=torch.as_tensor(batch.group, device=device),
        step=step,
        rng=np.random.default_rng(stream_seed("method", seed, step)),
        step_tokens=batch.step_tokens,
        step_sequences=batch.step_sequences,
        temperature=temperature,
        ids=_padded(answers, width, device, np.int64),
    )
    if needs:
        stats = replace(stats, **_pass(policy, batch, stats, needs, temperature, budget, options or {}))
    if reference:
        with policy.base():
            stats = replace(stats, ref_logp=_pass(policy, batch, stats, frozenset(), temperature, budget, {})["logp"])
    return _without_spoilt_rows(stats)


@torch.no_grad()
def _pass(
    policy: Policy,
    batch: Batch,
    stats: StepStats,
    needs: frozenset[Stat],
    temperature: float,
    budget: TokenBudget,
    options: Mapping[str, float],
) -> dict[str, Any]:
    """The columns of the rows of a forward of the whole batch."""
    extra: frozenset[Any] = needs & {"certainty", "raw_logit", "nucleus_entropy", "proxy"}
    names = ["logp", *(name for name in _COLUMNS[1:] if name in {_STATS.get(need, need) for need in needs})]

    def work(micro: MicroBatch) -> dict[str, Tensor]:
        states = micro.states(policy)
        raw = micro.statistics(policy, 1, temperature, extra, options, states)
        columns = {name: micro.spread(getattr(raw, name)) for name in names}
        if "hidden" in needs:
            parts = states.split(micro.mask.sum(-1).tolist())
            columns |= {f"{_HIDDEN}{row}": part for row, part in zip(micro.rows, parts, strict=True)}
        return columns

    def mine() -> dict[str, Tensor]:
        out: dict[str, Tensor] = {}
        for micro, columns in run(policy, batch, budget, work, my_rows(batch, range(len(batch)))):
            for name, values in columns.items():
                if name.startswith(_HIDDEN):
                    out[name] = values
                    continue
                whole = out.setdefault(name, values.new_zeros(stats.mask.shape))
                whole[torch.as_tensor(micro.rows, device=whole.device), : values.shape[1]] = values
        return out

    out: dict[str, Any] = add_tensors(mine, policy.device)  # each rank has zeros in the rows of others
    if "hidden" in needs:
        out["hidden"] = [out.pop(f"{_HIDDEN}{row}", torch.empty(0)) for row in range(len(batch))]
        out["head"] = policy.lm_head()
    return out


def _without_spoilt_rows(stats: StepStats) -> StepStats:
    """Rows with NaN or infinity would spoil the sums of all others: they are masked, and their numbers are 0."""
    matrices = {name: value for name in _MATRICES if (value := getattr(stats, name)) is not None}
    fine = torch.isfinite(stats.advantage) & torch.isfinite(stats.reward)
    for value in matrices.values():
        fine = fine & torch.isfinite(value.masked_fill(~stats.mask, 0.0)).all(-1)
    if bool(fine.all()):
        return stats
    clean = {name: value.masked_fill(~fine[:, None], 0.0) for name, value in matrices.items()}
    zero = {name: getattr(stats, name).masked_fill(~fine, 0.0) for name in ("advantage", "reward")}
    return replace(stats, mask=stats.mask & fine[:, None], **clean, **zero)


def _padded(
    rows: Sequence[NDArray[np.generic]], width: int, device: torch.device | str, dtype: type = np.float32
) -> Tensor:
    """Rows of different lengths as `[B, width]`, zeros behind them."""
    out: NDArray[Any] = np.zeros((len(rows), width), dtype=dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return torch.from_numpy(out).to(device)
