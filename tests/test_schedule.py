"""Which tasks a step trains on: fresh, distinct, and the same for the same seed and step."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeSource
from hypothesis import given
from hypothesis import strategies as st

from simko.schedule import learning_rate, training_tasks
from simko.types import Task


class Rows:
    name = "rows"

    def __init__(self, size: int) -> None:
        self.size = size

    def draw(self, rng: np.random.Generator) -> Task:
        return self.get(str(rng.integers(self.size)))

    def get(self, task_id: str) -> Task:
        return Task(task_id, task_id, "")

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        return [self.get(str(i)) for i in range(self.size)]


def test_generated_tasks_are_fresh_every_step_and_equal_for_a_seed() -> None:
    source = FakeSource()
    steps = [training_tasks(source, 0, step, 8) for step in range(1, 5)]
    assert len({task.id for tasks in steps for task in tasks}) == 32
    assert training_tasks(source, 0, 3, 8) == steps[2]
    assert training_tasks(source, 1, 3, 8) != steps[2]


@given(size=st.integers(1, 30), count=st.integers(1, 12), seed=st.integers(0, 5))
def test_a_data_set_is_seen_once_an_epoch(size: int, count: int, seed: int) -> None:
    source = Rows(size)
    seen = [task.id for step in range(1, 40) for task in training_tasks(source, seed, step, count)]
    if size % min(count, size) == 0:
        for epoch in range(len(seen) // size):
            assert len(set(seen[epoch * size : (epoch + 1) * size])) == size
    assert len(set(seen)) == min(size, len(seen))
    assert all(len(training_tasks(source, seed, step, count)) <= min(size, count) for step in range(1, 5))


def test_epochs_are_shuffled() -> None:
    first, second = ([t.id for t in training_tasks(Rows(20), 0, step, 20)] for step in (1, 2))
    assert sorted(first) == sorted(second)
    assert first != second


def test_a_task_space_smaller_than_a_step_gives_what_it_has() -> None:
    class Few(Rows):
        def __init__(self) -> None:
            super().__init__(3)
            self.size = None  # type: ignore[assignment]

        def draw(self, rng: np.random.Generator) -> Task:
            return self.get(str(rng.integers(3)))

    assert sorted(task.id for task in training_tasks(Few(), 0, 1, 10)) == ["0", "1", "2"]


def test_learning_rate() -> None:
    assert [learning_rate(1.0, 4, step) for step in range(1, 7)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert learning_rate(0.5, 0, 1) == 0.5
