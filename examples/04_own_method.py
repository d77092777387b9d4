"""A method of your own, and the training loop in the open.

    python examples/04_own_method.py

A minute on one CPU core. A method is one class with two functions: the advantages of a group, and the loss of each token. The
names that `simko train --algorithm` knows are a fixed table in `simko/algorithms/__init__.py`. A method from
elsewhere is an object that you hand to the functions of the loop, as here.

The method is REINFORCE with a leave-one-out baseline (RLOO, arXiv 2402.14740):

    A_i = R_i - mean of the other rewards of the group
    L_t = -A r,    r = pi(y_t) / pi_old(y_t)
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

import simko.envs
from simko.advantages import make_batch
from simko.agents import LoraPolicy
from simko.algorithms import Algorithm, Loss, TokenStats
from simko.rollout import rollout
from simko.schedule import training_tasks
from simko.update import accumulate_gradients, apply_gradients


@dataclass(frozen=True)
class LeaveOneOut(Algorithm):
    """RLOO; its settings would be the fields of this class."""

    name: ClassVar[str] = "rloo"
    title: ClassVar[str] = "REINFORCE with a leave-one-out baseline (arXiv 2402.14740)"

    def advantages(self, rewards: Sequence[float], correct: Sequence[bool]) -> list[float]:
        """Each reward without the mean of the others; there are at least two."""
        total, others = sum(rewards), len(rewards) - 1
        return [reward - (total - reward) / others for reward in rewards]

    def loss(self, stats: TokenStats) -> Loss:
        """(B, T). The trainer masks it and averages it over all tokens of the step."""
        ratio = torch.exp(stats.logp - stats.old_logp)  # 1, with the gradient of logp, at one update a batch
        return Loss(-stats.advantage * ratio)


def main() -> None:
    """Train the built-in policy with it."""
    parser = argparse.ArgumentParser(description="A method of your own.")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--prompts", type=int, default=32, help="problems a step")
    parser.add_argument("--group-size", type=int, default=16, help="answers to each")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    method, seed = LeaveOneOut(), 0
    policy = LoraPolicy.from_pretrained("tiny", quantization="nf4", lora_rank=32, seed=seed)
    env = simko.envs.make("simko/Countdown-v0", tokenizer=policy.tokenizer, split="train")
    optimizer = torch.optim.AdamW([weight for _, weight in policy.trainable_parameters()], lr=5e-4, weight_decay=0.0)

    for step in range(1, arguments.steps + 1):
        tasks = training_tasks(env.source, seed, step, arguments.prompts)
        groups = rollout(policy.engine, env, tasks, arguments.group_size, seed=seed, step=step)
        batch = make_batch(groups, method)
        metrics = {"loss": 0.0}
        if len(batch):  # no group whose answers differ: nothing to learn in this step
            metrics = accumulate_gradients(
                policy, method, batch, temperature=1.0, micro_batch_tokens=8192, max_new_tokens=env.max_new_tokens
            )
            apply_gradients(policy, optimizer, max_grad_norm=1.0)
        rewards = [answer.verdict.reward for group in groups for answer in group.completions]
        print(f"step {step}  reward {sum(rewards) / len(rewards):.3f}  loss {metrics['loss']:+.4f}", flush=True)


if __name__ == "__main__":
    main()
