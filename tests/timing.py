"""CPU time of a call, for tests of what must stay cheap; and waiting, which only a hang makes fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def cpu_seconds(call: Callable[[], object], times: int = 3) -> float:
    """The fastest of `times` calls, by this thread's clock: a collection of garbage in one of them is not the call's."""
    return min(timed(call)[1] for _ in range(times))


HANGS = 300.0
"""Seconds after which something hangs. A busy machine may be slow, so that no test may expect less."""


def wait_until(happened: Callable[[], object]) -> bool:
    """Whether `happened()` becomes true before the end of all patience."""
    until = time.monotonic() + HANGS
    while not (result := bool(happened())) and time.monotonic() < until:
        time.sleep(0.02)
    return result


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What a call returns, and the CPU seconds that it took this thread."""
    begun = time.thread_time()
    result = call()
    return result, time.thread_time() - begun
