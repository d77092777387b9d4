"""Prefill of groups: ours forwards each prompt once and copies its keys and values; `generate` forwards every copy.

There are 16 prompts with G answers of one token each. `prefilled` counts the prompt tokens that went through the model, without
padding: ours over the peer's is exactly 1 / G. SIMKO_DECODE_MODEL is the model, as in `decode`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from benchmarks.common import METRICS, Case, Options, Result, compare
from benchmarks.decode import MODELS, _load, workload

TITLE = "prompts of groups, against generate, which forwards every copy"


def run(options: Options) -> Result:
    """Prefill 16 prompts x 8; with `--quick` 4 x 4."""
    model = os.environ.get("SIMKO_DECODE_MODEL", "tiny")
    sizes = {"prompts": 4, "copies": 4} if options.quick else {"prompts": 16, "copies": 8}
    common = {"model": MODELS.get(model, model), "threads": options.threads, **sizes}
    cases = [
        Case("ours", "benchmarks.prefill:ours", common, "ours"),
        Case("ours, 8 slots", "benchmarks.prefill:ours", common | {"slots": 8}, "other"),
        Case("generate", "benchmarks.prefill:generate", common),
    ]
    return compare(
        "prefill", f"{TITLE}, {model}", cases, options, repeats=5, warmup=1, compared=(*METRICS, "prefilled"),
        targets={"prefilled/generate": 1 / sizes["copies"]}, setting=sizes,
    )  # fmt: skip


def ours(
    model: str, threads: int, prompts: int, copies: int, slots: int | None = None
) -> Callable[[], dict[str, float]]:
    """Prefill with the local engine on the bare model."""
    import torch

    from simko.agents import LoraPolicy
    from simko.types import Sampling

    torch.set_num_threads(threads)
    policy = LoraPolicy.from_pretrained(model, "none", decode_weights="live")
    policy.engine.slots = slots
    ids, _ = workload(prompts, copies, 8)

    def once() -> dict[str, float]:
        policy.engine.generate(ids, copies, Sampling(max_new_tokens=1), range(prompts * copies))
        return {"prefilled": policy.engine.stats.prefilled_tokens}

    return once


def generate(model: str, threads: int, prompts: int, copies: int) -> Callable[[], dict[str, float]]:
    """Prefill one left-padded batch."""
    import torch
    from transformers import GenerationConfig

    lm: Any = _load(model, threads)
    ids, _ = workload(prompts, copies, 8)
    rows = [row for row in ids for _ in range(copies)]
    width = max(map(len, rows))
    padded = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=lm.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=lm.device)
    config = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=1, pad_token_id=0)

    def once() -> dict[str, float]:
        with torch.inference_mode():
            lm.generate(padded, attention_mask=mask, generation_config=config)
        return {"prefilled": int(mask.sum())}

    return once
