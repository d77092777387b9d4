"""The contract between a training method and the trainer.

A method is one frozen dataclass whose fields are its settings. It states what it `needs`. For each micro-batch it gets one
`TokenStats` and returns a `[B, T]` matrix. A separate aggregator (`simko.update`) divides by the counts of the whole optimizer
step. So the update is the same for any split into micro-batches, as long as `loss` couples no two sequences.
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
    """Statistics of B sequences of at most T response tokens. Only `logp` and `topk_logp` carry a gradient.

    Where `mask` is False (padding, tokens of the environment), the values are finite and have no meaning.
    """

    mask: Bool[Tensor, "B T"]
    logp: Float[Tensor, "B T"]
    old_logp: Float[Tensor, "B T"]  # equals logp.detach() if a rollout batch has one update
    advantage: Float[Tensor, "B T"]
    correct: Bool[Tensor, "B"]
    entropy: Float[Tensor, "B T"]  # nats
    is_top1: Bool[Tensor, "B T"]
    topk_logp: Float[Tensor, "B T K"]
    topk_ids: Int[Tensor, "B T K"]
    ref_logp: Float[Tensor, "B T"] | None = None


@dataclass(frozen=True)
class Loss:
    """A method's loss matrix, and quantities to log: `shares` are averaged over the step's tokens."""

    matrix: Float[Tensor, "B T"]
    shares: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Algorithm:
    """A training method. Most methods keep most of these default hooks."""

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""

    @property
    def needs(self) -> frozenset[Need]:
        """Statistics beyond the sampled token's log-prob. The trainer leaves out costly ones that are not asked for."""
        return frozenset()

    @property
    def k(self) -> int:
        """Number of candidates (K) that are tracked for each token."""
        return 1

    @property
    def aggregate(self) -> Aggregation:
        """How the trainer reduces the loss matrix of a step."""
        return "token_mean"

    def inert(self, updates_per_batch: int) -> tuple[str, ...]:
        """Names of settings that have no effect with this number of updates for each rollout batch."""
        return ()

    def plan_rollouts(self, group_size: int) -> tuple[int, ...]:
        """Completions for each prompt in each rollout stage; they sum to `group_size`."""
        return (group_size,)

    def stage(self, index: int, policy: Policy, groups: Sequence[Group]) -> AbstractContextManager[Any]:
        """Return a context around rollout stage `index`. It may change the policy; `groups` are those sampled so far."""
        return nullcontext()

    def select_prompts(self, tasks: list[Task], probe: Callable[[list[Task]], list[Completion]]) -> list[Task]:
        """Choose the tasks to train on. `probe` answers each task once, greedily, for methods that filter."""
        return tasks

    def advantages(self, rewards: Sequence[float], correct: Sequence[bool]) -> list[float]:
        """Return one advantage for each valid completion of one group."""
        raise NotImplementedError

    def loss(self, stats: TokenStats) -> Loss:
        """Return the loss of each token, to be minimised. The trainer masks and aggregates it."""
        raise NotImplementedError

    def on_step_end(self, metrics: Mapping[str, float]) -> None:
        """Take the logged metrics, once a step. Controllers move their coefficients here."""

    def state(self) -> Mapping[str, float]:
        """Return the coefficients that `on_step_end` moves, for a checkpoint: finite numbers by name."""
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """Set the coefficients to `state`, read from a checkpoint."""
