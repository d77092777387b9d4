"""The planner: it chooses the fastest settings that fit into memory, or says what would fit. Pure functions, no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from simko.memory.forecast import (
    GB,
    MICRO_BATCH_TOKENS,
    USABLE,
    Job,
    Phase,
    Plan,
    Settings,
    forecast,
    slot_bytes,
)
from simko.memory.shapes import Shape
from simko.sizes import CPU_CACHE_BYTES

# Micro-batches below this cost more time than recomputation does, which is a third of the update on CUDA. Neither is measured.
LEAST_KEPT_TOKENS = {"cpu": 512, "cuda": 2048}
CPU_COMFORT_BYTES = 4e9  # small micro-batches cost a CPU little, and its memory is shared with other programs


def choose(
    shape: Shape,
    job: Job,
    memory: float,
    *,
    micro_batch_tokens: int | None = None,
    gradient_checkpointing: bool | None = None,
    decode_weights: str = "auto",
    cache_bytes: int | None = None,
    advise: bool = True,
) -> Plan:
    """Choose the fastest settings that fit into `memory` bytes. Settings that the caller gives stay as they are.

    For the update, it tries large micro-batches without recomputation, then recomputation, then small micro-batches. For the
    rollout, it tries merged weights and all sequences of a step at once, then fewer slots, then the live adapter. The two
    phases do not run at the same time, so each is chosen alone. If nothing fits, the plan holds the least, and `advice` if
    `advise`.
    """
    decode_weights = "auto" if decode_weights == "measured" else decode_weights
    usable = memory * USABLE[job.device]
    updates = list(_updates(job, micro_batch_tokens, gradient_checkpointing))
    rollouts = list(_rollouts(shape, job, decode_weights, cache_bytes))

    def settings_of(update: tuple[int, bool], rollout: tuple[Literal["live", "merged"], int]) -> Settings:
        return Settings(update[0], update[1], rollout[0], rollout[1])

    def first_fitting(phase: Phase, settings: list[Settings]) -> Settings:
        comfort = min(usable, CPU_COMFORT_BYTES) if job.device == "cpu" and phase == "update" else usable
        sizes = [forecast(shape, job, s).phase(phase) for s in settings]
        fitting = (s for limit in (comfort, usable) for s, size in zip(settings, sizes, strict=True) if size <= limit)
        return next(fitting, settings[sizes.index(min(sizes))])

    update = first_fitting("update", [settings_of(entry, rollouts[0]) for entry in updates])
    rollout = first_fitting("rollout", [settings_of(updates[0], entry) for entry in rollouts])
    chosen = replace(update, decode_weights=rollout.decode_weights, cache_bytes=rollout.cache_bytes)
    plan = Plan(shape, job, chosen, forecast(shape, job, chosen), memory)
    if plan.fits or not advise:
        return plan
    fixed = {
        "micro_batch_tokens": micro_batch_tokens,
        "gradient_checkpointing": gradient_checkpointing,
        "decode_weights": None if decode_weights == "auto" else decode_weights,
        "cache_bytes": cache_bytes,
    }
    return replace(plan, advice=tuple(_advice(plan, [name for name, value in fixed.items() if value is not None])))


def _updates(job: Job, tokens: int | None, checkpointing: bool | None) -> Iterator[tuple[int, bool]]:
    """Candidates (micro_batch_tokens, gradient_checkpointing), fastest first."""
    sizes = [tokens] if tokens else [MICRO_BATCH_TOKENS >> i for i in range(6)]
    for recompute in (False, True) if checkpointing is None else (checkpointing,):
        for size in sizes:
            if recompute or size >= LEAST_KEPT_TOKENS[job.device] or checkpointing is not None or tokens:
                yield size, recompute


def _rollouts(
    shape: Shape, job: Job, weights: str, cache: int | None
) -> Iterator[tuple[Literal["live", "merged"], int]]:
    """Candidates (decode_weights, cache_bytes), fastest first."""
    slot = slot_bytes(shape, job)
    full = CPU_CACHE_BYTES if job.device == "cpu" else job.rows * slot
    budgets = [cache] if cache else [b for i in range(12) if (b := full >> i) >= slot or i == 0]
    if not cache and budgets[-1] > slot:
        budgets.append(slot)
    merged: list[Literal["live", "merged"]] = ["merged", "live"]
    kinds = [kind for kind in merged if weights in ("auto", kind)]
    enough = [b for b in budgets if b >= min(32, job.rows) * slot] or budgets[:1]  # worth a merged copy
    if len(kinds) == 2:
        yield from (("merged", b) for b in enough)
        yield from (("live", b) for b in budgets)
    else:
        yield from ((kinds[0], b) for b in budgets)


def _advice(plan: Plan, fixed: list[str]) -> Iterator[str]:
    """Changes that would make it fit, mildest first."""
    shape, job = plan.shape, plan.job
    if fixed:
        free = choose(shape, job, plan.memory, advise=False)
        if free.fits:
            flags = ", ".join("--" + name.replace("_", "-") for name in fixed)
            yield f"leave out {flags}: the planner's own choice fits"
    if job.engine == "vllm":
        yield from _share_advice(plan)
    tokens = job.max_new_tokens
    while (tokens := tokens // 2) >= 64:
        if choose(shape, replace(job, max_new_tokens=tokens), plan.memory, advise=False).fits:
            yield f"--max-new-tokens {tokens}"
            break
    if job.quantization != "nf4" and choose(shape, replace(job, quantization="nf4"), plan.memory, advise=False).fits:
        yield "--quantization nf4"
    rank = job.lora_rank
    while (rank := rank // 2) >= 4:
        if choose(shape, replace(job, lora_rank=rank), plan.memory, advise=False).fits:
            yield f"--lora-rank {rank}"
            break
    needed = plan.forecast.peak / USABLE[job.device] / GB
    yield f"--memory {math.ceil(needed * 1.005 * 10) / 10:.1f}GB or more"


def _share_advice(plan: Plan) -> Iterator[str]:
    """The largest share of the card for vLLM with which both phases fit, or an engine that needs none."""
    for percent in range(95, 0, -5):
        if choose(plan.shape, replace(plan.job, engine_share=percent / 100), plan.memory, advise=False).fits:
            yield f"--engine-share {percent / 100:g}"
            break
    if choose(plan.shape, replace(plan.job, engine="local"), plan.memory, advise=False).fits:
        yield "--engine local"
