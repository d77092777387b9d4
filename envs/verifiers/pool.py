"""The parent's side of the workers: how many there are, who is asked, and what ends one that takes too long.

Nothing is started before the first question (or `start`). Then a fork server (`worker.py`) imports sympy once, and every
worker is a copy of it, made in milliseconds: one that is killed has a successor before the next question comes. The limit
is the worker's own CPU time, so that a busy machine does not turn right answers into timeouts; wall-clock time is the
backstop. No signal is used but the kill: this works from any thread, and leaves the caller's alarm alone.

Any number of threads may ask at once; `workers` of them are served at a time. A question that finds all of them busy for
`PATIENCE` seconds gets one more, so that one slow answer delays nobody else even with one worker. That one is kept.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any, Literal

from simko.errors import UserError

Answer = Literal["equal", "different", "timeout", "error"]
CPU_SECONDS = 0.8
WALL_FACTOR = 10.0  # the backstop, in CPU limits: for a worker that does not get the processor, or sleeps
START_SECONDS = 120.0  # wall clock, for importing sympy on a busy machine
PATIENCE = 0.05
RECYCLED_AFTER = 2_000  # questions: a worker that has had so many is replaced
MAX_WORKERS = 64
REMEMBERED = 4_096  # answers
_POLL = 0.02
_KEPT = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
)  # of the environment


class _LostError(Exception):
    """The worker is gone: killed, out of memory, or it cannot be started."""


class Worker:
    """One worker process, at the other end of `channel`. Used by one thread at a time."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel: socket.socket | None = channel
        self._pending = b""
        self._handle: int | None = None
        self.pid: int | None = None
        """Its process id; None until it has said so."""
        self.asked = 0
        """How many questions it has had."""

    def ask(self, request: dict[str, Any], limit: float) -> tuple[dict[str, Any] | None, float]:
        """The reply and the CPU seconds it took; None for the reply once the limit is reached.

        Raises `_LostError` where the worker is gone.
        """
        if self.pid is None:
            self._meet()
        self.asked += 1
        begun = self._cpu_seconds()
        try:
            assert self._channel is not None
            self._channel.sendall(json.dumps(request).encode() + b"\n")
        except OSError as lost:
            raise _LostError from lost
        line = self._read(limit, limit * WALL_FACTOR)
        if line is None:
            return None, limit
        now = self._cpu_seconds()
        used = 0.0 if now is None or begun is None else now - begun
        reply = _parsed(line)
        return reply, used

    def end(self, kill: bool = True) -> None:
        """Close the socket, which ends an idle worker; `kill` ends a busy one, too."""
        channel, self._channel = self._channel, None
        handle, self._handle = self._handle, None
        if channel is None:
            return
        with contextlib.suppress(OSError):
            if kill and handle is not None:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            elif kill and self.pid is not None:
                os.kill(self.pid, signal.SIGKILL)
        if handle is not None:
            os.close(handle)
        channel.close()

    def _meet(self) -> None:
        line = self._read(START_SECONDS, START_SECONDS)
        if line is None:
            raise _LostError
        self.pid = int(_parsed(line)["pid"])
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._handle = os.pidfd_open(self.pid)  # a process id may be somebody else's by the time of the kill

    def _read(self, cpu_limit: float, wall_limit: float) -> bytes | None:
        """The next line; None once a limit is reached. Raises `_LostError` where the worker is gone."""
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
                    raise _LostError from lost
                if not chunk:
                    raise _LostError
                self._pending += chunk
                continue
            elapsed, now = time.monotonic() - begun, self._cpu_seconds()
            used = elapsed if now is None or cpu_begun is None else now - cpu_begun
            if used > cpu_limit or elapsed > wall_limit:
                return None
            wait = cpu_limit - used
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _cpu_seconds(self) -> float | None:
        """CPU time of the worker; None where the platform does not tell (then wall-clock time is the limit)."""
        if self.pid is None or not sys.platform.startswith("linux"):
            return None
        try:
            return time.clock_gettime((~self.pid << 3) | 2)  # the kernel's number for the CPU clock of a process
        except OSError:
            return None


