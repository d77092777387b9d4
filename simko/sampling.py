"""The answers of a step: what a sampling plan may ask for, and one call that runs the plan of a method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simko.algorithms.base import Auxiliary, TokenLoss
from simko.algorithms.compose import Algorithm
from simko.algorithms.stats import State
from simko.config import UpdateSettings
from simko.group_view import batch_of
from simko.micro_batch import TokenBudget
from simko.rollout import rollout
from simko.schedule import refill_tasks, stream_seed, training_tasks
from simko.step_stats import step_stats
from simko.types import Batch, Completion, Group, Policy, Sampling, Task, Verdict
from simko.update import accumulate_gradients


@dataclass(frozen=True)
class Sampled:
    """What a step sampled: its groups, the answers of an auxiliary loss, and what the plan wants logged."""

    groups: list[Group] = field(default_factory=list)
    auxiliary: Batch | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass
class StepContext:
    """What a sampling plan may do in one step; the protocol is `simko.algorithms.base.RolloutContext`.

    Every random stream derives from (seed, step, task, sample), so a resumed run samples the same answers.
    """

    policy: Policy
    env: Any  # a `simko.grading.Environment` with a source of tasks
    settings: UpdateSettings
    step: int
    budget: TokenBudget
    metrics: dict[str, float] = field(default_factory=dict)
    """What a plan wants logged."""
    method: Algorithm | None = None
    _seen: set[str] = field(default_factory=set)
    _rounds: int = 0
    _base: bool = False

    @property
    def group_size(self) -> int:
        """Answers to a task (G)."""
        return self.settings.group_size

    @property
    def temperature(self) -> float:
        """Of the rollouts, and of every log-prob."""
        return self.settings.temperature

    @property
    def rng(self) -> np.random.Generator:
        """A generator from (seed, step), the same at each call."""
        return np.random.default_rng(stream_seed("sampling", self.settings.seed, self.step))

    def tasks(self) -> list[Task]:
        """The tasks of the step."""
        chosen = training_tasks(self.env.source, self.settings.seed, self.step, self.settings.prompts_per_step)
        self._seen |= {task.problem for task in chosen}
        return chosen

    def sample(self, tasks: Sequence[Task], n: int, first: int = 0) -> list[Group]:
        """`n` graded answers to each task; `first` numbers the first of them, in a later stage of the step."""
        return self._rollout(tasks, n, Sampling(self.temperature), first)

    def probe(self, tasks: Sequence[Task]) -> list[Completion]:
        """One greedy answer to each task, graded."""
        return [group.completions[0] for group in self._rollout(tasks, 1, Sampling(temperature=0.0), 0)]

    def refill(self, count: int) -> list[Task]:
        """At most `count` more tasks, none of which this step has seen."""
        self._rounds += 1
        more = refill_tasks(self.env.source, self.settings.seed, self.step, self._rounds, count, self._seen)
        self._seen |= {task.problem for task in more}
        return more

    def informative(self, group: Group) -> bool:
        """Whether the method's advantage sees a difference between the answers of a group."""
        return self.method.informative(group) if self.method else group.informative

    @contextmanager
    def base(self) -> Iterator[None]:
        """Inside it the base model samples, from random streams of its own."""
        before, self._base = self._base, True
        try:
            with self.policy.base():
                yield
        finally:
            self._base = before

    @contextmanager
    def adapter_copy(self) -> Iterator[None]:
        """Inside it the adapter may be changed; afterwards it is back, bit for bit."""
        parameters = [parameter for _, parameter in self.policy.trainable_parameters()]
        before = [parameter.detach().clone() for parameter in parameters]
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, values in zip(parameters, before, strict=True):
                    parameter.copy_(values)

    def gradient(
        self, completions: Sequence[Completion], loss: TokenLoss
    ) -> tuple[list[Tensor | None], dict[str, float]]:
        """The gradient of a loss on these answers, for each tensor of `policy.trainable_parameters()`; and its metrics."""
        parameters = [parameter for _, parameter in self.policy.trainable_parameters()]
        before = [parameter.grad for parameter in parameters]
        for parameter in parameters:
            parameter.grad = None
        try:
            batch = batch_of(completions)
            metrics = accumulate_gradients(
                self.policy, loss, batch, temperature=self.temperature, micro_batch_tokens=self.budget,
                max_new_tokens=self.env.max_new_tokens,
            )  # fmt: skip
            return [parameter.grad for parameter in parameters], metrics
        finally:
            for parameter, gradient in zip(parameters, before, strict=True):
                parameter.grad = gradient

    def _rollout(self, tasks: Sequence[Task], n: int, sampling: Sampling, first: int) -> list[Group]:
        seed = stream_seed("base", self.settings.seed) if self._base else self.settings.seed
        groups = rollout(
            self.policy.engine, self.env, tasks, n, sampling, seed=seed, step=self.step, first_sample=first
        )
        chance = self.settings.random_rewards
        return groups if chance is None else [tossed(group, chance, seed, first) for group in groups]


def tossed(group: Group, chance: float, seed: int, first: int = 0) -> Group:
    """The group with verdicts by a coin, which is correct with that chance: the random-reward control (arXiv 2506.10947).

    The coin depends on the seed, the task and the number of the sample, and on nothing else; `first` numbers the first sample.
    """
    tosses = [stream_seed("coin", seed, group.task.id, first + i) for i in range(len(group.completions))]
    completions = [
        replace(c, verdict=_by_coin(c.verdict, toss < chance * 2**64))
        for c, toss in zip(group.completions, tosses, strict=True)
    ]
    return Group(group.task, tuple(completions))


def _by_coin(verdict: Verdict, heads: bool) -> Verdict:
    return Verdict("correct" if heads else "incorrect", float(heads), verdict.extracted, seconds=verdict.seconds)


def sample_step(
    policy: Policy, env: Any, method: Algorithm, settings: UpdateSettings, step: int, state: State, budget: TokenBudget
) -> Sampled:
    """The answers of a step, sampled as the method plans.

    Raises:
        FloatingPointError: the model's logits are not finite.
        UserError: in step 1, a setting of the method does not fit the verdicts.
    """
    context = StepContext(policy, env, settings, step, budget, method=method)
    tasks = context.tasks()
    groups = method.sample(context, tasks, state)
    if step == 1:
        method.check(groups)
    return Sampled(groups, method.auxiliary_batch(context, tasks, state), context.metrics)


def auxiliary_gradients(
    policy: Policy,
    loss: Auxiliary,
    batch: Batch,
    *,
    temperature: float,
    micro_batch_tokens: int | TokenBudget,
    max_new_tokens: int,
) -> dict[str, float]:
    """Add the gradient of an auxiliary loss; its old log-probs are those of the policy that sampled. Returns its metrics."""
    budget = TokenBudget(micro_batch_tokens) if isinstance(micro_batch_tokens, int) else micro_batch_tokens
    stats = step_stats(policy, batch, frozenset(), temperature=temperature, budget=budget)
    metrics = accumulate_gradients(
        policy, loss, batch, temperature=temperature, micro_batch_tokens=budget, max_new_tokens=max_new_tokens,
        step=replace(stats, logp=stats.sampler_logp),
    )  # fmt: skip
    return {"auxiliary_loss": metrics["loss"], "auxiliary_answers": float(len(batch))}
