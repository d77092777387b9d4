"""The contract between a training method and the trainer.

A method is made of up to four parts: an advantage, a loss, a sampling plan, and an auxiliary loss. A part is one frozen
dataclass whose fields are its settings. It states what it needs, and gets these statistics and no others.

    sampling.sample(context, tasks)  -> groups             which answers are sampled
    advantage.group(view)            -> one number a row   what each answer is worth beside the others of its task
    advantage.tokens(step)           -> [B, T]             the same by token, where a method does so
    loss.prepare(step, state)        -> constants          all that couples rows, over the whole step, without a gradient
    loss.loss(stats)                 -> [B, T]             each row alone; the trainer masks and aggregates

A separate aggregator (`simko.update`) divides by the counts of the whole optimizer step. So the update is the same for any
split into micro-batches, any packing, and any number of processes, as long as `loss` couples no two rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from simko.algorithms.stats import Aggregation, Loss, Prepared, Stat, State, StepStats, TokenStats
from simko.group_view import GroupView
from simko.types import Batch, Completion, Group, Policy, Task, rewards_differ

Kind = Literal["advantage", "loss", "sampling", "auxiliary"]
Evidence = Literal["verified", "reconstructed"]


@runtime_checkable
class RolloutContext(Protocol):
    """What a sampling plan and an auxiliary loss may do. See `simko.sampling.StepContext`."""

    policy: Policy
    step: int
    metrics: dict[str, float]  # what the plan wants logged

    @property
    def group_size(self) -> int:
        """Answers to a task (G)."""

    @property
    def temperature(self) -> float:
        """Of the rollouts, and of every log-prob."""

    @property
    def rng(self) -> np.random.Generator:
        """A generator from (seed, step), the same at each call."""

    def sample(self, tasks: Sequence[Task], n: int, first: int = 0) -> list[Group]:
        """`n` graded answers to each task; `first` numbers the first of them, in a later stage of the step."""

    def probe(self, tasks: Sequence[Task]) -> list[Completion]:
        """One greedy answer to each task, graded."""

    def refill(self, count: int) -> list[Task]:
        """At most `count` more tasks, none of which this step has seen."""

    def informative(self, group: Group) -> bool:
        """Whether the method's advantage sees a difference between the answers of a group."""

    def base(self) -> AbstractContextManager[Any]:
        """Inside it the base model samples, from random streams of its own."""

    def adapter_copy(self) -> AbstractContextManager[Any]:
        """Inside it the adapter may be changed; afterwards it is back, bit for bit."""

    def gradient(
        self, completions: Sequence[Completion], loss: TokenLoss
    ) -> tuple[list[Tensor | None], dict[str, float]]:
        """The gradient of a loss on these answers, for each tensor of `policy.trainable_parameters()`; and its metrics."""


@runtime_checkable
class TokenLoss(Protocol):
    """A loss as the trainer sees it: a method's, or an auxiliary one's."""

    @property
    def needs_new(self) -> frozenset[Stat]: ...  # noqa: D102
    @property
    def stat_options(self) -> Mapping[str, float]: ...  # noqa: D102
    @property
    def k(self) -> int: ...  # noqa: D102
    @property
    def aggregate(self) -> Aggregation: ...  # noqa: D102
    def loss(self, stats: TokenStats) -> Loss: ...  # noqa: D102


@dataclass(frozen=True)
class Part:
    """A part of a method: what all four kinds share."""

    kind: ClassVar[Kind]
    name: ClassVar[str] = ""

    @property
    def needs_old(self) -> frozenset[Stat]:
        """Statistics of the whole step under the old policy. Asking for any costs one forward a step, without a gradient."""
        return frozenset()

    @property
    def stat_options(self) -> Mapping[str, float]:
        """Arguments of the statistics: `nucleus_mass` of "nucleus_entropy", `min_p` of "proxy"."""
        return {}

    def inert(self, updates_per_batch: int) -> tuple[str, ...]:
        """Names of settings that have no effect with this number of updates for each rollout batch."""
        return ()

    def initial_state(self) -> State:
        """What the part carries from step to step, before the first."""
        return {}

    def end_step(self, state: State, metrics: Mapping[str, float]) -> State:
        """The state for the next step, from this step's metrics. Controllers move their coefficients here."""
        return state

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}


