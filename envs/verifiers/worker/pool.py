"""The parent's side of the workers: how many there are, which one is asked, and when one is killed.

Nothing starts before the first question (or `start`). Then a fork server (`worker.py`) imports sympy once. Every worker is
a copy of it, made in milliseconds, so a killed worker has a successor before the next question comes. The limit is the
worker's own CPU time: a busy machine does not turn right answers into timeouts. Wall-clock time is the backstop. The only
signal is the kill, so this works from any thread and leaves the caller's alarm alone.

Any number of threads may ask at once, and `workers` of them are served at a time. If all workers are busy for `PATIENCE`
seconds, the question gets one more worker, which stays: one slow answer delays nobody else.
A caller may be interrupted anywhere, by Ctrl-C or by its own alarm. A worker that is then garbage-collected is killed and
no longer counted. A forked copy of the process gets its own workers.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from simko.envs.verifiers.worker.channel import LostError, Worker
from simko.envs.verifiers.worker.fork_server import PACKAGES, ForkServer
from simko.errors import UserError

Answer = Literal["equal", "different", "timeout", "error"]
CPU_SECONDS = 0.8
MAX_SECONDS = 3_600.0
START_SECONDS = 120.0  # wall clock, for importing sympy on a busy machine
FORK_SECONDS = 10.0  # the same, for a worker of a server that has imported it
PATIENCE = 0.05
RECYCLED_AFTER = 2_000  # questions: a worker that has had so many is replaced
MAX_WORKERS = 64
REMEMBERED = 4_096  # answers
REFUSED = (LostError, OSError, ValueError, TypeError, MemoryError, RuntimeError)
"""Errors that mean no worker or no reply. An interpreter that is ending raises `RuntimeError`."""


class Pool:
    """Worker processes that compare admitted texts. Safe to use from any number of threads.

    `script` is the fork server, which runs in the interpreter `python` (None: this one's) and finds `packages` where this
    process would. `counts` holds the numbers of questions with `timeout`, `error` and `execution`.
    """

    def __init__(
        self,
        workers: int = 1,
        script: Path | None = None,
        python: str | None = None,
        packages: tuple[str, ...] = PACKAGES,
    ) -> None:
        self.workers = workers
        self.script = script or Path(__file__).absolute().with_name("worker.py")
        self.python = python
        self.packages = packages
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        self.starts = 0
        """How many workers were made so far."""
        self.counts: Counter[str] = Counter()
        self.executions: list[str] = []
        """The first hundred attempts of answers to make a worker do something other than arithmetic."""
        self._answers: OrderedDict[tuple[str, str, int | None], tuple[Answer, float]] = OrderedDict()
        self._lock = threading.Condition()
        self._starting = threading.RLock()  # held while sockets are made, so that no fork copies them half way
        self._idle: list[Worker] = []
        self._busy: weakref.WeakSet[Worker] = weakref.WeakSet()
        self._server = ForkServer(self.script, self.python, self.packages)

    def ask(
        self, gold: str, answer: str, digits: int | None = None, limit: float = CPU_SECONDS
    ) -> tuple[Answer, float]:
        """The remembered reply to the same question, else `compare`. An `error` is not remembered."""
        question = gold, answer, digits
        with self._lock:
            reply, allowed = self._answers.get(question, ("error", 0.0))
            if question in self._answers and (reply != "timeout" or allowed >= limit):
                self._answers.move_to_end(question)
                return reply, 0.0
        reply, used = self.compare(gold, answer, digits, limit)
        if reply != "error":
            with self._lock:
                self._answers[question] = reply, limit
                if len(self._answers) > REMEMBERED:
                    self._answers.popitem(last=False)
        return reply, used

    def compare(
        self, gold: str, answer: str, digits: int | None = None, limit: float = CPU_SECONDS
    ) -> tuple[Answer, float]:
        """Whether the two admitted texts are equal, and the CPU seconds it took the worker. Never raises.

        `limit` is in seconds of the worker's CPU time, at most `MAX_SECONDS`. A limit of 0, or one that is not a number,
        gives `timeout`. `digits`: see `comparison.compare`.
        """
        limit = _seconds(limit)
        if limit <= 0:
            return self._counted("timeout"), 0.0
        request = {"gold": gold, "answer": answer, "digits": digits, "seconds": limit}
        try:
            reply, used = self.converse([(request, limit)], lambda reply: isinstance(reply.get("equal"), bool))
        except REFUSED:
            return self._counted("error"), 0.0
        if reply is None:
            return self._counted("timeout"), used
        equal = reply.get("equal")
        return ("equal" if equal else "different") if isinstance(equal, bool) else self._counted("error"), used

    def converse(
        self, requests: Sequence[tuple[dict[str, Any], float]], sound: Callable[[dict[str, Any]], bool]
    ) -> tuple[dict[str, Any] | None, float]:
        """What one worker replies to the last of `requests`, each with its CPU seconds, and the CPU seconds of that one.

        The first reply that is not `sound` is the last one, and ends the worker. None: the time was up, and the worker is
        killed. Raises one of `REFUSED` if no worker comes up, or it is lost.
        """
        worker = self._met()
        reply: dict[str, Any] | None = None
        used = 0.0
        try:
            for request, limit in requests:
                reply = None
                reply, used = worker.ask(request, limit)
                if reply is None or not sound(reply):
                    break
        finally:
            self._give_back(worker, sound=reply is not None and sound(reply))
        if reply is not None and "forbidden" in reply:
            self.counts["execution"] += 1
            self.executions = [*self.executions, str(reply["forbidden"])][:100]
        return reply, used

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that are idle and have been asked before."""
        with self._lock:
            return [worker.pid for worker in self._idle if worker.pid is not None]

    @property
    def alive(self) -> int:
        """How many workers there are, busy or not."""
        return len(self._idle) + len(self._busy)

    def start(self) -> None:
        """Start the fork server and the workers without waiting for them. The first question then waits less."""
        with contextlib.suppress(*REFUSED), self._lock:
            while self.alive < self.workers:
                self._idle.append(self._fork())

    def close(self) -> None:
        """End the fork server and its workers. A question in progress gives `error`; the next one starts them again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()
        with self._starting:
            self._server.end()

    def forget(self) -> None:
        """Begin anew in a forked copy of the process. Nothing is ended, since the parent goes on using it."""
        for worker in [*self._idle, *self._busy]:
            worker.end(kill=False)
        self._server.forget()
        self._begin()  # the old locks may be held by a thread that does not exist here

    def _counted(self, what: Answer) -> Answer:
        self.counts[what] += 1
        return what

    def _met(self) -> Worker:
        """A worker that has come up. If one is lost before its first question, a second one is tried.

        Raises `LostError`, or `OSError` if the fork server does not start.
        """
        for attempt in (1, 2):
            worker = self._take()
            server, met = self._server, False
            try:
                worker.meet(FORK_SECONDS if server.is_warm else START_SECONDS, hopeless=server.is_stopped)
                met = server.is_warm = True
                return worker
            except LostError:
                if server.is_stopped():
                    with self._starting:
                        server.end()
                if attempt == 2:
                    raise
            finally:
                if not met:
                    self._give_back(worker, sound=False)
        raise AssertionError("unreachable")

    def _take(self) -> Worker:
        """An idle worker, or a new one, or after `PATIENCE` seconds one more."""
        with self._lock:
            allowed = self.workers
            while True:
                if len(self._busy) < allowed:
                    while self._idle:
                        worker = self._idle.pop()
                        if worker.pid is None or worker.is_open():
                            self._busy.add(worker)
                            return worker
                        worker.end()
                    worker = self._fork()
                    self._busy.add(worker)
                    return worker
                if not self._lock.wait(PATIENCE):
                    allowed = self.workers + 1

    def _give_back(self, worker: Worker, sound: bool) -> None:
        keep = sound and worker.asked < RECYCLED_AFTER
        with self._lock:
            self._busy.discard(worker)
            if keep:
                self._idle.append(worker)
            elif worker.pid is not None and self.alive < self.workers and self._server.pid is not None:
                with contextlib.suppress(*REFUSED):
                    self._idle.insert(0, self._fork())  # comes up while nobody waits for it
            self._lock.notify()
        if not keep:
            worker.end()

    def _fork(self) -> Worker:
        """A new worker, which may still be coming up. Raises `OSError` if the fork server does not start."""
        with self._starting:
            worker = self._server.fork()
            self.starts += 1
            return worker


def _seconds(limit: Any) -> float:
    """The limit, cut to 0 to `MAX_SECONDS`; 0 for anything that is not a number."""
    try:
        seconds = float(limit)
    except OverflowError:
        return MAX_SECONDS if limit > 0 else 0.0
    except (TypeError, ValueError):
        return 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), MAX_SECONDS)


def configure(workers: int) -> None:
    """Set how many workers the process has at most. Raises `UserError` unless that is 1 to `MAX_WORKERS`."""
    if not isinstance(workers, int) or not 1 <= workers <= MAX_WORKERS:
        raise UserError(f"verifier workers: {workers!r}; give a whole number from 1 to {MAX_WORKERS}")
    shared.workers = workers


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_held = threading.local()


def _before_fork() -> None:
    _held.locks = [lock for lock in [pool._starting for pool in list(_pools)] if lock.acquire(timeout=FORK_SECONDS)]


def _after_fork_in_parent() -> None:
    for lock in _held.__dict__.pop("locks", ()):
        lock.release()


def _after_fork_in_child() -> None:
    _held.__dict__.clear()
    for pool in list(_pools):
        pool.forget()


shared = Pool()
"""The workers of this process."""

atexit.register(lambda: shared.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
