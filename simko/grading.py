"""Grading in a few threads while other answers are still decoded; nothing about a result depends on timing.

engine ends a sequence -> episode takes it -> done? its text is queued -> ... -> verdicts are read in the answers' order
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from simko.types import Engine, Generation, Sampling, Task, Verdict

Grade = Callable[[str, Task], Verdict]

THREADS = 4  # they wait for the verifiers' workers most of the time


class Grading:
    """Verdicts of (task, text) pairs, equal pairs graded once. A context manager: no thread outlives it.

    `grade` is called from several threads at once.
    """

    def __init__(self, grade: Grade, threads: int = THREADS) -> None:
        self._grade = grade
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="simko-grading")
        self._verdicts: dict[tuple[str, str], Future[Verdict]] = {}

    def __enter__(self) -> Grading:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, task: Task, text: str) -> None:
        """Queue a text, unless an equal one of the task is queued."""
        if (task.id, text) not in self._verdicts:
            self._verdicts[task.id, text] = self._pool.submit(self._grade, text, task)

    def verdict(self, task: Task, text: str) -> Verdict:
        """The verdict on a text; raises what the grader raised on it."""
        self.submit(task, text)
        return self._verdicts[task.id, text].result()


def decode(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    n: int,
    sampling: Sampling,
    seeds: Sequence[int],
    budgets: Sequence[int],
    on_finish: Callable[[int, Generation], None],
) -> None:
    """Call `on_finish(row, generation)` once for each of the `len(prompts) * n` rows, prompt-major.

    At once where the engine hands sequences over as they end, after the last one where its `generate` has no `on_finish`.
    """
    parameters = inspect.signature(engine.generate).parameters
    handed: set[int] = set()

    def hand_over(row: int, generation: Generation) -> None:
        handed.add(row)
        on_finish(row, generation)

    options: dict[str, Any] = {"on_finish": hand_over} if "on_finish" in parameters else {}
    groups = engine.generate(prompts, n, sampling, seeds, budgets, **options)
    for row, generation in enumerate(generation for group in groups for generation in group):
        if row not in handed:
            on_finish(row, generation)
