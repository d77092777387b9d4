"""CPU time of a call, for tests of what must stay cheap."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def cpu_seconds(call: Callable[[], object], times: int = 3) -> float:
    """The fastest of `times` calls, by this thread's clock: a collection of garbage in one of them is not the call's."""
    return min(timed(call)[1] for _ in range(times))


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What a call returns, and the CPU seconds that it took this thread."""
    begun = time.thread_time()
    result = call()
    return result, time.thread_time() - begun
