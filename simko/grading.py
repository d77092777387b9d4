"""Grading in a few threads while other answers are still decoded. No result depends on timing.

engine ends a sequence -> episode takes it -> done? its text is queued -> ... -> verdicts are read in the answers' order

A verifier of the user's own may never return, and a thread cannot be ended. After `NAMED_SECONDS` without any verdict its task
is named; after `HUNG_SECONDS` the run stops with that name. The threads are daemons, so a signal still ends the process.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as finished
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol

from simko.errors import UserError
from simko.types import Engine, Generation, Sampling, Task, Verdict

Grade = Callable[[str, Task], Verdict]


THREADS = 4  # they wait for the verifiers' workers most of the time
NAMED_SECONDS, HUNG_SECONDS = 30, 300


class Environment(Protocol):
    """What a rollout needs of an environment; `simko.envs.TokenEnv` has it."""

    stop: tuple[str, ...]
    stop_ids: frozenset[int]
    max_new_tokens: int

    def begin(self, task: Task) -> Any:
        """A fresh `Episode` of the task."""

    def grade(self, text: str, task: Task) -> Verdict:
        """The verdict on an answer's text."""


class Grading:
    """Verdicts of (task, text) pairs; equal pairs are graded once. `grade` is called from several threads at once.

    A context manager: its threads end with it. Only a grade that never returns outlives it, and only after an exception.
    """

    def __init__(self, grade: Grade, threads: int = THREADS) -> None:
        self._grade = grade
        self._queue: SimpleQueue[tuple[Task, str, Future[Verdict]] | None] = SimpleQueue()
        self._verdicts: dict[tuple[str, str], Future[Verdict]] = {}
        self._under_way: dict[int, Task] = {}
        self._done = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"simko-grading-{i}", daemon=True) for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Grading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            for future in self._verdicts.values():
                future.cancel()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(None if error is None else 0.2)

    def submit(self, task: Task, text: str) -> None:
        """Queue a text, unless an equal one of the task is queued."""
        if (task.id, text) not in self._verdicts:
            future: Future[Verdict] = Future()
            self._verdicts[task.id, text] = future
            self._queue.put((task, text, future))

    def verdict(self, task: Task, text: str) -> Verdict:
        """The verdict on a text. Raises the grader's own exception, or `UserError` if no grade has returned for too long."""
        self.submit(task, text)
        future, before, waited = self._verdicts[task.id, text], self._done, 0
        while (
            not future.done() and not finished([future], 1.0).done
        ):  # seconds are counted, so that a process that was stopped loses none
            before, waited = self._done, (waited + 1 if self._done == before else 0)
            if waited == NAMED_SECONDS:
                print(f"simko: {self._stuck(waited)}; still waiting (Ctrl-C ends the run)", file=sys.stderr)
            if waited >= HUNG_SECONDS:
                raise UserError(
                    f"{self._stuck(waited)}; give that verifier a limit of its own, then go on with --resume"
                )
        return future.result()

    def _stuck(self, seconds: int) -> str:
        oldest = next(iter(self._under_way.copy().values()), None)
        which = "" if oldest is None else f" of task '{oldest.id}'"
        return f"the environment's grade{which} has not returned for {seconds} s"

    def _work(self) -> None:
        me = threading.get_ident()
        while (item := self._queue.get()) is not None:
            task, text, future = item
            if not future.set_running_or_notify_cancel():
                continue
            self._under_way[me] = task
            try:
                verdict = self._grade(text, task)
            except BaseException as error:  # it is raised where the verdict is asked for
                future.set_exception(error)
            else:
                future.set_result(verdict)
            del self._under_way[me]
            self._done += 1


def holding(engine: Engine) -> AbstractContextManager[None]:
    """A context in which an engine that can decodes all turns with one copy of the weights; another engine is as before."""
    hold: Callable[[], AbstractContextManager[None]] = getattr(engine, "hold", nullcontext)
    return hold()


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

    An engine whose `generate` takes `on_finish` hands each sequence over as it ends; another engine, all after the last one.
    """
    parameters = inspect.signature(engine.generate).parameters
    finished_rows: set[int] = set()

    def hand_over(row: int, generation: Generation) -> None:
        finished_rows.add(row)
        on_finish(row, generation)

    options: dict[str, Any] = {"on_finish": hand_over} if "on_finish" in parameters else {}
    groups = engine.generate(prompts, n, sampling, seeds, budgets, **options)
    for row, generation in enumerate(generation for group in groups for generation in group):
        if row not in finished_rows:
            on_finish(row, generation)
