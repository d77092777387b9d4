"""SIGINT, SIGTERM and SIGHUP become an exception, raised where nothing is half done. A second SIGINT leaves at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

TERMINATING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
STOPPING = (signal.SIGINT, *TERMINATING)
INTERRUPTED = 128 + signal.SIGINT


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop. `code` is the exit code: 128 plus the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class StopSignals:
    """Inside `with`, in the main thread, a signal raises `Stopped`: at once, or at the end of `deferred`.

    In another thread this does nothing, because only the main thread gets signals. The old handlers come back at the end.

    Attributes:
        requested: the number of the first signal that came, or None.
    """

    def __init__(self, numbers: tuple[int, ...] = STOPPING) -> None:
        self._numbers = numbers
        self._before: dict[int, Any] = {}
        self._deferring = False
        self.requested: int | None = None

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in self._numbers:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a signal waits: `Stopped` is raised at the end."""
        self.check()
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        self.check()

    def check(self) -> None:
        """Raise `Stopped` if a signal has come. (One that came in a destructor, say, raised its exception in vain.)"""
        if self.requested is not None:
            raise Stopped(self.requested)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.requested is not None:
            if number == signal.SIGINT:
                os._exit(128 + number)
            return
        self.requested = number
        if not self._deferring:
            raise Stopped(number)


def leave_quietly() -> None:
    """From now on a signal ends the process with its exit code and no traceback: while Python loads, or shuts down."""
    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, _frame: os._exit(128 + number))
