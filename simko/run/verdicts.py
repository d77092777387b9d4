"""The verdict journal: every verdict of a run on disk, so that a resumed run gets the same ones.

A verifier may run out of time once and not the second time. So each verdict is appended to `verdicts/<step>.jsonl` before it
is used, and a step that is run again after a kill reads it from there. A line is a JSON list and its checksum. Where a reward
has parts, they stand last in the list. A line that is damaged, or was cut short by a kill, is left out: that answer is graded
again. The journal does not hold how long grading took, so equal runs have equal journals.

Of several ranks, the main one has the files. What each rank graded in a rollout goes to all others along with its answers, and
into the journal, before anything uses it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from operator import itemgetter
from pathlib import Path
from typing import Any

from simko import ranks
from simko.envs.verifiers import to_verdict
from simko.envs.watched import judge
from simko.files import append, write_atomically
from simko.reward_parts import NO_PARTS
from simko.run.faults import Faults
from simko.types import Task, Verdict

_SYNC_SECONDS = 1.0  # at most this much grading is lost in a power cut; a kill loses none
_Key = tuple[str, str]  # task id, hash of the answer
_Entry = tuple[Verdict, str | None]  # and the kind of fault, if there was one


class VerdictJournal:
    """One run's verdicts, a step at a time. What `grading` returns may be called from several threads at once."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        self._folder, self._faults = folder, faults
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._entries: dict[_Key, _Entry] = {}
        self._fresh: dict[_Key, _Entry] = {}  # what this rank graded, and has not told the others
        self._fresh_faults: Counter[str] = Counter()
        self._synced = 0.0
        self._main = ranks.world().main
        if not ranks.world().alone:
            ranks.world().luggage = self

    def begin(self, step: int) -> None:
        """Turn to a step, and read what an earlier process wrote of it. Raises `OSError`."""
        self.end()
        path = self._folder / f"{step:06d}.jsonl"
        with self._lock:
            self._path, self._entries = path, {}
            for line in ranks.of_main(lambda: self._stored(path)):
                self._take(line.encode())

    def end(self) -> None:
        """The step is over: write its verdicts in an order that does not depend on timing. Raises `OSError`."""
        with self._lock:
            path, self._path = self._path, None
            self._fresh, self._fresh_faults = {}, Counter()
            if path is not None and self._entries and self._main:
                entries = sorted(self._entries.items(), key=itemgetter(0))
                write_atomically(path, b"".join(_line(key, *entry) for key, entry in entries))

    def grading(self, grade: Callable[[str, Task], Any]) -> Callable[[str, Task], Verdict]:
        """Wrap `grade`: answers in the journal are not graded again.

        A grade that raises, or returns something that is not a verdict, becomes an `error` and is counted. Outside a step
        nothing is written. The wrapped function raises `OSError` if the journal cannot be written.
        """

        def graded(text: str, task: Task) -> Verdict:
            key = (task.id, blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest())
            with self._lock:
                entry = self._entries.get(key) if self._path else None
            if entry is None:
                entry = self._add(key, judge(grade, text, task))
            verdict, fault = entry
            if fault:
                self._faults.count(fault)
                with self._lock:
                    self._fresh_faults[fault] += 1
            return verdict

        return graded

    def outgoing(self) -> Any:
        """Lines that this rank has to tell, and how many faults of each kind."""
        with self._lock:
            lines = [_line(key, *entry).decode() for key, entry in self._fresh.items()]
            faults, self._fresh, self._fresh_faults = dict(self._fresh_faults), {}, Counter()
        return [lines, faults]

    def incoming(self, every: list[Any]) -> None:
        """Take in what every rank had to tell. Where two graded one answer, the lower rank's verdict stands."""
        told: dict[_Key, _Entry] = {}
        for rank, (lines, faults) in enumerate(every):
            told = dict(filter(None, map(_read, map(str.encode, lines)))) | told
            if rank != ranks.world().rank:
                for kind, count in faults.items():
                    self._faults.add(kind, count)
        with self._lock:
            lines = [_line(key, *entry) for key, entry in told.items() if key not in self._entries]
            if lines and self._path and self._main:
                append(self._path, b"".join(lines), durable=False)
            self._entries |= told

    def _add(self, key: _Key, entry: _Entry) -> _Entry:
        """Write an entry unless there is one, and return the one that counts."""
        with self._lock:
            if self._path is None:
                return entry
            if key not in self._entries:  # another thread may have been faster: the first verdict stands
                if self._main:
                    now = time.monotonic()
                    durable = now - self._synced > _SYNC_SECONDS
                    append(self._path, _line(key, *entry), durable)
                    self._synced = now if durable else self._synced
                self._entries[key] = self._fresh[key] = entry
            return self._entries[key]

    def _stored(self, path: Path) -> list[str]:
        """The lines of a step that are intact; the file loses the others."""
        data = path.read_bytes() if path.exists() else b""
        intact = [line for line in data.splitlines(keepends=True) if self._take(line)]
        if b"".join(intact) != data:
            write_atomically(path, b"".join(intact))
        return [line.decode() for line in intact]

    def _take(self, line: bytes) -> bool:
        """Remember what a line says. False if it is damaged, or says what another line has said."""
        content = _read(line)
        if content is None or content[0] in self._entries:
            return False
        self._entries[content[0]] = content[1]
        return True


def _line(key: _Key, verdict: Verdict, fault: str | None) -> bytes:
    content = [*key, verdict.outcome, verdict.reward, verdict.extracted, fault]
    text = json.dumps([*content, dict(verdict.parts)] if verdict.parts else content, allow_nan=False)
    return f"{text}\t{_mark(text)}\n".encode()


def _read(line: bytes) -> tuple[_Key, _Entry] | None:
    """The key and entry of a line, or None if the line is not what `_line` wrote."""
    try:
        text, mark = line.decode().rstrip("\n").split("\t")
        if not line.endswith(b"\n") or mark != _mark(text):
            return None
        task, answer, outcome, reward, extracted, fault, *parts = json.loads(text)
        if len(parts) > 1 or not all(isinstance(named, dict) and named for named in parts):
            return None
        verdict = to_verdict(Verdict(outcome, reward, extracted, parts=parts[0] if parts else NO_PARTS))
        sound = isinstance(task, str) and isinstance(answer, str) and isinstance(fault, str | None)
        return ((task, answer), (verdict, fault)) if sound and verdict.outcome == outcome else None
    except (ValueError, TypeError, RecursionError):  # the checksum does not prove who wrote it
        return None


def _mark(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()
