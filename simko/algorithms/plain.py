"""Plain sampling: G answers to each task of the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from simko.algorithms.base import RolloutContext, Sampling
from simko.algorithms.registry import part
from simko.algorithms.stats import State
from simko.types import Group, Task


@part
@dataclass(frozen=True)
class Plain(Sampling):
    """G answers to each task."""

    name: ClassVar[str] = "plain"

    def sample(self, context: RolloutContext, tasks: Sequence[Task], state: State) -> list[Group]:  # noqa: D102
        return context.sample(tasks, context.group_size)
