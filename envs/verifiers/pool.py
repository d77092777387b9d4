"""The parent's side of the worker: start it, ask it, end it when it takes too long.

One worker for the process, started at the first question and kept. The limit is the worker's own CPU time, so that a busy
machine does not turn right answers into timeouts; wall-clock time is the backstop. No signal is used: this works from any
thread, and leaves the caller's alarm alone.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

Answer = Literal["equal", "different", "timeout", "error"]
CPU_SECONDS = 1.0
WALL_FACTOR = 10.0  # the backstop, in CPU limits: for a worker that does not get the processor, or sleeps
START_SECONDS = 120.0  # wall clock, for importing sympy on a busy machine
_POLL = 0.02


class Worker:
    """A child process that compares two admitted texts. Safe to use from several threads, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._pending = b""
        self.starts = 0
        """How many child processes there have been."""

    @property
    def pid(self) -> int | None:
        """The child's process id; None where none runs."""
        process = self._process
        return process.pid if process and process.poll() is None and self._owner == os.getpid() else None

    def compare(
        self, gold: str, answer: str, digits: int | None = None, limit: float = CPU_SECONDS
    ) -> tuple[Answer, float]:
        """Whether the two admitted texts are equal, and the CPU seconds it took the worker. Never raises.

        `limit` is in seconds of the worker's CPU time. `digits`: see `worker.compare`.
        """
        with self._lock:
            try:
                process = self._ready()
                if process is None:
                    return "error", 0.0
                assert process.stdin is not None
                request = json.dumps({"gold": gold, "answer": answer, "digits": digits})
                process.stdin.write(request.encode() + b"\n")
                process.stdin.flush()
                begun = _cpu_seconds(process.pid)
                line = self._read(process, limit, limit * WALL_FACTOR)
                if line is None:
                    self._end()
                    return "timeout", limit
                used = (_cpu_seconds(process.pid) or 0.0) - (begun or 0.0)
                return "equal" if json.loads(line)["equal"] is True else "different", used
            except (OSError, ValueError, KeyError, TypeError):  # it died: killed, out of memory, or cannot be started
                self._end()
                return "error", 0.0

    def close(self) -> None:
        """End the child process, if one runs."""
        with self._lock:
            self._end()

    def _ready(self) -> subprocess.Popen[bytes] | None:
        """The running child, started where there is none; None where it does not come up."""
        if self._process is not None and (self._process.poll() is not None or self._owner != os.getpid()):
            self._end()
        if self._process is None:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__).with_name("worker.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # Ctrl-C at the terminal is for the parent
            )
            self._owner = os.getpid()
            self._pending = b""
            self.starts += 1
            line = self._read(self._process, START_SECONDS, START_SECONDS)
            if line is None or not json.loads(line).get("ready"):
                self._end()
        return self._process

    def _read(self, process: subprocess.Popen[bytes], cpu_limit: float, wall_limit: float) -> bytes | None:
        """The next line; None once a limit is reached. Raises `OSError` where the child is gone."""
        assert process.stdout is not None
        begun, cpu_begun = time.monotonic(), _cpu_seconds(process.pid)
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                if selector.select(_POLL):
                    chunk = os.read(process.stdout.fileno(), 65536)
                    if not chunk:
                        raise OSError("the worker ended")
                    self._pending += chunk
                    continue
                elapsed, now = time.monotonic() - begun, _cpu_seconds(process.pid)
                used = elapsed if now is None or cpu_begun is None else now - cpu_begun
                if used > cpu_limit or elapsed > wall_limit:
                    return None
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if self._owner == os.getpid():  # after a fork the child process is the parent's, not ours to kill
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._owner == os.getpid():
            process.wait()
        else:
            process.returncode = 0  # not our child: nothing to wait for


def _cpu_seconds(pid: int) -> float | None:
    """CPU time of another process; None where the platform does not tell (then wall-clock time is the limit)."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the kernel's number for the CPU clock of `pid`
    except OSError:
        return None


shared = Worker()
"""The worker of this process."""


def _after_fork() -> None:
    global shared
    old, shared = shared, Worker()  # the old one's lock may be held by a thread that does not exist here
    old._end()


atexit.register(lambda: shared.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
