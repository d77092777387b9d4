"""The contract between a training method and the trainer.

A method is one frozen dataclass whose fields are its settings. It states what it `needs`, gets one `TokenStats` bundle a
micro-batch, and returns a `[B, T]` matrix; a separate aggregator (`simko.update`) divides by the counts of the whole optimizer
step. So the update is the same for any split into micro-batches, as long as a method couples no two sequences in `loss`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor

from simko.types import Completion, Group, Policy, Task

Aggregation = Literal["token_mean", "sequence_mean", "constant_length"]
Need = Literal["entropy", "topk", "reference"]


@dataclass(frozen=True)
class TokenStats:
    """What a loss reads of B sequences of at most T response tokens. Only `logp` and `topk_logp` carry a gradient.

    Where `mask` is False (padding, tokens spoken by the environment) the values are finite and mean nothing.
    """

    mask: Bool[Tensor, "B T"]
    logp: Float[Tensor, "B T"]
    old_logp: Float[Tensor, "B T"]  # equals logp.detach() where a rollout batch has one update
    advantage: Float[Tensor, "B T"]
    correct: Bool[Tensor, "B"]
    entropy: Float[Tensor, "B T"]  # nats
    is_top1: Bool[Tensor, "B T"]
    topk_logp: Float[Tensor, "B T K"]
    topk_ids: Int[Tensor, "B T K"]
    ref_logp: Float[Tensor, "B T"] | None = None


@dataclass(frozen=True)
class Loss:
    """A method's loss matrix, and what to report: `shares` are averaged over the step's tokens."""

    matrix: Float[Tensor, "B T"]
    shares: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Algorithm:
    """A training method: these hooks, with the defaults that most methods keep."""

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""

    @property
    def needs(self) -> frozenset[Need]:
        """Statistics beyond the sampled token's log-prob; what nobody asks for is not computed where it costs."""
        return frozenset()

    @property
    def k(self) -> int:
        """Candidates tracked a token."""
        return 1

    @property
    def aggregate(self) -> Aggregation:
        """How the trainer reduces the loss matrix of a step."""
        return "token_mean"

    def inert(self, updates_per_batch: int) -> tuple[str, ...]:
        """Settings that do nothing at this number of updates a rollout batch."""
        return ()

    def plan_rollouts(self, group_size: int) -> tuple[int, ...]:
        """Completions a prompt in each rollout stage; they sum to `group_size`."""
        return (group_size,)

    def stage(self, index: int, policy: Policy, groups: Sequence[Group]) -> AbstractContextManager[Any]:
        """Entered round rollout stage `index`, with the groups sampled so far; may change the policy inside."""
        return nullcontext()

    def select_prompts(self, tasks: list[Task], probe: Callable[[list[Task]], list[Completion]]) -> list[Task]:
        """The tasks to train on; `probe` answers each once, greedily, for a method that filters by it."""
        return tasks

    def advantages(self, rewards: Sequence[float], correct: Sequence[bool]) -> list[float]:
        """One advantage for each valid completion of one group."""
        raise NotImplementedError

    def loss(self, stats: TokenStats) -> Loss:
        """The loss of each token, to be minimised; the trainer masks and aggregates it."""
        raise NotImplementedError

    def on_step_end(self, metrics: Mapping[str, float]) -> None:
        """Called once a step with what is logged; controllers move their coefficients here."""

    def state(self) -> Mapping[str, float]:
        """What `on_step_end` moved, for a checkpoint: finite numbers by name."""
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """Take `state` back from a checkpoint."""
