"""One worker process as its parent sees it: a socket, a question with a limit, and the kill."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

WALL_FACTOR = 10.0  # wall-clock limit in CPU limits, for a worker that is stopped or does not get the processor
_POLL = 0.02
MAX_REPLY = 1 << 26  # bytes
_LOOK = 0.25  # seconds between looks at a worker that is coming up


class LostError(Exception):
    """The worker is gone: killed, out of memory, or it cannot be started."""


class Worker:
    """One worker process at the other end of `channel`. One thread at a time uses it; it is killed when garbage-collected."""

    _channel: socket.socket | None = None  # class attributes, since a caller may be interrupted inside `__init__`
    _handle: int | None = None

    def __init__(self, channel: socket.socket) -> None:
        self._pending = b""
        self._owner = os.getpid()
        self.pid: int | None = None
        """Its process id; None until it has sent it."""
        self.asked = 0
        """How many questions it was asked."""
        self._channel = channel

    def meet(self, limit: float, hopeless: Callable[[], bool] = lambda: False) -> None:
        """Wait until it has come up, for at most `limit` seconds, or until `hopeless` returns True.

        Raises `LostError` if it does not come up.
        """
        until = time.monotonic() + limit
        while self.pid is None:
            left = until - time.monotonic()
            if left <= 0 or hopeless():
                raise LostError
            if (line := self._read(_LOOK, min(left, _LOOK))) is None:
                continue
            self.pid = int(parsed(line)["pid"])
            if hasattr(os, "pidfd_open"):
                with contextlib.suppress(OSError):
                    self._handle = os.pidfd_open(
                        self.pid
                    )  # a process id may be somebody else's by the time of the kill

    def ask(self, request: dict[str, Any], limit: float) -> tuple[dict[str, Any] | None, float]:
        """The reply and the CPU seconds it took; the reply is None if the limit was reached first.

        Raises `LostError` if the worker is gone.
        """
        self.asked += 1
        begun = self._cpu_seconds()
        try:
            assert self._channel is not None
            self._channel.sendall(json.dumps(request).encode() + b"\n")
        except OSError as lost:
            raise LostError from lost
        line = self._read(limit, limit * WALL_FACTOR)
        if line is None:
            return None, limit
        now = self._cpu_seconds()
        used = 0.0 if now is None or begun is None else now - begun
        return parsed(line), used

    def is_open(self) -> bool:
        """Whether an idle worker is still at the other end: there is nothing to read, not even an end of file."""
        if self._channel is None:
            return False
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        return not poll.poll(0)

    def end(self, kill: bool = True) -> None:
        """Close the socket, which ends an idle worker. `kill` also ends a busy one, if this process made it."""
        channel, self._channel = self._channel, None
        handle, self._handle = self._handle, None
        if channel is None:
            return
        with contextlib.suppress(OSError):
            if not kill or os.getpid() != self._owner:
                pass
            elif handle is not None:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            elif self.pid is not None:
                os.kill(self.pid, signal.SIGKILL)
        if handle is not None:
            os.close(handle)
        channel.close()

    def __del__(self) -> None:
        self.end()

    def _read(self, cpu_limit: float, wall_limit: float) -> bytes | None:
        """The next line; None once a limit is reached. Raises `LostError` if the worker is gone."""
        assert self._channel is not None
        begun, cpu_begun = time.monotonic(), self._cpu_seconds()
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        wait = cpu_limit
        while b"\n" not in self._pending:
            if poll.poll(1000 * min(_POLL, max(wait, 0.001))):
                try:
                    chunk = self._channel.recv(65536)
                except OSError as lost:
                    raise LostError from lost
                if not chunk:
                    raise LostError
                self._pending += chunk
                if len(self._pending) > MAX_REPLY:
                    raise LostError
                continue
            elapsed, now = time.monotonic() - begun, self._cpu_seconds()
            used = elapsed if now is None or cpu_begun is None else now - cpu_begun
            if used > cpu_limit or elapsed > wall_limit:
                return None
            wait = cpu_limit - used
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _cpu_seconds(self) -> float | None:
        """CPU time of the worker; None on a platform that does not tell it (wall-clock time is the limit there)."""
        if self.pid is None or not sys.platform.startswith("linux"):
            return None
        try:
            return time.clock_gettime((~self.pid << 3) | 2)  # the kernel's number for the CPU clock of a process
        except OSError:
            return None


def parsed(line: bytes) -> dict[str, Any]:
    """A reply. Raises `ValueError` unless it is a JSON object."""
    reply = json.loads(line)
    if not isinstance(reply, dict):
        raise ValueError("a reply is a JSON object")
    return reply