@dataclass(frozen=True)
class Advantage(Part):
    """What an answer is worth beside the others of its task."""

    kind: ClassVar[Kind] = "advantage"
    min_valid: ClassVar[int] = 2
    """Answers with a verdict that a group must have; groups with fewer are left out."""
    reads_logp: ClassVar[bool] = False
    """Whether `group` reads `mean_logp`: then rewards and verdicts alone do not decide it."""

    @property
    def every_row(self) -> bool:
        """Whether rows with advantage 0 need a forward, too, because `tokens` moves them."""
        return False

    def group(self, view: GroupView) -> list[float]:
        """One advantage for each answer of one group."""
        raise NotImplementedError

    def informative(self, view: GroupView) -> bool:
        """Whether `group` gives advantages that move the policy. Refilled steps keep only such groups."""
        return rewards_differ(view.rewards)

    def check(self, views: Sequence[GroupView]) -> None:
        """Look at all groups of the first step; raise `UserError` for a setting that does not fit the verdicts."""

    def tokens(self, step: StepStats) -> Float[Tensor, "B T"] | None:
        """Advantages by token, from the rows' own in `step.advantage`; None leaves each row's own at all its tokens."""
        return None


@dataclass(frozen=True)
class LossPart(Part):
    """The loss of each token."""

    kind: ClassVar[Kind] = "loss"
    needs_several_updates: ClassVar[bool] = False
    """Whether it is the plain policy gradient with one update a rollout batch, where the ratio is 1."""

    @property
    def needs_new(self) -> frozenset[Stat]:
        """Statistics under the current policy beyond log-prob, entropy and top K, which cost nothing more."""
        return frozenset()

    @property
    def k(self) -> int:
        """Number of candidates (K) that are tracked for each token."""
        return 1

    @property
    def aggregate(self) -> Aggregation:
        """How the trainer reduces the loss matrix of a step."""
        return "token_mean"

    @property
    def every_row(self) -> bool:
        """Whether rows with advantage 0 have a loss, too."""
        return "reference" in self.needs_new

    @property
    def whole_step(self) -> bool:
        """Whether `prepare` reads rows with advantage 0, too. They cost no gradient, unless `Prepared.keep` has them."""
        return False

    def prepare(self, step: StepStats, advantage: Float[Tensor, "B T"], state: State) -> Prepared:
        """All that couples rows: constants for the loss, over the whole optimizer step, and what to log."""
        return Prepared()

    def loss(self, stats: TokenStats) -> Loss:
        """Return the loss of each token, to be minimised. No row may depend on another."""
        raise NotImplementedError


@dataclass(frozen=True)
class Sampling(Part):
    """Which answers are sampled, from which tasks."""

    kind: ClassVar[Kind] = "sampling"
    old_policy: ClassVar[Literal["trainer", "sampler"]] = "trainer"
    """Whose log-probs are pi_old: the trainer's before the update, or those that the sampler recorded."""

    def sample(self, context: RolloutContext, tasks: Sequence[Task], state: State) -> list[Group]:
        """The graded groups of a step."""
        raise NotImplementedError


@dataclass(frozen=True)
class Auxiliary(LossPart):
    """A second loss on other answers, added to every update of the step."""

    kind: ClassVar[Kind] = "auxiliary"

    def batch(self, context: RolloutContext, tasks: Sequence[Task], state: State) -> Batch | None:
        """The answers, with their log-probs under the policy that sampled them; None: nothing in this step."""
        raise NotImplementedError
