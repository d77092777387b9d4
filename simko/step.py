"""One step's rollouts: its tasks, in the stages that the method asks for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from simko.algorithms.base import Algorithm
from simko.config import TrainConfig
from simko.faults import Faults
from simko.rollout import Environment, rollout
from simko.schedule import training_tasks
from simko.types import Completion, Group, Policy, Task


def sample_step(
    policy: Policy, env: Any, method: Algorithm, config: TrainConfig, step: int, faults: Faults
) -> list[Group]:
    """The graded groups of a step; none, and a fault counted, where the model's logits are not finite."""
    try:
        tasks = method.select_prompts(
            training_tasks(env.source, config.seed, step, config.prompts_per_step),
            partial(_greedy, policy, env, config.seed, step),
        )
        return sample_groups(policy, env, method, tasks, config, step)
    except FloatingPointError:
        faults.count("engine_nonfinite")
        return []


def sample_groups(
    policy: Policy, env: Environment, method: Algorithm, tasks: Sequence[Task], config: TrainConfig, step: int
) -> list[Group]:
    """G graded completions of each task, in the stages that the method asks for."""
    groups = [Group(task, ()) for task in tasks]
    done = 0
    for index, n in enumerate(method.plan_rollouts(config.group_size)):
        with method.stage(index, policy, groups):
            more = rollout(
                policy.engine, env, tasks, n,
                temperature=config.temperature, seed=config.seed, step=step, first_sample=done,
            )  # fmt: skip
        groups = [Group(old.task, old.completions + new.completions) for old, new in zip(groups, more, strict=True)]
        done += n
    return groups


def _greedy(policy: Policy, env: Environment, seed: int, step: int, tasks: Sequence[Task]) -> list[Completion]:
    groups = rollout(policy.engine, env, tasks, 1, temperature=0.0, seed=seed, step=step)
    return [group.completions[0] for group in groups]
