"""A foreign process that answers lines of JSON over its pipes: started late, asked by one thread at a time, ended with ours.

A request has a limit of wall-clock seconds, after which the process is killed, and the next request starts it again. After
`MAX_DEATHS` deaths without an answer between them nobody is asked any more. The process ends with ours, also when ours is
killed: its input closes. What it starts is in its own group of processes, which is killed with it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
import weakref
from typing import Any

from simko.console import note_once
from simko.envs.foreign.plain import ForeignError, parsed

MAX_DEATHS = 5
MAX_LATE = 20
"""Late replies in a row, after which nobody is asked any more: a hard answer is late once, and not always."""
MAX_LINE = 1 << 26  # bytes
_LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV")


class LateError(Exception):
    """No reply in time."""


class Peer:
    """The process that `command` starts. `about` is its first line, and `name` is what a person is told.

    It may be used from any thread. A forked copy of our process starts one of its own.
    """

    def __init__(self, name: str, command: list[str], about: dict[str, Any], start_seconds: float) -> None:
        self._name, self._command, self._about, self._start_seconds = name, command, about, start_seconds
        self._begin()
        _peers.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._pending = bytearray()
        self.deaths = self.late = 0
        """How often in a row it has ended before it replied, and how often it was late."""

    def start(self) -> dict[str, Any]:
        """Its reply to the first line; the process runs then. Raises as `ask` does."""
        with self._lock:
            self._end()
            return self._started()

    def forgive(self) -> None:
        """Forget how often it ended: somebody opens it anew, and may have mended it."""
        self.deaths = self.late = 0

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The reply to a request.

        Raises:
            LateError: there was none in `seconds`; the process is ended.
            ForeignError: the process ended, or replied with something else.
        """
        if self._owner != os.getpid():
            self._begin()
        with self._lock:
            if self._process is None or _has_ended(self._process):
                self._started()
            return self._exchange(request, seconds)

    def end(self) -> None:
        """End the process, also while a thread waits for its reply. The next request starts it again."""
        process = self._process
        if self._owner != os.getpid() or process is None:
            return
        _kill(process)
        if self._lock.acquire(timeout=1.0):  # the thread that waited has seen the end
            try:
                self._end()
            finally:
                self._lock.release()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be ending
            self.end()

    def _started(self) -> dict[str, Any]:
        if self.deaths >= MAX_DEATHS or self.late >= MAX_LATE:
            what = f"ended {self.deaths} times" if self.deaths >= MAX_DEATHS else f"was late {self.late} times"
            note_once(f"{self._name}: its process {what} in a row; answers are masked from here on")
            raise ForeignError(f"its process {what} in a row")
        self._end()
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={key: value for key, value in os.environ.items() if key not in _LEFT_OUT},
                start_new_session=True,  # Ctrl-C at the terminal is for us
            )
        except OSError as error:
            self.deaths += 1
            raise ForeignError(f"its process does not start ({error.strerror})") from error
        assert self._process.stdin is not None
        self._pending = bytearray()
        os.set_blocking(self._process.stdin.fileno(), False)
        before = self.deaths, self.late
        reply = self._exchange(self._about, self._start_seconds)
        self.deaths, self.late = before  # it is only after an answer that it counts as sound
        return reply

    def _exchange(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        deaths, late = self.deaths + 1, self.late
        try:
            self._write(json.dumps(request).encode() + b"\n", until)
            reply = parsed(self._line(until))
        except LateError:
            deaths, late = self.deaths, self.late + 1
            raise
        else:
            deaths = late = 0
            return reply
        finally:
            self.deaths, self.late = deaths, late
            if deaths or late:
                self._end()

    def _write(self, data: bytes, until: float) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        while data:
            if not select.select([], [pipe], [], max(0.0, until - time.monotonic()))[1]:
                raise LateError
            try:
                data = data[os.write(pipe, data) :]
            except OSError as error:
                raise ForeignError("its process ended") from error

    def _line(self, until: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        end = self._pending.find(b"\n")
        while end < 0:
            if not select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
                raise LateError
            chunk = os.read(pipe, 65536)
            if not chunk:
                raise ForeignError("its process ended")
            size = len(self._pending)
            self._pending += chunk
            if len(self._pending) > MAX_LINE:
                raise ForeignError(f"it sent a line of over {MAX_LINE} bytes")
            end = self._pending.find(b"\n", size)
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        return line

    def _end(self) -> None:
        process, self._process, self._pending = self._process, None, bytearray()
        if process is None:
            return
        _kill(process)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if process.returncode is None:  # nobody has waited for it, so the number is still its own and its group's
            os.killpg(process.pid, signal.SIGKILL)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended. It is not waited for: its group is still to be killed."""
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # it has been waited for
        return True


_peers: weakref.WeakSet[Peer] = weakref.WeakSet()


@atexit.register
def end_all() -> None:
    """End every process that is left."""
    for peer in list(_peers):
        peer.end()
