"""Train the built-in policy from Python, measure it, and ask it something.

    python examples/02_train_tiny.py
    python examples/02_train_tiny.py --steps 150 --problems 128 --samples 256      # SimKO at the preset

A minute or two on one CPU core.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import simko.envs
from simko.agents import LoraPolicy
from simko.config import EvalConfig
from simko.evaluate import evaluate
from simko.settings import train_config
from simko.train import train

PROBLEM = (
    "Using each of the numbers 2, 3, 4, 9 exactly once with + - * / and parentheses, "
    "write an expression that equals 25."
)
GOLD = '{"numbers": [2, 3, 4, 9], "target": 25}'


def main() -> None:
    """Train, evaluate, ask."""
    parser = argparse.ArgumentParser(description="Train the built-in policy from Python.")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--prompts", type=int, default=32, help="problems a step")
    parser.add_argument("--problems", type=int, default=32, help="held-out problems of the evaluation")
    parser.add_argument("--samples", type=int, default=32, help="answers to each of them")
    parser.add_argument("--out", default="", help="run folder; a new one under runs/ where empty")
    arguments = parser.parse_args()

    # Every keyword is a flag of `simko train` and a key of its YAML file. What is left out has the preset of `tiny`.
    config = train_config(
        {
            "env": "simko/Countdown-v0",
            "algorithm": "simko",
            "steps": arguments.steps,
            "prompts_per_step": arguments.prompts,
            "eval_problems": 0,
            "logger": "none",
            "out": arguments.out,
        }
    )
    run = train(config)

    # The base model is measured on the same problems. The result is also in the folder `eval` of the run.
    result = evaluate(EvalConfig(str(run.path), n=arguments.samples, problems=arguments.problems))
    print("pass@1", result["pass_at_k"]["1"], "before training", result["base"]["pass_at_k"]["1"])

    # A checkpoint's adapter is a plain PEFT folder.
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    policy = LoraPolicy.from_pretrained("tiny", quantization="nf4", adapter=str(checkpoint / "adapter"))
    for text, count in policy.solve(PROBLEM, env="simko/Countdown-v0", n=8):
        print(f"{count} x {text}: {simko.envs.grade(text, GOLD, verifier='expression').outcome}")


if __name__ == "__main__":
    main()
