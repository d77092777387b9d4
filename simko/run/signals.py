"""SIGINT, SIGTERM and SIGHUP become an exception, raised where nothing is half done. A second SIGINT leaves at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from simko import ranks

TERMINATING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
STOPPING = (signal.SIGINT, *TERMINATING)
INTERRUPTED = 128 + signal.SIGINT
_ONE_KEY = 3.0
"""Seconds in which a rank takes a second SIGINT for the first: a launcher hands on the Ctrl-C that all have got already."""


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop. `code` is the exit code: 128 plus the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class StopSignals:
    """Inside `with`, in the main thread, a signal raises `Stopped`: at once, or at the end of `deferred`.

    In another thread this does nothing, because only the main thread gets signals. The old handlers come back at the end.
    Of several ranks, all stop together: at once where they decode, and elsewhere at their next exchange.

    Attributes:
        requested: the number of the first signal that came, or None.
    """

    def __init__(self, numbers: tuple[int, ...] = STOPPING) -> None:
        self._numbers = numbers
        self._before: dict[int, Any] = {}
        self._deferring = False
        self._first = 0.0
        self._outer: ranks.Signals | None = None
        self.requested: int | None = None

    def __enter__(self) -> StopSignals:
        world = ranks.world()
        if not world.alone:
            self._outer, world.signals = world.signals, self
            if self._outer and self._outer.requested is not None:
                self.requested, self._first = self._outer.requested, time.monotonic()
        if threading.current_thread() is threading.main_thread():
            for number in self._numbers:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if ranks.world().signals is self:
            ranks.world().signals = self._outer
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
        """Raise `Stopped` if a signal has come, to any rank. (One in a destructor, say, raised its exception in vain.)"""
        if not ranks.world().alone:
            ranks.world().exchange()
        elif self.requested is not None:
            raise Stopped(self.requested)

    def pending(self) -> int | None:
        """The signal that waits to be raised, or None."""
        return None if self._deferring else self.requested

    def since(self) -> float | None:
        """Seconds since the first signal, or None."""
        return None if self.requested is None else time.monotonic() - self._first

    def stop(self, number: int) -> NoReturn:
        """Raise `Stopped`, for a signal that came to another rank."""
        if self.requested is None:
            self._first = time.monotonic()  # the Ctrl-C that another rank got first may still come here
        self.requested = number
        raise Stopped(number)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.requested is not None:
            of_one_key = not ranks.world().alone and time.monotonic() - self._first < _ONE_KEY
            if number == signal.SIGINT and not of_one_key:
                os._exit(128 + number)
            return
        self.requested, self._first = number, time.monotonic()
        if not self._deferring and ranks.world().interruptible:
            raise Stopped(number)


def leave_quietly() -> None:
    """From now on a signal ends the process with its exit code and no traceback: while Python loads, or shuts down."""
    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, _frame: os._exit(128 + number))
