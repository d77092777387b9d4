"""Problems of your own: JSON lines of `{"problem": ..., "answer": ...}`. `id`, `level` and `system` are optional.

The problem may be a chat (`simko.envs.data.chat`), also in the columns `prompt`, `messages` or `conversations`. The answer
may be where verl has it, in `reward_model.ground_truth`. `system` is a system message.

`data` is a file or a folder:
  - The rows of a file (`.jsonl`, `.jsonl.gz`, `.json`, `.parquet`) are split by the content of the problem: one in five
    is for evaluation. `split="all"` takes every row.
  - A folder has `train.jsonl` and `eval.jsonl`, or with other endings. They are the splits and may not share a problem.

A bad row is refused with file, line and field: it has no problem or answer, an id that occurred before, broken JSON or a
broken encoding. An environment also refuses an answer that its verifier does not verify against itself. With
`source_options={"keep_good_rows": True}` such rows are left out instead, and listed in `left_out`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from simko.envs.data.chat import CHAT_COLUMNS, asked
from simko.envs.data.loading import ENDINGS, dig, present, read_table
from simko.envs.data.rows import RowSource, Sieve, text_of
from simko.envs.split import is_eval, normalise
from simko.errors import UserError, nearest
from simko.types import Task

FIELDS = ("problem", "answer", "id", "level", "extra")
ANSWER_FIELDS = ("answer", "reward_model.ground_truth")
"""The second is verl's."""
SPLITS = ("train", "eval", "all")
MAX_ANSWER = 100_000  # characters: a longer text is the wrong column, not a gold answer

Placed = tuple[Task, str]  # a task and its "file:line"


class JSONL(RowSource):
    """The rows of a JSON-lines file.

    Raises `UserError` for a bad row (with file, line and field), for a split or level without rows, and for a problem
    that is in both files of a folder.
    """

    kind = "jsonl"
    holds = "problem and answer"
    row = '{"problem": ..., "answer": ...}'
    """What a row looks like, for messages."""

    @staticmethod
    def to_task(row: dict[str, Any], path: Path, number: int) -> Task:
        """One row as a task. Raises `UserError` with file, line and field."""
        return _task(row, path, number)

    def __init__(
        self,
        split: str = "train",
        level: int | str | None = None,
        data: str | Path | None = None,
        keep_good_rows: bool = False,
    ) -> None:
        if split not in SPLITS:
            raise UserError(f"{self.kind}: split is '{split}'; use 'train', 'eval' or 'all'")
        if data is None:
            raise UserError(
                f"{self.kind}: no data; give data=<a .jsonl file of {self.holds}> (--data on the command line)"
            )
        path, sieve = Path(data).expanduser(), Sieve(keep_good_rows)
        read = partial(read_tasks, sieve=sieve, to_task=self.to_task, form=self.row)
        if path.is_dir():
            rows = _from_folder(path, split, read)
        else:
            placed = read(path)
            rows = [row for row in placed if split == "all" or is_eval(row[0].problem) == (split == "eval")]
            if not rows:
                mend = "use split 'all', or a folder with train.jsonl and eval.jsonl"
                raise UserError(f"{path}: no row falls into split '{split}'; {mend}")
        if level is not None:
            levels = sorted({task.level for task, _ in rows})
            rows = [row for row in rows if row[0].level == str(level)]
            if not rows:
                has = f"there are: {', '.join(levels)}" if any(levels) else "its rows have no level: leave level out"
                raise UserError(f"{path}: no row of split '{split}' has level {level}; {has}")
        super().__init__(self.kind, split, [task for task, _ in rows], [place for _, place in rows], sieve)


def read_tasks(
    path: Path, sieve: Sieve, to_task: Callable[[dict[str, Any], Path, int], Task], form: str
) -> list[Placed]:
    """Every row of a file as a task with its place. Raises `UserError` for a bad row and for a file without rows."""
    tasks: list[Placed] = []
    lines: dict[str, str] = {}
    for number, row in read_table(path, sieve):
        place = f"{path}:{number}"
        try:
            task = to_task(row, path, number)
            if task.id in lines:
                raise UserError(
                    f"{place}: the id '{task.id}' occurs twice (first in {lines[task.id]}); ids must be unique"
                )
        except UserError as error:
            sieve.refuse(str(error))
            continue
        lines[task.id] = place
        tasks.append((task, place))
    if not tasks:
        left = f" ({len(sieve.bad)} bad ones left out)" if sieve.bad else ""
        raise UserError(f"{path}: no rows{left}; write one {form} a line")
    return tasks


def _task(row: dict[str, Any], path: Path, number: int) -> Task:
    def pick(fields: tuple[str, ...], read: Callable[[Any], Any]) -> Any:
        field = present(row, fields)
        if field is None:
            name = fields[0]
            hint = (
                nearest(name, [k for k in row if k not in FIELDS]) or f" (it has: {', '.join(map(str, row)) or 'none'})"
            )
            raise UserError(f"{path}:{number}: no field '{name}'{hint}; each row needs problem and answer")
        value = dig(row, field)
        place = f"{path}:{number}: field '{field}' is {repr(value)[:60]}"
        try:
            result = read(value)
        except ValueError as error:
            raise UserError(f"{place}: {error}") from error
        if result is None:
            raise UserError(f"{place}; it must be text (or a number) and not blank")
        return result

    problem, system = pick(("problem", *CHAT_COLUMNS), lambda value: asked(value, row))
    answer = pick(ANSWER_FIELDS, text_of)
    labels = {}
    for field, default in (("id", f"{path.name.split('.')[0]}/{number}"), ("level", "")):
        text = default if row.get(field) in (None, "") else text_of(row[field])
        if text is None:
            raise UserError(f"{path}:{number}: field '{field}' is {repr(row[field])[:60]}; it must be text or a number")
        labels[field] = text
    extra = row.get("extra")
    if extra is not None and not isinstance(extra, dict):
        raise UserError(f"{path}:{number}: field 'extra' is {repr(extra)[:60]}; it must be an object")
    if len(answer) > MAX_ANSWER:
        raise UserError(
            f"{path}:{number}: field 'answer' is {answer[:40]!r}... of {len(answer)} characters; "
            f"no answer has more than {MAX_ANSWER}"
        )
    return Task(labels["id"], problem, answer, labels["level"], extra or {}, system)


def _from_folder(folder: Path, split: str, read: Callable[[Path], list[Placed]]) -> list[Placed]:
    parts: dict[str, list[Placed]] = {}
    for part in ("train", "eval"):
        files = [f for ending in ENDINGS if (f := folder / f"{part}{ending}").is_file()]
        if len(files) != 1:
            what = "has none" if not files else f"has {', '.join(f.name for f in files)}"
            raise UserError(
                f"{folder}: needs {part}.jsonl (or {', '.join(ENDINGS)}), and {what}; or give a single file"
            )
        parts[part] = read(files[0])
    held_out = {normalise(task.problem): task.id for task, _ in parts["eval"]}
    for task, _ in parts["train"]:
        if normalise(task.problem) in held_out:
            other = held_out[normalise(task.problem)]
            raise UserError(f"{folder}: the problem '{task.id}' of train is also '{other}' of eval; take it out of one")
    return [*parts["train"], *parts["eval"]] if split == "all" else parts[split]
