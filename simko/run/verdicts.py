"""The verdict journal: every verdict of a run on disk, so that a resumed run hears the same ones.

A verifier's time-out may fall otherwise the second time. So each verdict is appended to `verdicts/<step>.jsonl` before it is
used, and a step that is run again after a kill takes it from there. A line is a JSON object and its checksum; a line cut
short by a kill, or damaged, is left out: that answer is graded again. What the grading took is not in it: equal runs have
equal journals.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from operator import itemgetter
from pathlib import Path
from typing import Any

from simko.envs.verifiers import to_verdict
from simko.envs.watched import judge
from simko.files import append, write_atomically
from simko.run.faults import Faults
from simko.types import Task, Verdict

_SYNC_SECONDS = 1.0
_Key = tuple[str, str]


class VerdictJournal:
    """One run's verdicts, those of one step at a time. `grading(grade)` may be called from several threads at once."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        self._folder, self._faults = folder, faults
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._known: dict[_Key, tuple[Verdict, str | None]] = {}
        self._synced = 0.0

    def begin(self, step: int) -> None:
        """Turn to a step, with what an earlier process noted of it. Raises `OSError`."""
        self.end()
        with self._lock:
            self._path = self._folder / f"{step:06d}.jsonl"
            self._known = {}
            if self._path.exists():
                data = self._path.read_bytes()
                lines = [
                    line for line in data.splitlines(keepends=True) if (found := _read(line)) and self._take(found)
                ]
                if b"".join(lines) != data:
                    write_atomically(self._path, b"".join(lines))

    def end(self) -> None:
        """The step is over: its verdicts are on the disk, in an order that tells nothing of timing. Raises `OSError`."""
        with self._lock:
            path, self._path = self._path, None
            if path is not None and self._known:
                write_atomically(
                    path, b"".join(_line(key, *found) for key, found in sorted(self._known.items(), key=itemgetter(0)))
                )

    def grading(self, grade: Callable[[str, Task], Any]) -> Callable[[str, Task], Verdict]:
        """`grade` with the journal before it: what it raises, or returns that is no verdict, is an `error` and counted.

        Outside a step nothing is noted. What is returned raises `OSError` where the journal cannot be written.
        """

        def graded(text: str, task: Task) -> Verdict:
            key = (task.id, blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest())
            with self._lock:
                found = self._known.get(key) if self._path else None
            found = found or self._note(key, *judge(grade, text, task))
            verdict, fault = found
            if fault:
                self._faults.count(fault)
            return verdict

        return graded

    def _note(self, key: _Key, verdict: Verdict, fault: str | None) -> tuple[Verdict, str | None]:
        with self._lock:
            if self._path is None:
                return verdict, fault
            if key not in self._known:  # another thread may have been faster: the first verdict stands
                now = time.monotonic()
                durable = now - self._synced > _SYNC_SECONDS
                append(self._path, _line(key, verdict, fault), durable)
                self._synced = now if durable else self._synced
                self._known[key] = (verdict, fault)
            return self._known[key]

    def _take(self, entry: tuple[_Key, Verdict, str | None]) -> bool:
        key, verdict, fault = entry
        if key in self._known:
            return False
        self._known[key] = (verdict, fault)
        return True


def _line(key: _Key, verdict: Verdict, fault: str | None) -> bytes:
    entry = [*key, verdict.outcome, verdict.reward, verdict.extracted, fault]
    text = json.dumps(entry, allow_nan=False)
    return f"{text}\t{_mark(text)}\n".encode()


def _read(line: bytes) -> tuple[_Key, Verdict, str | None] | None:
    """The entry of a line; None where it is not what was written."""
    try:
        text, mark = line.decode().rstrip("\n").split("\t")
        if not line.endswith(b"\n") or mark != _mark(text):
            return None
        task, answer, outcome, reward, extracted, fault = json.loads(text)
        verdict = to_verdict(Verdict(outcome, reward, extracted))
        sound = isinstance(task, str) and isinstance(answer, str) and isinstance(fault, str | None)
        return ((task, answer), verdict, fault) if sound and verdict.outcome == outcome else None
    except (ValueError, TypeError, RecursionError):  # the checksum is no proof of who wrote it
        return None


def _mark(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()
