"""EEPO: sample, then forget (arXiv 2510.05837v2). Reconstructed from notes on the paper: its code could not be read.

    O1 = the first half of the group, sampled from theta
    if the mean entropy of the last m steps is below `eepo_entropy`:
        U      = mean over O1 of the mean over tokens of -log(1 - min(pi, 1 - eps))
        theta' = theta - eta grad U                                             one step of plain SGD, on a copy
    O2 = the second half, sampled from theta'
    theta' is thrown away; GRPO on O1 and O2, each with the log-probs of the policy that sampled it

When to use it: take it if entropy is low and the answers to a problem repeat each other. While entropy is above
`eepo_entropy` it is GRPO whose old policy is the sampler's. `eepo_step` was published for full weights: tune it for LoRA. Our
comparison of two seeds does not tell it from GRPO.

Choices, where the notes are silent or contradict themselves:
- They speak of ascent on U, which would make O1 likelier. To forget, U is minimised. O1's mean log-prob falls with it; by less
  than U, since U weighs a token by pi / (1 - pi). A step too small to matter may even leave it where it was.
- The gate is by training step. The printed formula could also mean a token.
- eps is not published: 1e-3 here. It bounds the weight pi / (1 - pi) by 999, and a token above 1 - eps has no gradient.
- The gradient's norm is capped (`eepo_grad_norm`), and logged.
- pi_old is what the sampler recorded, so the ratio is not exactly 1 even with one update a rollout batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from simko.algorithms.base import LossPart, RolloutContext, Sampling
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Aggregation, Loss, State, TokenStats
from simko.config import setting
from simko.types import Group, Task


@part
@dataclass(frozen=True)
class SampleThenForget(Sampling):
    """Half a group, one step of forgetting, the other half."""

    name: ClassVar[str] = "eepo"
    old_policy: ClassVar[Literal["trainer", "sampler"]] = "sampler"

    eepo_entropy: float = setting(0.3, "nats; forget where the last steps' mean entropy is below", minimum=0.0)
    eepo_window: int = setting(3, "steps in that mean (m)", minimum=1)
    eepo_step: float = setting(3e-3, "step of plain SGD (eta)", minimum=0.0)
    eepo_epsilon: float = setting(1e-3, "tokens above 1 - epsilon are not forgotten", above=0.0, maximum=0.5)
    eepo_grad_norm: float = setting(1.0, "the forgetting gradient is clipped to this norm", above=0.0)

    def initial_state(self) -> State:  # noqa: D102
        return {"entropies": []}

    def end_step(self, state: State, metrics: Mapping[str, Any]) -> State:  # noqa: D102
        if "entropy" not in metrics:
            return state
        return {"entropies": [*state.get("entropies", []), metrics["entropy"]][-self.eepo_window :]}

    def sample(self, context: RolloutContext, tasks: Sequence[Task], state: State) -> list[Group]:  # noqa: D102
        first = context.sample(tasks, half := context.group_size - context.group_size // 2)
        recent = state.get("entropies", [])
        forget = len(recent) >= self.eepo_window and sum(recent) / len(recent) < self.eepo_entropy
        context.metrics["eepo_forgot"] = float(forget)
        with context.adapter_copy():
            if forget:
                self._forget(context, first)
            second = context.sample(tasks, context.group_size - half, half)
        return [Group(a.task, a.completions + b.completions) for a, b in zip(first, second, strict=True)]

    def _forget(self, context: RolloutContext, groups: Sequence[Group]) -> None:
        """One step down the gradient of U, on the adapter as it is."""
        answers = [answer for group in groups for answer in group.completions]
        gradients, metrics = context.gradient(answers, Unlikelihood(self.eepo_epsilon))
        parts = [gradient for gradient in gradients if gradient is not None]
        norm = float(torch.nn.utils.get_total_norm(parts)) if parts else 0.0
        context.metrics["eepo_grad_norm"] = norm
        context.metrics["eepo_clamped"] = metrics.get("clamped_fraction", 0.0)
        if not 0 < norm < float("inf"):
            return
        rate = self.eepo_step * min(1.0, self.eepo_grad_norm / norm)
        with torch.no_grad():
            for (_, parameter), gradient in zip(context.policy.trainable_parameters(), gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(rate * gradient)


@dataclass(frozen=True)
class Unlikelihood(LossPart):
    """-log(1 - min(pi, 1 - epsilon)) of each token, mean over tokens, then over answers."""

    epsilon: float = 1e-3

    @property
    def aggregate(self) -> Aggregation:  # noqa: D102
        return "sequence_mean"

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        probability = torch.exp(stats.logp)
        clamped = probability > 1 - self.epsilon
        return Loss(-torch.log1p(-probability.clamp(max=1 - self.epsilon)), {"clamped_fraction": clamped})


method(
    "eepo",
    sampling="eepo",
    evidence="reconstructed",
    title="EEPO: the second half of a group is sampled after forgetting the first (arXiv 2510.05837)",
    source="arXiv 2510.05837v2 (notes on it)",
)
