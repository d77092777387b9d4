"""Measure pass@K of the built-in policy on held-out Countdown problems, in float32 and in NF4, at both samplings in use.

    python -m studies.evaluate_tiny agents/tiny --problems 200 --samples 256

The `expression` verifier grades every answer. pass@K is the unbiased estimator over `--samples` answers of each problem.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from simko.agents import LoraPolicy
from simko.envs.prompts import PromptFormat
from simko.envs.puzzles.countdown import Countdown
from simko.envs.verifiers.expression import expression
from simko.report.passk import pass_matrix
from simko.types import Sampling, Task

KS = (1, 8, 64, 256)
SAMPLINGS = (Sampling(max_new_tokens=64), Sampling(temperature=0.6, top_p=0.95, max_new_tokens=64))
BLOCK = 8  # problems decoded together


def correct_counts(policy: LoraPolicy, tasks: Sequence[Task], n: int, sampling: Sampling) -> list[int]:
    """Count the correct answers among `n` sampled ones, for each task."""
    frame = PromptFormat(policy.tokenizer)
    counts: list[int] = []
    for start in range(0, len(tasks), BLOCK):
        block = tasks[start : start + BLOCK]
        seeds = range(start * n, (start + len(block)) * n)
        groups = policy.engine.generate([frame.prompt_ids(task.problem) for task in block], n, sampling, list(seeds))
        for task, group in zip(block, groups, strict=True):
            texts = (policy.tokenizer.decode(answer.ids, skip_special_tokens=True) for answer in group)
            counts.append(sum(expression(text, task.gold).correct for text in texts))
    return counts


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("model", help="folder of the policy, or 'tiny'")
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--level", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tasks = Countdown("eval", arguments.level).tasks(arguments.problems, seed=1)
    for quantization in ("none", "nf4"):
        policy = LoraPolicy.from_pretrained(arguments.model, quantization=quantization, device="cpu")
        for sampling in SAMPLINGS:
            start = time.perf_counter()
            counts = correct_counts(policy, tasks, arguments.samples, sampling)
            ks = [k for k in KS if k <= arguments.samples]
            curve = pass_matrix([arguments.samples] * len(counts), counts, ks).mean(0)
            figures = ", ".join(f"pass@{k} {value:.1%}" for k, value in zip(ks, curve, strict=True))
            print(
                f"level {arguments.level}, {quantization}, temperature {sampling.temperature}, top-p {sampling.top_p}: "
                f"{figures} ({time.perf_counter() - start:.0f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
