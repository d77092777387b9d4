"""SELF and DPH-RL: what the base model can do is not to be lost.

    self      (arXiv 2510.02230)  one greedy answer to each problem; only problems that it gets wrong are trained on
    dph_rl    (arXiv 2509.07430)  GRPO with clip-higher
    both      + coefficient f(u) on right answers of the base model, u = pi / pi_base of each of their tokens

    forward   u - 1 - log u                                  KL(base || pi), coefficient .01
    js        u log u - (u + 1) log((u + 1) / 2)             coefficient .05 to .2
    alpha     (u^(1-a) - (1-a) u - a) / (a (a - 1))          a = .2, coefficient .01 to .05

When to use `self`: take it if greedy decoding solves many of your problems already. They are left out, so steps get smaller
as the model gets better. It costs a greedy answer to each problem, and answers of the base model. We have not compared it
with other methods.

When to use `dph_rl`: take it if training loses problems that the base model solves now and then. It pulls towards right
answers of the base model, so the base model must have some. It costs answers of the base model in every step. We have not
compared it with other methods.

Sources: mail-research/SELF-llm-interference d17634b (the filter); seamoke/DPH-RL 139a9b2 (the divergences). Departures:
- SELF names a forward KL in its paper, and its code has none. Its weight and estimator here are those of DPH-RL: reconstructed.
- DPH-RL samples the base model once, and keeps one right answer to each problem that it mostly solves. Here each step samples the
  base model anew on some of its problems, and takes one right answer to each. There is no buffer to store, and generated problems
  have a base, too. Problems that the base model mostly solves are trained on as well; in DPH-RL only the others are.
- A step whose groups give no update has no divergence term either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from simko.algorithms.base import Auxiliary, RolloutContext, Sampling
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Loss, State, TokenStats
from simko.config import setting
from simko.group_view import batch_of
from simko.types import Batch, Group, Task


@part
@dataclass(frozen=True)
class GreedyFilter(Sampling):
    """Only problems whose greedy answer is not right."""

    name: ClassVar[str] = "self"

    def sample(self, context: RolloutContext, tasks: Sequence[Task], state: State) -> list[Group]:  # noqa: D102
        answers = context.probe(tasks)
        kept = [task for task, answer in zip(tasks, answers, strict=True) if not answer.verdict.correct]
        context.metrics["self_kept"] = len(kept) / max(len(tasks), 1)
        return context.sample(kept, context.group_size) if kept else []


@part
@dataclass(frozen=True)
class BaseAnswers(Auxiliary):
    """A divergence from the base model on its own right answers."""

    name: ClassVar[str] = "base_answers"

    divergence: Literal["forward", "js", "alpha"] = setting("forward", "from the base model")
    divergence_coefficient: float = setting(0.01, "weight of the divergence", minimum=0.0)
    divergence_alpha: float = setting(0.2, "order of the alpha-divergence", above=0.0, maximum=0.99)
    base_problems: int = setting(4, "problems of a step that the base model answers", minimum=1)
    base_samples: int = setting(4, "answers of the base model to each", minimum=1)

    def batch(self, context: RolloutContext, tasks: Sequence[Task], state: State) -> Batch | None:  # noqa: D102
        with context.base():
            groups = context.sample(tasks[: self.base_problems], self.base_samples)
        right = [[c for c in group.completions if c.verdict.correct and c.sampled.any()] for group in groups]
        chosen = [answers[0] for answers in right if answers]
        return batch_of(chosen) if chosen else None

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        gap = stats.logp - stats.old_logp  # the sampler was the base model
        return Loss(self.divergence_coefficient * divergence(gap, self.divergence, self.divergence_alpha))


def divergence(gap: Float[Tensor, "B T"], kind: str, alpha: float = 0.2) -> Float[Tensor, "B T"]:
    """f(u) of gap = log u, u = pi / pi_base; at least 0, and 0 at u = 1."""
    u = torch.exp(gap)
    if kind == "forward":
        return u - 1 - gap
    if kind == "js":
        return u * gap - (u + 1) * torch.log((u + 1) / 2)
    return (torch.exp((1 - alpha) * gap) - (1 - alpha) * u - alpha) / (alpha * (alpha - 1))


method(
    "self",
    sampling="self",
    auxiliary="base_answers",
    evidence="reconstructed",
    title="SELF: only problems that greedy decoding gets wrong, and a forward KL (arXiv 2510.02230)",
    source="arXiv 2510.02230; mail-research/SELF-llm-interference d17634b; its KL term is DPH-RL's",
)
method(
    "dph_rl",
    auxiliary="base_answers",
    defaults={"clip_high": 0.28},
    title="DPH-RL: a forward KL on the base model's right answers (arXiv 2509.07430)",
    source="arXiv 2509.07430; seamoke/DPH-RL 139a9b2",
)
