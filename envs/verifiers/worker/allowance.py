"""The CPU time that the workers may take for one response."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from simko.envs.verifiers.worker.pool import CPU_SECONDS

_seconds: ContextVar[float] = ContextVar("seconds", default=CPU_SECONDS)


class Allowance:
    """The CPU seconds that the workers may still take for one response, over all its comparisons."""

    def __init__(self) -> None:
        self.left = _seconds.get()


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Inside `with`, in this thread or task, a response may take `seconds` of CPU time; 0 gives `timeout`."""
    token = _seconds.set(seconds)
    try:
        yield
    finally:
        _seconds.reset(token)
