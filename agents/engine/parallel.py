"""Jobs side by side in threads, for calls that wait for another machine. Results come as they are ready."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

from simko.errors import UserError

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_parallel(
    jobs: Sequence[Job], work: Callable[[Job], Result], threads: int, patience: float, stuck: str
) -> Generator[tuple[Job, Result], None, None]:
    """Yield (job, result) as they end, in any order. The first exception of a job ends all.

    The threads are daemons: one that waits for a dead machine does not hold up the end of the process. A caller that stops early
    must close the iterator (`contextlib.closing`), so that no further job begins.

    Raises:
        UserError: no job has ended for `patience` seconds; the line is `stuck`. Seconds are counted, so that a process that was
            stopped loses none.
    """
    waiting = deque(jobs)
    done: SimpleQueue[tuple[Job, Result | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        while True:
            try:
                job = waiting.popleft()
            except IndexError:
                return
            try:
                done.put((job, work(job), None))
            except BaseException as error:  # it is raised where the result is asked for
                done.put((job, None, error))
                return

    crew = [
        threading.Thread(target=run, name=f"simko-engine-{i}", daemon=True) for i in range(min(threads, len(waiting)))
    ]
    for thread in crew:
        thread.start()
    try:
        for _ in jobs:
            job, result, error = _next(done, patience, stuck)
            if error is not None:
                raise error
            yield job, result  # type: ignore[misc]  # without an error there is a result
        for thread in crew:  # each has put its last result
            thread.join()
    finally:
        waiting.clear()


def _next(
    done: SimpleQueue[tuple[Job, Result | None, BaseException | None]], patience: float, stuck: str
) -> tuple[Job, Result | None, BaseException | None]:
    waited = 0
    while True:
        try:
            return done.get(timeout=1.0)
        except Empty:
            waited += 1
            if waited >= patience:
                raise UserError(stuck) from None
