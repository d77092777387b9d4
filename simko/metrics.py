"""Metrics of a step: what its rollouts and its updates show, as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

import numpy as np
import torch

from simko.head import TokenStatistics
from simko.types import Completion, Group

RANKS = 3  # candidates whose log-probs are logged, whatever the method tracks
_COUNTS = ("nonfinite_rows", "oom_halvings")


def describe(
    groups: Sequence[Group], informative: Callable[[Group], bool] = attrgetter("informative")
) -> dict[str, float]:
    """Return the metrics of a step's rollouts. Rewards, their parts and solve rate are over completions with a verdict.

    `informative` says whether the method learns from a group. `reward_NAME` is the mean of a part; 0 where an answer lacks it.
    """
    every = [c for group in groups for c in group.completions]
    valid = [c for group in groups for c in group.valid]
    count, judged = max(len(every), 1), max(len(valid), 1)
    parts = sorted({name for c in valid for name in c.verdict.parts})
    return {
        "reward": sum(c.verdict.reward for c in valid) / judged,
        "solve_rate": sum(c.verdict.correct for c in valid) / judged,
        **{f"reward_{name}": sum(c.verdict.parts.get(name, 0.0) for c in valid) / judged for name in parts},
        "informative": sum(map(informative, groups)) / max(len(groups), 1),
        "truncated": sum(c.finish == "length" for c in every) / count,
        "no_answer": sum(c.verdict.outcome == "no_answer" for c in every) / count,
        "verifier_failed": float(len(every) - len(valid)),
        "nonfinite_rewards": float(sum(not math.isfinite(c.verdict.reward) for c in every)),
        "completion_tokens": sum(int(c.sampled.sum()) for c in every) / count,
        "prompts": float(len(groups)),
    }


def diagnostics(raw: TokenStatistics, completions: Sequence[Completion]) -> dict[str, float]:
    """Return sums over the sampled tokens of `completions`, which are row by row in `raw`.

    They show concentration and the drift of the engine. `logp_rankN`, averaged over tokens, is the paper's Lambda^(N) (arXiv
    2510.14807, eq. 2). Over-concentration shows as `logp_rank1` near 0 while ranks 2 and 3 fall. `sampler_gap` is
    |log p of the trainer - log p of the engine|, in nats.
    """
    sampler = np.concatenate([c.logprobs[c.sampled] for c in completions])
    gap = (raw.logp.detach().float().cpu() - torch.from_numpy(sampler)).abs()
    ranks = raw.topk_logp.detach().sum(0)
    return {
        "entropy": float(raw.entropy.detach().sum()),
        "top1_fraction": float(raw.is_top1.sum()),
        "logp_sampled": float(raw.logp.detach().sum()),
        "sampler_gap": float(gap.sum()),
        "sampler_gap_max": float(gap.max()),
        **{f"logp_rank{i + 1}": float(ranks[i]) for i in range(min(RANKS, len(ranks)))},
    }


def gap_limit(dtype: torch.dtype, engine: str) -> float:
    """Return the limit of `sampler_gap` in nats a token. A gap above it is a fault, not rounding."""
    return 1e-3 if engine == "local" and dtype in (torch.float32, torch.float64) else 0.1


def add(totals: dict[str, float], more: Mapping[str, float]) -> None:
    """Add a micro-batch's sums to a step's. For names that end in `_max`, keep the larger value."""
    for name, value in more.items():
        before = totals.get(name, 0.0)
        totals[name] = max(before, value) if name.endswith("_max") else before + value


def added(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sums of several ranks as those of the step."""
    totals: dict[str, float] = {}
    for part in parts:
        add(totals, part)
    return totals


def of_updates(updates: Sequence[tuple[Mapping[str, float], bool]]) -> dict[str, float]:
    """Join the metrics of a rollout batch's updates: means over the steps that were taken, counts over all.

    `updates` holds for each update its metrics, and whether its step was taken. A mean is over the updates that have the metric:
    one without a right answer, say, has no metrics of right answers.
    """
    steps = [metrics for metrics, taken in updates if taken]
    names = dict.fromkeys(name for metrics in steps for name in metrics)
    means = {name: float(np.mean([metrics[name] for metrics in steps if name in metrics])) for name in names}
    counts = {name: float(sum(metrics.get(name, 0.0) for metrics, _ in updates)) for name in _COUNTS}
    return {"updates": float(len(steps)), "updates_skipped": float(len(updates) - len(steps)), **means, **counts}