class Pool:
    """Worker processes that compare admitted texts. Safe to use from any number of threads.

    `script` is the fork server. `counts` says how many questions met `timeout`, `error` and `execution`.
    """

    def __init__(self, workers: int = 1, script: Path | None = None) -> None:
        self.workers = workers
        self.script = script or Path(__file__).with_name("worker.py")
        self.starts = 0
        """How many workers there have been."""
        self.counts: Counter[str] = Counter()
        self.executions: list[str] = []
        """What answers made a worker try that is not arithmetic: the first hundred."""
        self._answers: OrderedDict[tuple[str, str, int | None], tuple[Answer, float]] = OrderedDict()
        self._lock = threading.Condition()
        self._starting = threading.Lock()
        self._idle: list[Worker] = []
        self._alive = 0
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def ask(
        self, gold: str, answer: str, digits: int | None = None, limit: float = CPU_SECONDS
    ) -> tuple[Answer, float]:
        """`compare`, or what it said of the same texts before, which takes no time. An `error` is not remembered."""
        question = gold, answer, digits
        with self._lock:
            said, within = self._answers.get(question, ("error", 0.0))
            if question in self._answers and (said != "timeout" or within >= limit):
                self._answers.move_to_end(question)
                return said, 0.0
        said, used = self.compare(gold, answer, digits, limit)
        if said != "error":
            with self._lock:
                self._answers[question] = said, limit
                if len(self._answers) > REMEMBERED:
                    self._answers.popitem(last=False)
        return said, used

    def compare(
        self, gold: str, answer: str, digits: int | None = None, limit: float = CPU_SECONDS
    ) -> tuple[Answer, float]:
        """Whether the two admitted texts are equal, and the CPU seconds it took the worker. Never raises.

        `limit` is in seconds of the worker's CPU time. `digits`: see `worker.compare`.
        """
        request = {"gold": gold, "answer": answer, "digits": digits, "seconds": limit}
        try:
            worker = self._take()
        except (OSError, ValueError, _LostError):
            return self._counted("error"), 0.0
        reply: dict[str, Any] | None = None
        try:
            reply, used = worker.ask(request, limit)
        except (OSError, ValueError, KeyError, TypeError, _LostError):
            return self._counted("error"), 0.0
        finally:
            self._give_back(worker, sound=reply is not None and isinstance(reply.get("equal"), bool))
        if reply is None:
            return self._counted("timeout"), used
        if "forbidden" in reply:
            self.counts["execution"] += 1
            self.executions = [*self.executions, str(reply["forbidden"])][:100]
        equal = reply.get("equal")
        return ("equal" if equal else "different") if isinstance(equal, bool) else self._counted("error"), used

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that are idle and have been asked before."""
        with self._lock:
            return [worker.pid for worker in self._idle if worker.pid is not None]

    def start(self) -> None:
        """Start the fork server and the workers, without waiting for them: the first question then waits less."""
        with contextlib.suppress(OSError, ValueError), self._lock:
            while self._alive < self.workers:
                self._idle.append(self._fork())

    def close(self) -> None:
        """End all idle workers and the fork server; a question in progress ends its own worker."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._alive -= len(idle)
        for worker in idle:
            worker.end()
        with self._starting:
            self._end_server()

    def forget(self) -> None:
        """Let go of everything without ending it: for a forked copy of the process, whose parent goes on using it."""
        for worker in self._idle:
            worker.end(kill=False)
        if self._control is not None:
            self._control.close()
        if self._server is not None:
            self._server.returncode = 0  # not our child: nothing to wait for

    def _counted(self, what: Answer) -> Answer:
        self.counts[what] += 1
        return what

    def _take(self) -> Worker:
        """An idle worker, or a new one, or after `PATIENCE` seconds one more."""
        with self._lock:
            allowed = self.workers
            while True:
                if self._alive - len(self._idle) < allowed:
                    while self._idle:
                        worker = self._idle.pop()
                        if worker.pid is None or _is_open(worker):
                            return worker
                        self._alive -= 1
                        worker.end()
                    return self._fork()
                if not self._lock.wait(PATIENCE):
                    allowed = self.workers + 1

    def _give_back(self, worker: Worker, sound: bool) -> None:
        keep = sound and worker.asked < RECYCLED_AFTER
        with self._lock:
            if keep:
                self._idle.append(worker)
            else:
                self._alive -= 1
                if self._alive < self.workers and self._server is not None:
                    with contextlib.suppress(OSError, ValueError):
                        self._idle.insert(0, self._fork())  # comes up while nobody waits for it
            self._lock.notify()
        if not keep:
            worker.end()

    def _fork(self) -> Worker:
        """A new worker, which may still be coming up. Raises `OSError` where the fork server does not start."""
        with self._starting:
            for attempt in (1, 2):
                ours, theirs = socket.socketpair()
                try:
                    socket.send_fds(self._serving(), [b"w"], [theirs.fileno()])
                    break
                except OSError:
                    ours.close()
                    self._end_server()
                    if attempt == 2:
                        raise
                finally:
                    theirs.close()
            self._alive += 1
            self.starts += 1
            return Worker(ours)

    def _serving(self) -> socket.socket:
        """The socket to the running fork server, started where there is none."""
        if self._control is not None and self._server is not None and self._server.poll() is None:
            return self._control
        self._end_server()
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        folders = [os.path.abspath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
        environment |= {"PYTHONPATH": os.pathsep.join(folders)} if folders else {}
        ours, theirs = socket.socketpair()
        try:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-B", "-s", str(self.script)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**environment, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
                cwd=os.path.abspath(os.sep),
                start_new_session=True,  # Ctrl-C at the terminal is for the parent
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._control = ours
        return ours

    def _end_server(self) -> None:
        server, self._server = self._server, None
        control, self._control = self._control, None
        if control is not None:
            control.close()
        if server is not None:
            server.kill()
            server.wait()


def _is_open(worker: Worker) -> bool:
    """Whether an idle worker still is at the other end: nothing is to be read, not even an end."""
    channel = worker._channel
    if channel is None:
        return False
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    return not poll.poll(0)


def _parsed(line: bytes) -> dict[str, Any]:
    reply = json.loads(line)
    if not isinstance(reply, dict):
        raise ValueError("a reply is a JSON object")
    return reply


def configure(workers: int) -> None:
    """How many workers the process has at most. Raises `UserError` where that is no number from 1 to `MAX_WORKERS`."""
    if not isinstance(workers, int) or not 1 <= workers <= MAX_WORKERS:
        raise UserError(f"verifier workers: {workers!r}; give a whole number from 1 to {MAX_WORKERS}")
    shared.workers = workers


shared = Pool()
"""The workers of this process."""


def _after_fork() -> None:
    global shared
    old, shared = shared, Pool(shared.workers)  # the old one's locks may be held by a thread that does not exist here
    old.forget()


atexit.register(lambda: shared.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
