"""The base of task sources that read rows from a file, and the reading of JSON lines."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simko.errors import UserError, nearest
from simko.types import Task

MAX_LINE = 10_000_000  # characters: a longer line is not a row of problems but a wrong file


class RowSource:
    """A finite source: the tasks of one split, in file order. Raises `UserError` where two tasks have one id."""

    def __init__(self, name: str, split: str, tasks: Sequence[Task]) -> None:
        self.name = name
        self.split = split
        self.size: int | None = len(tasks)
        self._tasks = tuple(tasks)
        self._index = {task.id: i for i, task in enumerate(tasks)}
        if len(self._index) != len(tasks):
            seen: set[str] = set()
            twice = next(t.id for t in tasks if t.id in seen or seen.add(t.id))  # type: ignore[func-returns-value]
            raise UserError(f"{name}: the id '{twice}' occurs twice; ids must be unique")

    def draw(self, rng: np.random.Generator) -> Task:
        """One task, uniformly at random."""
        return self._tasks[int(rng.integers(len(self._tasks)))]

    def get(self, task_id: str) -> Task:
        """The task of that id; raises `UserError` for an unknown one."""
        if task_id not in self._index:
            mend = nearest(task_id, self._index) or f" ({len(self._tasks)} tasks, the first '{self._tasks[0].id}')"
            raise UserError(f"{self.name}: no task '{task_id[:80]}' in split '{self.split}'{mend}")
        return self._tasks[self._index[task_id]]

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        """A seeded choice of `count` tasks; all of them in file order where `count` is None."""
        if count is None:
            return list(self._tasks)
        if count > len(self._tasks):
            raise UserError(f"{self.name}: split '{self.split}' has {len(self._tasks)} tasks, {count} asked for")
        chosen = np.random.default_rng(seed).permutation(len(self._tasks))[:count]
        return [self._tasks[int(i)] for i in chosen]

    def answer(self, task: Task) -> str:
        r"""The gold answer in a `\boxed{}`, or on a final-answer line where its braces do not balance."""
        depth = 0
        for char in task.gold:
            depth += (char == "{") - (char == "}")
            if depth < 0:
                break
        return f"\\boxed{{{task.gold}}}" if depth == 0 else f"Answer: {task.gold}"


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each line of a `.jsonl` or `.jsonl.gz` file; blank lines are skipped.

    Raises `UserError` for a file that cannot be read and for a line that is no JSON object, with file and line.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="\n") as lines:
            while line := lines.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise UserError(
                        f"{path}:{number}: the line is longer than {MAX_LINE} characters; is this JSON lines?"
                    )
                if line.strip():
                    yield number, _parse(line, path, number)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{number + 1}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: cannot be read ({reason}); give a .jsonl or .jsonl.gz file that exists") from error


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        where = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UserError(f"{path}:{number}: not JSON{where}; each line must be one JSON object") from error
    if not isinstance(row, dict):
        raise UserError(
            f'{path}:{number}: {type(row).__name__}, not an object; write {{"problem": ..., "answer": ...}}'
        )
    return row


def text_of(value: Any) -> str | None:
    """A text or a finite number as text (`27.0` as `27`); None for anything else and for blank text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float):
        if not np.isfinite(value):
            return None
        value = int(value) if value.is_integer() else repr(value)
    try:
        text = str(value)
        text.encode("utf-8")  # a lone surrogate cannot be hashed, tokenised or written
    except ValueError:  # also an integer of too many digits
        return None
    return text if text.strip() else None
