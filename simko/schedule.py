"""Which tasks a step trains on, and at what learning rate: functions of (seed, step), so a resumed run needs no cursor."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from hashlib import blake2b

import numpy as np
import torch

from simko.types import Task, TaskSource


def training_tasks(source: TaskSource, seed: int, step: int, count: int) -> list[Task]:
    """The step's distinct tasks: fresh ones if they are generated, else the next of a shuffled epoch.

    May be fewer than `count`: a data set gives each task once a step, and a small task space has few problems.
    """
    if source.size is None:
        rng = np.random.default_rng([seed, step])
        by_problem: dict[str, Task] = {}
        for _ in range(100 * count):  # a small task space may have fewer than `count` problems
            task = source.draw(rng)
            by_problem.setdefault(task.problem, task)
            if len(by_problem) == count:
                break
        return list(by_problem.values())
    every = source.tasks(None, seed)
    count = min(count, len(every))
    places = range((step - 1) * count, step * count)
    epochs = {place // len(every) for place in places}
    orders = {epoch: np.random.default_rng([seed, epoch]).permutation(len(every)) for epoch in epochs}
    chosen = [every[orders[place // len(every)][place % len(every)]] for place in places]
    return list({task.id: task for task in chosen}.values())


def refill_tasks(source: TaskSource, seed: int, step: int, round: int, count: int, seen: Collection[str]) -> list[Task]:
    """At most `count` more tasks for a step, whose problems are not in `seen`: fresh ones, or any others of a data set.

    They are drawn outside the order of the epoch, so the tasks of later steps stay what they are.
    """
    rng = np.random.default_rng([seed, step, round])
    drawn: Iterator[Task]
    if source.size is None:
        drawn = (source.draw(rng) for _ in range(100 * count))
    else:
        every = source.tasks(None, seed)
        drawn = (every[place] for place in rng.permutation(len(every)))
    fresh: dict[str, Task] = {}
    for task in drawn:
        if task.problem not in seen:
            fresh.setdefault(task.problem, task)
        if len(fresh) == count:
            break
    return list(fresh.values())


def learning_rate(peak: float, warmup_steps: int, step: int) -> float:
    """Linear warm-up to `peak`, then constant; steps count from 1."""
    return peak * min(1.0, step / max(warmup_steps, 1))


def seed_everything(seed: int, step: int) -> None:
    """Seed the global generators of Python, numpy and torch, for an environment or a method that draws from them.

    simko itself never draws from them. A step begins with the same state in a resumed run.
    """
    drawn = stream_seed("global", seed, step)
    random.seed(drawn)
    np.random.seed(drawn % 2**32)
    torch.manual_seed(drawn)


def stream_seed(*parts: int | str) -> int:
    """A 64-bit seed from the parts that name a random stream; equal in every process."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest(), "little")
