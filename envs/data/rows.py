"""The base class of task sources that read rows. It also reads JSON lines, and decides what happens to a bad row."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simko.envs.data.readable import main_answer, no_value
from simko.envs.prompts import PromptFormat
from simko.envs.split import normalise
from simko.envs.verifiers.reading.brackets import deepest
from simko.errors import TooFewTasksError, UserError, nearest
from simko.types import Task

_OTHER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)  # that of UTF-32 LE begins as UTF-16 LE
MAX_LINE = 10_000_000  # bytes: a file with a longer line is the wrong file
ANSWERS = ("math", "math_row", "numeric", "exact", "choice")
"""Verifiers with which a gold answer must verify against itself. (The gold of a puzzle is not a response.)"""
MATHS = ("math", "math_row")
"""Verifiers whose gold answers must read as a value. `numeric` and `choice` verify nothing else against itself."""


class Pair(NamedTuple):
    """A response whose verdict is known without the verifier. `simko env audit` grades these.

    A `TaskSource` may have `pairs()`, which yields any number of them. `kind` says in a few words where the response
    comes from. `reason` says why the verifier may disagree, if that is known.
    """

    task: Task
    response: str
    correct: bool
    kind: str
    reason: str = ""


@dataclass
class Sieve:
    """Decides about a bad row: it is refused, or with `keep_good` it is left out and its message is put in `bad`."""

    keep_good: bool = False
    bad: list[str] = field(default_factory=list)

    def refuse(self, message: str) -> None:
        """Raise `UserError` with the message, or note that the row is left out."""
        if not self.keep_good:
            raise UserError(f"{message} (--keep-good-rows leaves such rows out)")
        self.bad.append(message)


class RowSource:
    """A finite source: the tasks of one split, in file order. Raises `UserError` if two tasks have the same id.

    `places` holds the `file:line` of each task. `left_out` holds a line for each row that is not among the tasks, with
    the reason. `notes` holds what else a person should know about the rows.
    """

    def __init__(
        self, name: str, split: str, tasks: Sequence[Task], places: Sequence[str] = (), sieve: Sieve | None = None
    ) -> None:
        self.name = name
        self.split = split
        self._sieve = sieve or Sieve()
        self.notes: list[str] = []
        self._places: dict[str, str] = {}
        good: list[Task] = []
        for task, place in zip(tasks, places or [name] * len(tasks), strict=True):
            if task.id in self._places:
                other = self._places[task.id]
                beside = f" (first in {other})" if other != name else ""
                self._sieve.refuse(f"{place}: the id '{task.id}' occurs twice{beside}; ids must be unique")
                continue
            self._places[task.id] = place
            good.append(task)
        self._set(good)

    def _set(self, tasks: Sequence[Task]) -> None:
        self._tasks = tuple(tasks)
        self.size: int | None = len(tasks)
        self._index = {task.id: i for i, task in enumerate(tasks)}

    @property
    def bad_rows(self) -> tuple[str, ...]:
        """Bad rows that were left out (`keep_good_rows`), a line each."""
        return tuple(self._sieve.bad)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Every row that is not among the tasks, a line each."""
        return self.bad_rows

    def check_golds(self, verifier: str, grade: Callable[[str, str], Any]) -> None:
        """Grade every gold answer against itself, if `verifier` is one of `ANSWERS`; of `MATHS` each must read as a value.

        Raises `UserError` with the place of the first one that is not correct; with `keep_good` leaves such rows out.
        Problems that have several gold answers are counted in `notes`.
        """
        if verifier.split(":")[0] in ANSWERS:
            self._refuse_golds(verifier, grade)
        told = several_golds(
            self.name, self._tasks, verifier, lambda task, other: grade(self.answer(other), task.gold).correct
        )
        if told and told not in self.notes:
            self.notes.append(told)

    def _refuse_golds(self, verifier: str, grade: Callable[[str, str], Any]) -> None:
        good = []
        for task in self._tasks:
            for answer, gold in self.golds(task):
                if reason := why_no_gold(answer, gold, verifier, grade):
                    self._sieve.refuse(f"{self._places[task.id]}: field 'answer' is {gold[:60]!r}, which {reason}")
                    break
            else:
                good.append(task)
        if len(good) < len(self._tasks):
            if not good:
                raise UserError(f"{self.name}: no row has an answer that '{verifier}' verifies; take another verifier")
            self._set(good)

    def check_prompts(
        self,
        tokens: Callable[[Task], int],
        limit: int,
        format: PromptFormat | None = None,
        context: int | None = None,
        budget: int = 1,
    ) -> None:
        """Refuse a task whose prompt cannot be made or is too long, with its place; with `keep_good` leave it out.

        `tokens` counts the tokens of a task's prompt, which may be `limit` and must leave one of the model's `context` for an
        answer. Where it leaves less than `budget`, a note says so. A token is at least a byte, so short problems need no count.
        """
        most = limit if context is None else min(limit, context - 1)
        roomy = most if context is None else min(most, context - budget)
        around, spread = tokens(Task("", " ", "")) + 8, 1 if format is None else format.tokens_a_byte
        good, tight = [], []
        for task in self._tasks:
            system = task.system or ""
            try:
                if format is not None:
                    format.check(task.problem, task.system)
                count = (
                    4 * spread * len(task.problem + system) + around
                )  # an upper bound: a character has at most four bytes
                if count > roomy:
                    count = spread * len((task.problem + system).encode()) + around
                if count > roomy:
                    count = tokens(task)
            except UserError as error:
                self._sieve.refuse(f"{self._places[task.id]}: {error}")
                continue
            if count > most:
                why = f"max_prompt_tokens is {limit}; shorten it, or raise --max-prompt-tokens"
                if most < limit:
                    why = f"the model takes {context}, prompt and answer together; shorten it, or take another --model"
                self._sieve.refuse(
                    f"{self._places[task.id]}: field 'problem' makes a prompt of {count} tokens ({task.problem[:40]!r}...), "
                    f"and {why}"
                )
                continue
            good.append(task)
            if count > roomy and context is not None:
                tight.append((self._places[task.id], context - count))
        if tight:
            place, left = tight[0]
            self.notes.append(
                f"{len(tight)} prompts leave less than max_new_tokens {budget} of the model's {context} tokens, and their "
                f"answers are cut off there; the first: {place} leaves {left}"
            )
        if len(good) < len(self._tasks):
            if not good:
                raise UserError(f"{self.name}: no prompt has {most} tokens or less; raise --max-prompt-tokens")
            self._set(good)

    def draw(self, rng: np.random.Generator) -> Task:
        """One task, uniformly at random."""
        return self._tasks[int(rng.integers(len(self._tasks)))]

    def get(self, task_id: str) -> Task:
        """The task with that id. Raises `UserError` for an unknown id."""
        if task_id not in self._index:
            mend = (
                nearest(task_id, self._index) or f"; give one of its {len(self._tasks)} ids, as '{self._tasks[0].id}'"
            )
            raise UserError(f"{self.name}: no task '{task_id[:80]}' in split '{self.split}'{mend}")
        return self._tasks[self._index[task_id]]

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        """A seeded choice of `count` tasks. With None, all of them in file order.

        Raises `TooFewTasksError` if there are fewer.
        """
        if count is None:
            return list(self._tasks)
        if count > len(self._tasks):
            raise TooFewTasksError(
                f"{self.name}: split '{self.split}' has {len(self._tasks)} tasks, {count} asked for; ask for fewer",
                len(self._tasks),
            )
        chosen = np.random.default_rng(seed).permutation(len(self._tasks))[:count]
        return [self._tasks[int(i)] for i in chosen]

    def answer(self, task: Task) -> str:
        r"""The gold answer in a `\boxed{}`, or on a final-answer line where its braces do not balance."""
        return boxed(task.gold)

    def golds(self, task: Task) -> list[tuple[str, str]]:
        """What must verify: each gold answer of a task, as a response and as a gold."""
        return [(self.answer(task), task.gold)]


