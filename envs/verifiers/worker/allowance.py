"""How long comparing one response in a worker may take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from simko.envs.verifiers.worker.pool import CPU_SECONDS

_seconds: ContextVar[float] = ContextVar("seconds", default=CPU_SECONDS)


class Allowance:
    """What one response may still take of the workers' CPU time, in seconds, whatever it is compared with."""

    def __init__(self) -> None:
        self.left = _seconds.get()


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Inside `with`, in this thread or task, a response may take `seconds` of the workers' CPU time; none at all: `timeout`."""
    token = _seconds.set(seconds)
    try:
        yield
    finally:
        _seconds.reset(token)
