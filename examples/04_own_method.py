"""A method of your own, and the training loop in the open.

    python examples/04_own_method.py

A minute on one CPU core. A method is made of parts, and a part is one small class: here an advantage, and a loss. The last lines
of the two give them a name, so that every command knows the method, too:

    cd examples && simko train --algorithm 04_own_method:leave_one_out

The method is REINFORCE with a leave-one-out baseline (arXiv 2402.14740):

    A_i = R_i - mean of the other rewards of the group
    L_t = -A r,    r = pi(y_t) / pi_old(y_t)
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import ClassVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

import simko.envs
from simko import algorithms
from simko.advantages import make_batch
from simko.agents import LoraPolicy
from simko.algorithms import Advantage, GroupView, Loss, LossPart, TokenStats, method, part
from simko.rollout import rollout
from simko.schedule import training_tasks
from simko.update import accumulate_gradients, apply_gradients


@part
@dataclass(frozen=True)
class LeaveOneOut(Advantage):
    """Each reward without the mean of the others; there are at least two. Settings would be the fields of this class."""

    name: ClassVar[str] = "leave_one_out"

    def group(self, view: GroupView) -> list[float]:
        """One advantage for each answer of a group."""
        total, others = sum(view.rewards), len(view) - 1
        return [reward - (total - reward) / others for reward in view.rewards]


@part
@dataclass(frozen=True)
class Reinforce(LossPart):
    """The policy gradient, without a clip."""

    name: ClassVar[str] = "reinforce"

    def loss(self, stats: TokenStats) -> Loss:
        """(B, T). The trainer masks it and averages it over all tokens of the step."""
        ratio = torch.exp(stats.logp - stats.old_logp)  # 1, with the gradient of logp, at one update a batch
        return Loss(-stats.advantage * ratio)


method(
    "leave_one_out",
    advantage="leave_one_out",
    loss="reinforce",
    title="REINFORCE with a leave-one-out baseline",
    source="arXiv 2402.14740",
)


def main() -> None:
    """Train the built-in policy with it."""
    parser = argparse.ArgumentParser(description="A method of your own.")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--prompts", type=int, default=32, help="problems a step")
    parser.add_argument("--group-size", type=int, default=16, help="answers to each")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    own, seed = algorithms.get("leave_one_out"), 0
    policy = LoraPolicy.from_pretrained("tiny", quantization="nf4", lora_rank=32, seed=seed)
    env = simko.envs.make("simko/Countdown-v0", tokenizer=policy.tokenizer, split="train")
    optimizer = torch.optim.AdamW([weight for _, weight in policy.trainable_parameters()], lr=5e-4, weight_decay=0.0)

    for step in range(1, arguments.steps + 1):
        tasks = training_tasks(env.source, seed, step, arguments.prompts)
        groups = rollout(policy.engine, env, tasks, arguments.group_size, seed=seed, step=step)
        batch = make_batch(groups, own)
        metrics = {"loss": 0.0}
        if len(batch):  # no group whose answers differ: nothing to learn in this step
            metrics = accumulate_gradients(
                policy, own, batch, temperature=1.0, micro_batch_tokens=8192, max_new_tokens=env.max_new_tokens
            )
            apply_gradients(policy, optimizer, max_grad_norm=1.0)
        rewards = [answer.verdict.reward for group in groups for answer in group.completions]
        print(f"step {step}  reward {sum(rewards) / len(rewards):.3f}  loss {metrics['loss']:+.4f}", flush=True)


if __name__ == "__main__":
    main()