def boxed(answer: str) -> str:
    r"""`answer` in a `\boxed{}`, or on a final-answer line where its braces do not balance."""
    return f"Answer: {answer}" if deepest(answer) is None else f"\\boxed{{{answer}}}"


@lru_cache(maxsize=1 << 16)
def why_no_gold(answer: str, gold: str, verifier: str, grade: Callable[[str, str], Any]) -> str | None:
    """Why no response can be correct with this gold answer, and the mend; None if it is well. `answer` is it as a response.

    Whole numbers are well; they are not graded.
    """
    if gold.isascii() and gold.isdigit() and len(gold) < 100 and verifier != "choice":
        return None
    if not grade(answer, gold).correct:
        return f"'{verifier}' does not verify against itself; correct it, or take another verifier"
    base = verifier.split(":")[0]
    return no_value(main_answer(gold) if base == "math_row" else gold) if base in MATHS else None


def several_golds(name: str, tasks: Sequence[Task], verifier: str, solves: Callable[[Task, Task], bool]) -> str | None:
    """How many problems have gold answers that differ, and the first of them; None if there is none.

    `solves(task, other)` tells whether the gold answer of `other` is correct on `task`. It is asked for verifiers of
    `ANSWERS`, which may read two texts as one answer. Problems that differ in spacing, case or Unicode form
    are one problem; those with different system messages are not.
    """
    by_value = verifier.split(":")[0] in ANSWERS

    def same(task: Task, other: Task) -> bool:
        return task.gold.split() == other.gold.split() or (by_value and solves(task, other))

    by_problem: dict[tuple[str, str | None], list[Task]] = {}
    for task in tasks:
        by_problem.setdefault((normalise(task.problem).casefold(), task.system), []).append(task)
    rows, pairs = 0, []
    for first, *others in by_problem.values():
        if other := next((other for other in others if not same(first, other)), None):
            rows += 1 + len(others)
            pairs.append((first, other))
    if not pairs:
        return None
    (a, b), one = pairs[0], len(pairs) == 1
    shown = f"'{a.id}' ({a.gold[:40]!r}) and '{b.id}' ({b.gold[:40]!r})"
    who = "1 problem has" if one else f"{len(pairs)} problems have"
    return f"{name}: {who} several gold answers ({rows} rows), as {shown}; correct the rows, or leave them out"


