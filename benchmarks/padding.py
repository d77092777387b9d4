"""The cost of padding in an update, and of a group's prompt computed G times: padded as drawn, sorted, packed, prompt shared.

All cases have the same rows, the same update (a test checks it to 1e-6), and the same budget of tokens for a micro-batch. The
answers' lengths are lognormal, as in rollouts; the longest is about four times the mean. `factor` is the number of computed
tokens over those of prompts and answers. It is below 1 if a prompt is computed once for its group. The peer does what trainers
do by default: rows in the order drawn, padded to the longest of their micro-batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.common import Case, Options, Result, compare

TITLE = "an update padded, sorted, packed, and with shared prompts"


def run(options: Options) -> Result:
    """Update the tiny policy, or the model folder in SIMKO_PADDING_MODEL."""
    sizes: dict[str, Any] = {"prompts": 16, "group": 8, "prompt": 48, "mean": 48, "tokens": 4096}
    if options.quick:
        sizes |= {"prompts": 2, "mean": 8}
    common = {"model": os.environ.get("SIMKO_PADDING_MODEL", "tiny"), "threads": options.threads, **sizes}
    cases = [
        Case(f"{'ours, ' if how == 'shared' else ''}{how}", "benchmarks.padding:update", common | {"how": how}, role)
        for how, role in (("shared", "ours"), ("packed", "other"), ("sorted", "other"), ("unsorted", "peer"))
    ]
    return compare("padding", TITLE, cases, options, compared=("cpu_s", "peak_mib", "factor"), setting=sizes)


def update(
    how: str, model: str, threads: int, prompts: int, group: int, prompt: int, mean: int, tokens: int
) -> Callable[[], dict[str, float]]:
    """Compute the gradients of one batch, with its rows arranged as `how` says."""
    import numpy as np
    import torch

    from simko import algorithms, micro_batch
    from simko.agents import LoraPolicy
    from simko.types import Batch, Completion, Verdict
    from simko.update import accumulate_gradients

    torch.set_num_threads(threads)
    policy = LoraPolicy.from_pretrained(model, "none", lora_rank=16, seed=0)
    rng = np.random.default_rng(0)
    sigma = 0.55  # of 128 draws the longest is about four times the mean
    lengths = np.maximum(rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, prompts * group).astype(int), 1)
    questions = [rng.integers(5, 500, rng.integers(prompt // 2, prompt * 3 // 2)) for _ in range(prompts)]
    rows = [
        Completion(
            # equal prompts would be shared: without sharing, each row has its own first token
            np.concatenate([[5 + i], questions[i // group][1:]]) if how == "packed" else questions[i // group],
            rng.integers(5, 500, n), np.full(n, -1, np.float32), np.ones(n, np.bool_), "", "stop",
            Verdict("correct" if i % 2 else "incorrect", float(i % 2)),
        )
        for i, n in enumerate(lengths)
    ]  # fmt: skip
    advantage = np.where(np.arange(len(rows)) % 2, 1.0, -1.0)
    batch = Batch(tuple(rows), np.arange(len(rows)) // group, advantage, advantage > 0, int(lengths.sum()), len(rows))
    policy._states._packs = how in ("packed", "shared")
    if how == "unsorted":
        micro_batch.PADDED = replace(micro_batch.PADDED, plan=_as_drawn)
    layout = micro_batch.PACKED if policy.packs else micro_batch.PADDED
    plan = layout.plan(batch, range(len(batch)), tokens)
    computed = sum(layout.tokens([batch.completions[row] for row in part]) for part in plan)
    real = sum(len(c.prompt_ids) + len(c.ids) - 1 for c in rows)
    method = algorithms.get("simko")

    def once() -> dict[str, float]:
        accumulate_gradients(policy, method, batch, temperature=1.0, micro_batch_tokens=tokens, max_new_tokens=512)
        for _, parameter in policy.trainable_parameters():
            parameter.grad = None
        return {"factor": computed / real, "micro_batches": len(plan)}

    return once


def _as_drawn(batch: Any, rows: Any, max_tokens: int) -> list[list[int]]:
    """Micro-batches of rows in the order drawn, all with the same number of rows: as many as fit at the longest row's length."""
    longest = max(len(c.prompt_ids) + len(c.ids) - 1 for c in batch.completions)
    size, rows = max(max_tokens // longest, 1), list(rows)
    return [rows[i : i + size] for i in range(0, len(rows), size)]
