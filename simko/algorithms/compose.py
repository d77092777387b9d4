"""An algorithm: parts put together, as the trainer sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from simko.algorithms.base import Advantage, Auxiliary, LossPart, Part, RolloutContext, Sampling
from simko.algorithms.stats import Aggregation, Loss, Prepared, Stat, State, StepStats, TokenStats
from simko.group_view import GroupView, view_of
from simko.types import Batch, Group, Task


@dataclass(frozen=True)
class Algorithm:
    """An advantage, a loss, a sampling plan, and perhaps an auxiliary loss."""

    name: str
    advantage: Advantage
    loss_part: LossPart
    sampling: Sampling
    auxiliary: Auxiliary | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, in the order in which they act."""
        every = (self.sampling, self.advantage, self.loss_part, self.auxiliary)
        return tuple(part for part in every if part is not None)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of all parts by name."""
        return {name: value for part in self.parts for name, value in part.settings.items()}

    @property
    def needs_old(self) -> frozenset[Stat]:
        """Statistics of the whole step under the old policy."""
        return frozenset().union(self.advantage.needs_old, self.loss_part.needs_old)

    @property
    def needs_new(self) -> frozenset[Stat]:
        """Statistics under the current policy."""
        return self.loss_part.needs_new

    @property
    def stat_options(self) -> Mapping[str, float]:
        """Arguments of the statistics."""
        return {**self.advantage.stat_options, **self.loss_part.stat_options}

    @property
    def k(self) -> int:
        """Number of candidates that are tracked for each token."""
        return self.loss_part.k

    @property
    def aggregate(self) -> Aggregation:
        """How the trainer reduces the loss matrix of a step."""
        return self.loss_part.aggregate

    @property
    def every_row(self) -> bool:
        """Whether the batch of a step holds rows with advantage 0, too."""
        return self.advantage.every_row or self.loss_part.every_row or self.loss_part.whole_step

    @property
    def min_valid(self) -> int:
        """Answers with a verdict that a group must have."""
        return self.advantage.min_valid

    def inert(self, updates_per_batch: int) -> tuple[str, ...]:
        """Names of settings without effect. Where pi_old is the sampler's, ratios are not 1 in a first update either."""
        updates = updates_per_batch + 1 if self.sampling.old_policy == "sampler" else updates_per_batch
        return tuple(name for part in self.parts for name in part.inert(updates))

    def advantages(self, view: GroupView) -> list[float]:
        """One advantage for each answer of a group."""
        return self.advantage.group(view)

    def informative(self, group: Group) -> bool:
        """Whether the advantage sees a difference between the answers of a group."""
        return self.advantage.informative(view_of(group.valid))

    def check(self, groups: Sequence[Group]) -> None:
        """Raise `UserError` for a setting that does not fit the verdicts of the first step."""
        self.advantage.check([view_of(group.valid) for group in groups])

    def prepare(self, step: StepStats, state: State) -> Prepared:
        """All that couples rows: token advantages, then the loss's constants. A row of zeros is kept only if the loss says so."""
        tokens = self.advantage.tokens(step)
        advantage = step.advantage[:, None].expand_as(step.mask) if tokens is None else tokens
        prepared = self.loss_part.prepare(step, advantage, state.get("loss", {}))
        if tokens is not None and prepared.advantage is None:
            prepared = replace(prepared, advantage=tokens)
        if prepared.keep is None and self.every_row and not self.loss_part.every_row:
            final = advantage if prepared.advantage is None else prepared.advantage
            prepared = replace(prepared, keep=((final != 0) & step.mask).any(-1))
        return prepared

    def loss(self, stats: TokenStats) -> Loss:
        """The loss of each token."""
        return self.loss_part.loss(stats)

    def sample(self, context: RolloutContext, tasks: Sequence[Task], state: State) -> list[Group]:
        """The graded groups of a step."""
        return self.sampling.sample(context, tasks, state.get("sampling", {}))

    def auxiliary_batch(self, context: RolloutContext, tasks: Sequence[Task], state: State) -> Batch | None:
        """The answers of the auxiliary loss."""
        return self.auxiliary.batch(context, tasks, state.get("auxiliary", {})) if self.auxiliary else None

    def initial_state(self) -> State:
        """The state of each part before the first step, by kind."""
        return _full((part.kind, part.initial_state()) for part in self.parts)

    def end_step(self, state: State, metrics: Mapping[str, float]) -> State:
        """The state of each part for the next step."""
        return _full((part.kind, part.end_step(state.get(part.kind, {}), metrics)) for part in self.parts)


def _full(states: Iterable[tuple[str, State]]) -> State:
    return {kind: state for kind, state in states if state}


def finite_state(state: Any) -> bool:
    """Whether every number in a state is finite, tensors included."""
    if isinstance(state, Mapping):
        return all(map(finite_state, state.values()))
    if isinstance(state, torch.Tensor):
        return bool(torch.isfinite(state).all())
    return not isinstance(state, float) or abs(state) < float("inf")