def utf8(content: bytes, path: Path) -> str:
    """The text of a file, without its byte order mark.

    Raises `UserError` for UTF-16 and UTF-32, which begin with another mark, and `UnicodeDecodeError` for what is not UTF-8.
    """
    if content.startswith(_OTHER_MARKS):
        raise UserError(f"{path}: it is UTF-16 or UTF-32; save the file as UTF-8")
    return content.decode("utf-8-sig")


def shortest(value: np.integer | np.floating) -> int | float:
    """A number of numpy as Python's, with the fewest digits that make it in its own width: float32 0.1 is 0.1."""
    return int(value) if isinstance(value, np.integer) else float(str(value))


def read_jsonl(path: Path, sieve: Sieve | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each line of a `.jsonl` or `.jsonl.gz` file. Blank lines are skipped.

    Raises `UserError` with the file's name if it cannot be read. A line that is not a JSON object, or not UTF-8, goes to
    `sieve` with file and line; by default it is refused.
    """
    sieve = sieve or Sieve()
    opened = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opened(path, "rb") as lines:
            while line := lines.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise UserError(f"{path}:{number}: the line is longer than {MAX_LINE} bytes; is this JSON lines?")
                row = _parse(line, path, number, sieve)
                if row is not None:
                    yield number, row
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: cannot be read ({reason}); give a .jsonl or .jsonl.gz file that exists") from error


def _parse(line: bytes, path: Path, number: int, sieve: Sieve) -> dict[str, Any] | None:
    try:
        text = utf8(line, path) if number == 1 else line.decode("utf-8")
        if not text.strip():
            return None
        row = json.loads(text, object_pairs_hook=once)
    except UnicodeDecodeError as error:
        sieve.refuse(f"{path}:{number}: not UTF-8 ({error.reason}); save the file as UTF-8")
        return None
    except FieldTwiceError as error:
        sieve.refuse(f"{path}:{number}: field '{str(error)[:60]}' occurs twice; leave one out")
        return None
    except (ValueError, RecursionError) as error:
        sieve.refuse(f"{path}:{number}: {why_no_json(error)}")
        return None
    if not isinstance(row, dict):
        mend = 'write {"problem": ..., "answer": ...}'
        sieve.refuse(f"{path}:{number}: the row is of type {type(row).__name__}, not an object; {mend}")
        return None
    return row


class FieldTwiceError(Exception):
    """A field stands twice in an object. The message is its name."""


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON (`object_pairs_hook`). Raises `FieldTwiceError` for a field that stands twice."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise FieldTwiceError(next(name for name in names if names.count(name) > 1))
    return row


def why_no_json(error: ValueError | RecursionError) -> str:
    """Why `json` refused a text, and the mend."""
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON at column {error.colno}; each line must be one JSON object"
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply; each line must be one JSON object"
    return "a whole number has too many digits; write it as text"


def text_of(value: Any) -> str | None:
    """A text, or a finite number as text (`27.0` as `27`, the decimal 1.50 as `1.50`). None for all else and blank text."""
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else None
    if isinstance(value, np.integer | np.floating):
        value = shortest(value)
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
