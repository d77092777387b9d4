"""A ten-line environment: look at it, answer it by hand, then train on it.

    python examples/01_ten_line_env.py
    python examples/01_ten_line_env.py --steps 5

A minute on one CPU core. The reward of the built-in policy rises from about 0.03 to about 0.4.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # `tiny` is too small for more than one thread

import gymnasium
import numpy as np

import simko.envs
from simko.settings import train_config
from simko.train import train


# The environment. Everything else in this file uses it.
@simko.envs.verifier("same-text")
def same_text(response: str, gold: str) -> bool:
    """Whether the response is the gold answer. It is text of a model: compare it, never evaluate it."""
    return response.strip() == gold


@simko.envs.task("my/Double-v0", verifier="same-text", instruction=" Reply with the number only.", max_new_tokens=16)
def double(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Twice a number."""
    n = int(rng.integers(100))
    return f"What is {n} + {n}?", str(2 * n)


def answer_by_hand(text: str) -> float:
    """Step through one episode, token by token, and return its reward. Without a tokenizer the tokens are bytes."""
    env = gymnasium.make("my/Double-v0")
    _, info = env.reset(options={"task": "double/train/1/7"})
    print(info["text"].strip(), "->", text)
    reward = 0.0
    for token in [*text.encode(), 256]:  # 256 ends the answer
        _, reward, _, _, info = env.step(token)
    print("reward", reward, info["verdict"], "gold answer:", info["gold"])
    return float(reward)


def main() -> None:
    """Answer twice by hand, then train."""
    parser = argparse.ArgumentParser(description="A ten-line environment.")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--prompts", type=int, default=32, help="problems a step")
    parser.add_argument("--out", default="", help="run folder; a new one under runs/ where empty")
    arguments = parser.parse_args()
    for text in ("100", "154"):
        answer_by_hand(text)
    settings = {
        "env": "my/Double-v0",
        "steps": arguments.steps,
        "prompts_per_step": arguments.prompts,
        "eval_problems": 0,
    }
    run = train(train_config({**settings, "out": arguments.out, "logger": "none"}))
    rewards = [step["reward"] for step in run.metrics()]
    print(f"reward of the first step {rewards[0]:.2f}, of the last {rewards[-1]:.2f}")


if __name__ == "__main__":
    main()
