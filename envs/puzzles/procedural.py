"""The base class of task sources that generate their problems.

A problem is a function of (level, seed). Its id `name/split/level/seed` holds both, so `get` can make it again in any
process. The two splits share no **content**: if a problem's key falls in the other split (`simko.envs.split.is_eval`),
the problem is thrown away and the next one is drawn from the same seed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from simko.envs.split import is_eval
from simko.errors import TooFewTasksError, UserError
from simko.types import Task

SPLITS = ("train", "eval")
SEED_BOUND = 1 << 40  # seeds in ids: short enough to read, wide enough not to repeat in a run
MAX_REJECTIONS = 10_000


@dataclass(frozen=True, slots=True)
class Draft:
    """A generated problem before it is admitted to a split.

    `key` is the canonical content that decides the split; if it is empty, the problem text decides. Two drafts that are
    the same problem in other words must have the same key.
    """

    problem: str
    gold: str
    key: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


class ProceduralSource(ABC):
    """An endless source of generated tasks. Subclasses set `name` and `levels` and write `generate` and `answer`.

    With `level=None` each task draws its level uniformly from `levels`. `data` must be None: these problems are made,
    not read. Raises `UserError` for an unknown split or level.
    """

    name: str = ""
    size: int | None = None
    levels: ClassVar[Mapping[int, str]] = {}
    """What each level means, the easiest first."""
    single: ClassVar[frozenset[int]] = frozenset()
    """Levels with one problem only. There is nothing to hold out, so both splits have that problem."""

    def __init__(self, split: str = "train", level: int | None = None, data: str | None = None) -> None:
        if split not in SPLITS:
            raise UserError(f"{self.name}: split is '{split}'; use 'train' or 'eval'")
        if level is not None and level not in self.levels:
            raise UserError(f"{self.name}: level is {level}; use one of {', '.join(map(str, self.levels))}")
        if data is not None:
            raise UserError(f"{self.name}: data is '{data}', but these problems are generated; leave data out")
        self.split = split
        self.level = level
        self.size = 1 if level in self.single else None

    @abstractmethod
    def generate(self, rng: np.random.Generator, level: int) -> Draft:
        """One problem of that level, drawn from `rng` alone."""

    @abstractmethod
    def answer(self, task: Task) -> str:
        """A response that grades correct on `task`."""

    def draw(self, rng: np.random.Generator) -> Task:
        """One task, drawn from `rng` alone."""
        return self._draw_keyed(rng)[0]

    def get(self, task_id: str) -> Task:
        """The task with that id. Raises `UserError` if the id does not belong to this source and split."""
        return self._make(*self._place(task_id))[0]

    def _place(self, task_id: str) -> tuple[int, int]:
        """Level and seed of a task. Raises `UserError` if the id does not belong to this source and split."""
        parts = task_id.split("/")
        try:
            name, split, level, seed = parts[0], parts[1], int(parts[2]), int(parts[3])
        except (IndexError, ValueError):
            name, split, level, seed = "", "", -1, -1
        belongs = name == self.name and split == self.split and level in self.levels
        in_range = seed == 0 if level in self.single else 0 <= seed < SEED_BOUND
        if not (belongs and in_range) or task_id != f"{name}/{split}/{level}/{seed}":
            form = f"{self.name}/{self.split}/<level>/<seed>"
            raise UserError(f"{self.name}: no task '{task_id[:80]}' in split '{self.split}'; give an id like {form}")
        return level, seed

    def content(self, task: Task) -> str:
        """What decides the split of a task: its key, or its text where it has no key. Raises `UserError` as `get` does."""
        return self._make(*self._place(task.id))[1]

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        """`count` tasks of distinct content. The same seed gives the same tasks.

        Raises `UserError` if `count` is None and the source is endless, and `TooFewTasksError` if the level has too few problems.
        """
        if count is None:
            if self.size is None:
                raise UserError(
                    f"{self.name}: problems are generated without end; give the number of tasks that you want"
                )
            count = self.size
        rng = np.random.default_rng(seed)
        tasks: dict[tuple[str, str], Task] = {}
        misses = 0
        while len(tasks) < count:
            task, key = self._draw_keyed(rng)
            if (key, task.gold) not in tasks:
                tasks[key, task.gold] = task
                continue
            misses += 1
            if misses > 200 + 20 * len(tasks):
                level = "" if self.level is None else f" at level {self.level}"
                raise TooFewTasksError(
                    f"{self.name}: only {len(tasks)} distinct problems found in split '{self.split}'{level}, {count} asked for; "
                    f"ask for fewer{' or take a higher level' if len(self.levels) > 1 else ''}",
                    len(tasks),
                )
        return list(tasks.values())

    def _draw_keyed(self, rng: np.random.Generator) -> tuple[Task, str]:
        level = self.level
        if level is None:
            level = list(self.levels)[int(rng.integers(len(self.levels)))]
        seed = int(rng.integers(SEED_BOUND))
        return self._make(level, 0 if level in self.single else seed)

    def _make(self, level: int, seed: int) -> tuple[Task, str]:
        """The task of that level and seed, and the key of its content."""
        rng = np.random.default_rng([seed, level])
        for _ in range(MAX_REJECTIONS):
            draft = self.generate(rng, level)
            key = draft.key or draft.problem
            if level in self.single or is_eval(key) == (self.split == "eval"):
                task_id = f"{self.name}/{self.split}/{level}/{seed}"
                return Task(task_id, draft.problem, draft.gold, str(level), dict(draft.extra)), key
        raise UserError(f"{self.name}: level {level} has no problem in split '{self.split}'; take another level")
