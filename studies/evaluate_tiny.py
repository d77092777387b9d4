"""Measure pass@K of the built-in policy on held-out Countdown problems, in float32 and in NF4.

    python -m studies.evaluate_tiny agents/tiny --problems 100 --samples 256

Every answer is graded by the `expression` verifier; pass@K is the unbiased estimator over `--samples` answers a problem.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, DynamicCache

from simko.envs.tasks.countdown import Countdown
from simko.envs.verifiers.expression import expression
from simko.types import Task

KS = (1, 8, 64, 256)


def load(folder: str, nf4: bool) -> Any:
    """The model in float32, or in NF4 with double quantisation, ready for inference on CPU."""
    if not nf4:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    from bitsandbytes.nn import Linear4bit

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, quantization_config=quantization).eval()
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False  # that path repacks weights in place, and odd widths fail on it
    return model


def pick(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> Tensor:
    """One sampled id (N,) from each row of logits (N, V)."""
    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    if top_p < 1.0:
        ordered, ids = probabilities.sort(dim=-1, descending=True)
        ordered[ordered.cumsum(-1) - ordered > top_p] = 0.0
        return ids.gather(1, torch.multinomial(ordered, 1, generator=generator))[:, 0]
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


@torch.no_grad()
def sample(
    model: Any,
    prompts: Sequence[Sequence[int]],
    n: int,
    temperature: float,
    top_p: float,
    eos: int,
    generator: torch.Generator,
    max_new_tokens: int = 32,
) -> list[list[list[int]]]:
    """`n` continuations without the end token for each prompt; prompts of one length share a batch."""
    answers: list[list[list[int]]] = [[] for _ in prompts]
    for length in sorted({len(p) for p in prompts}):
        index = [i for i, p in enumerate(prompts) if len(p) == length]
        for some in (index[i : i + 8] for i in range(0, len(index), 8)):
            cache = DynamicCache()
            out = model(torch.tensor([list(prompts[i]) for i in some]), past_key_values=cache, logits_to_keep=1)
            cache.batch_repeat_interleave(n)
            logits = out.logits[:, -1].repeat_interleave(n, 0)
            alive = torch.arange(len(some) * n)
            drawn: list[list[int]] = [[] for _ in range(len(alive))]
            for _ in range(max_new_tokens):
                ids = pick(logits, temperature, top_p, generator)
                keep = ids != eos
                alive, ids = alive[keep], ids[keep]
                if not len(alive):
                    break
                for row, token in zip(alive.tolist(), ids.tolist(), strict=True):
                    drawn[row].append(token)
                cache.batch_select_indices(keep.nonzero()[:, 0])
                logits = model(ids[:, None], past_key_values=cache).logits[:, -1]
            for place, i in enumerate(some):
                answers[i] = drawn[place * n : (place + 1) * n]
    return answers


def correct_counts(
    model: Any,
    tokenizer: Any,
    tasks: Sequence[Task],
    n: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> list[int]:
    """How many of `n` sampled answers to each task are correct."""
    messages = [[{"role": "user", "content": task.problem}] for task in tasks]
    texts = [tokenizer.apply_chat_template(m, tokenize=False, add_generation_prompt=True) for m in messages]
    prompts = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    generator = torch.Generator().manual_seed(seed)
    answers = sample(model, prompts, n, temperature, top_p, tokenizer.eos_token_id, generator)
    return [
        sum(expression(tokenizer.decode(answer), task.gold).correct for answer in group)
        for task, group in zip(tasks, answers, strict=True)
    ]


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The unbiased estimate 1 - C(n - c, k) / C(n, k)."""
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("model", help="folder of the policy")
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--levels", type=int, nargs="+", default=[2])
    parser.add_argument("--float32-only", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    for level in arguments.levels:
        tasks = Countdown("eval", level).tasks(arguments.problems, seed=1)
        for nf4 in (False, True)[: 1 if arguments.float32_only else 2]:
            model = load(arguments.model, nf4)
            for temperature, top_p in ((1.0, 1.0), (0.6, 0.95)):
                start = time.perf_counter()
                counts = correct_counts(model, tokenizer, tasks, arguments.samples, temperature, top_p)
                curve = {
                    k: sum(pass_at_k(arguments.samples, c, k) for c in counts) / len(counts)
                    for k in KS
                    if k <= arguments.samples
                }
                print(
                    f"level {level} {'nf4' if nf4 else 'float32'} temperature {temperature} top-p {top_p}: "
                    + ", ".join(f"pass@{k} {value:.1%}" for k, value in curve.items())
                    + f" ({time.perf_counter() - start:.0f} s)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
