"""Decoding of 64 answers of very different lengths: ours, transformers' `generate` in one padded batch, its `generate_batch`.

16 prompts x 4 answers; the lengths are lognormal, and the longest is four times the mean. No scheduler knows them beforehand. A
sequence ends by its own criterion (`generate`), by its own limit (`generate_batch`, where each request has one), or as EOS would
end it (ours). All draw from the whole distribution at temperature 1, in float32 on CPU and bfloat16 on CUDA. Ours decodes with a
LoRA adapter, and its time includes the merged copy of the weights; the peers run the bare model. Only tokens that belong to an
answer count. SIMKO_DECODE_MODEL is the model: tiny (default), smollm2, or a folder. SIMKO_DECODE_PROMPTS is the number of
prompts, and SIMKO_DECODE_MEAN the mean length.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import METRICS, Case, Options, Result, compare

TITLE = "decoding against transformers' generate and generate_batch"
MODELS = {
    "tiny": str(Path(__file__).resolve().parent.parent / "agents" / "tiny"),
    "smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct",
}


def run(options: Options) -> Result:
    """Decode 64 sequences of 32 tokens on average; with `--quick` 8 of 6."""
    import torch

    model = os.environ.get("SIMKO_DECODE_MODEL", "tiny")
    asked = {name: int(os.environ.get(f"SIMKO_DECODE_{name.upper()}", "0")) for name in ("prompts", "mean")}
    sizes = {"prompts": asked["prompts"] or 16, "copies": 4, "mean": asked["mean"] or 32}
    if options.quick:
        sizes = {"prompts": 4, "copies": 2, "mean": 6}
    common = {"model": MODELS.get(model, model), "threads": options.threads, **sizes}
    cases = [
        Case("ours", "benchmarks.decode:ours", common, "ours"),
        Case("ours, products by MKL", "benchmarks.decode:ours", common | {"onednn": False}, "other"),
        Case("ours, 32 slots", "benchmarks.decode:ours", common | {"slots": 32}, "other"),
        Case("ours, 16 slots", "benchmarks.decode:ours", common | {"slots": 16}, "other"),
        Case(
            "ours, NF4 + LoRA", "benchmarks.decode:ours", common | {"weights": "live", "quantization": "nf4"}, "other"
        ),
        Case("generate", "benchmarks.decode:generate", common),
        Case("generate_batch", "benchmarks.decode:generate_batch", common),
    ]
    targets = {"cpu_s/generate": 1 / 2.5, "cpu_s/generate_batch": 1 / 1.6}
    if torch.cuda.is_available():
        targets = {"wall_s/generate": 1 / 5}
    return compare(
        "decode", f"{TITLE}, {model}", cases, options, repeats=3, warmup=0, per="tokens", compared=METRICS,
        targets=targets, setting=sizes,
    )  # fmt: skip


def workload(prompts: int, copies: int, mean: int) -> tuple[list[list[int]], list[int]]:
    """Make prompts of 40 to 89 ids, and the length of each answer, prompt-major."""
    rng = random.Random(0)
    ids = [[rng.randrange(10, 200) for _ in range(rng.randrange(40, 90))] for _ in range(prompts)]
    raw = [rng.lognormvariate(0.0, 0.62) for _ in range(prompts * copies)]
    scale = mean * len(raw) / sum(raw)
    lengths = [min(max(round(value * scale), 1), 4 * mean) for value in raw]
    lengths[raw.index(max(raw))] = 4 * mean
    return ids, lengths


def ours(
    model: str, threads: int, prompts: int, copies: int, mean: int, slots: int | None = None,
    weights: str = "merged", quantization: str = "none", onednn: bool = True,
) -> Callable[[], dict[str, float]]:  # fmt: skip
    """Decode with the local engine and an adapter."""
    import torch

    from simko.agents import LoraPolicy
    from simko.head import linear
    from simko.types import Sampling

    torch.set_num_threads(threads)
    if not onednn:
        linear.has_onednn = lambda: False  # type: ignore[assignment]
    policy = LoraPolicy.from_pretrained(model, quantization, decode_weights=weights)  # type: ignore[arg-type]
    engine = policy.engine
    engine.slots = slots
    ids, lengths = workload(prompts, copies, mean)
    seeds = range(len(lengths))
    engine.generate(ids[:2], 1, Sampling(max_new_tokens=2), [0, 1])
    engine._ended = lambda _: lambda row, drawn: len(drawn) >= lengths[row]  # type: ignore[method-assign]

    def once() -> dict[str, float]:
        groups = engine.generate(ids, copies, Sampling(max_new_tokens=max(lengths)), seeds)
        assert [len(g.ids) for group in groups for g in group] == lengths
        return {"tokens": sum(lengths), "slot_use": sum(lengths) / (engine.stats.slot_steps + len(lengths))}

    return once


def generate(model: str, threads: int, prompts: int, copies: int, mean: int) -> Callable[[], dict[str, float]]:
    """Decode one left-padded batch, until the longest answer has ended."""
    import torch
    from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

    lm = _load(model, threads)
    ids, lengths = workload(prompts, copies, mean)

    class Each(StoppingCriteria):  # type: ignore[misc]
        def __init__(self, start: int, counts: Sequence[int]) -> None:
            self.ends = start + torch.tensor(counts, device=lm.device)

        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            return input_ids.shape[1] >= self.ends

    def decode(rows: list[list[int]], counts: Sequence[int]) -> int:
        width = max(map(len, rows))
        padded = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=lm.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=lm.device)
        config = GenerationConfig(
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=max(counts),
            pad_token_id=0,
            eos_token_id=-1,
        )
        with torch.inference_mode():
            out = lm.generate(
                padded, attention_mask=mask, generation_config=config,
                stopping_criteria=StoppingCriteriaList([Each(width, counts)]),
            )  # fmt: skip
        return int(out.shape[1]) - width

    rows = [prompt for prompt in ids for _ in range(copies)]
    decode(rows[:2], [2, 2])

    def once() -> dict[str, float]:
        assert decode(rows, lengths) == max(lengths)
        return {"tokens": sum(lengths)}

    return once


def generate_batch(model: str, threads: int, prompts: int, copies: int, mean: int) -> Callable[[], dict[str, float]]:
    """Decode by continuous batching, with small pages and token budget (the defaults are 100 times slower on CPU)."""
    import torch
    from transformers import ContinuousBatchingConfig, GenerationConfig

    lm = _load(model, threads)
    ids, lengths = workload(prompts, copies, mean)
    batching = ContinuousBatchingConfig(page_size=32, num_blocks=600, max_batch_tokens=256)

    def decode(rows: list[list[int]], counts: Sequence[int]) -> list[int]:
        config = GenerationConfig(
            do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=max(counts), pad_token_id=0,
            eos_token_id=-1,
        )  # fmt: skip
        lengths_by_id: dict[str, int] = {}
        with torch.no_grad():  # under inference_mode it returns nothing, and writes a line in the log
            manager = lm.init_continuous_batching(generation_config=config, continuous_batching_config=batching)
            manager.start()
            for i, (row, count) in enumerate(zip(rows, counts, strict=True)):
                manager.add_request(row, request_id=str(i), max_new_tokens=count)
            while len(lengths_by_id) < len(rows):
                result = manager.get_result(timeout=1)
                if result is not None and result.is_finished():
                    lengths_by_id[result.request_id] = len(result.generated_tokens)
            manager.stop(block=True)
        return [lengths_by_id[str(i)] for i in range(len(rows))]

    rows = [prompt for prompt in ids for _ in range(copies)]
    decode(rows[:2], [2, 2])

    def once() -> dict[str, float]:
        assert decode(rows, lengths) == lengths
        return {"tokens": sum(lengths)}

    return once


def _load(model: str, threads: int) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    return AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval().to(device)
