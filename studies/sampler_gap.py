"""Measure how far a sampler of the unquantised model is from a trainer that quantises it: the gap of a plain vLLM server.

    python -m studies.sampler_gap tiny HuggingFaceTB/SmolLM2-135M --answers 4 --tokens 24

Mean distance of the log-probs of sampled tokens, in nats a token, as `sampler_gap` in the metrics. In place of the server stands
our own engine on the unquantised model.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from simko.agents import LoraPolicy
from simko.agents.engine import vllm_probe
from simko.console import markdown
from simko.types import Quantization, Sampling

TEXTS = (
    "The capital of France is",
    "Question: Tom has 3 apples and buys 4 more. How many apples has he?\nAnswer:",
    "def fibonacci(n):\n",
    "Using the numbers 3, 5, 7, write an equation that equals 22.",
)
TRAINERS: tuple[Quantization, ...] = ("none", "nf4", "int8")


def gaps(model: str, answers: int, tokens: int) -> list[float]:
    """The gap of each of `TRAINERS`, on `answers` answers of `tokens` tokens to each text, sampled at temperature 1."""
    sampler = LoraPolicy.from_pretrained(model, "none", device="cpu", decode_weights="live")
    prompts = [sampler.tokenizer.encode(text) for text in TEXTS]
    seeds = range(len(prompts) * answers)
    groups = sampler.engine.generate(prompts, answers, Sampling(max_new_tokens=tokens), seeds)
    sampled = [
        (prompt, answer.ids.tolist(), answer.logprobs.tolist())
        for prompt, group in zip(prompts, groups, strict=True)
        for answer in group
    ]
    policies = (LoraPolicy.from_pretrained(model, kind, device="cpu") for kind in TRAINERS)
    return [vllm_probe.measure(policy, sampled).trainer for policy in policies]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("models", nargs="+", help="folders, Hub ids, or 'tiny'")
    parser.add_argument("--answers", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=24)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        [model, *(f"{gap:.2g}" for gap in gaps(model, arguments.answers, arguments.tokens))]
        for model in arguments.models
    ]
    print(markdown(["model", *(f"trainer {kind}" for kind in TRAINERS)], rows))


if __name__ == "__main__":
    main()
