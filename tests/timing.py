"""CPU time of a call, for tests of what must stay cheap."""

from __future__ import annotations

import time
from collections.abc import Callable


def cpu_seconds(call: Callable[[], object], times: int = 3) -> float:
    """The fastest of `times` calls, by this thread's clock: a collection of garbage in one of them is not the call's."""
    return min(_once(call) for _ in range(times))


def _once(call: Callable[[], object]) -> float:
    begun = time.thread_time()
    call()
    return time.thread_time() - begun
