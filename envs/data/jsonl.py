"""Problems of your own: rows of `{"problem": ..., "answer": ...}`. `id`, `level` and `system` are optional.

The problem may be a chat (`simko.envs.data.chat`), also in the columns `prompt`, `messages` or `conversations`. The answer
may be where verl has it, in `reward_model.ground_truth`; it may be a list of accepted answers (`simko.envs.verifiers.several`).
`system` is a system message. `columns` names other columns (`simko.envs.data.columns`).

`data` is a file, a folder or a data set of the Hub:
  - The rows of a file (`.jsonl`, `.jsonl.gz`, `.json`, `.parquet`, `.csv`, `.tsv`) are split by the content of the problem: one
    in five is for evaluation. `split="all"` takes every row.
  - A folder has `train.jsonl` and `eval.jsonl`, or with other endings. They are the splits and may not share a problem.
  - `ORG/NAME` or `ORG/NAME:CONFIG`, where no such path exists, is a data set of the Hub (`simko.envs.data.hub_rows`).

A bad row is refused with file, line and field: it has no problem or answer, an id that occurred before, broken JSON or a
broken encoding. An environment also refuses an answer that its verifier does not verify against itself. With
`source_options={"keep_good_rows": True}` such rows are left out instead, and listed in `left_out`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from simko.envs.data.chat import CHAT_COLUMNS, asked
from simko.envs.data.columns import Columns
from simko.envs.data.golds import pack
from simko.envs.data.hub_rows import hub_parts, is_hub_id
from simko.envs.data.loading import ENDINGS, Row, dig, present, read_table
from simko.envs.data.rows import RowSource, Sieve, boxed, text_of
from simko.envs.split import is_eval, normalise
from simko.envs.verifiers.several import MAX_ACCEPTED, TAKE_SEVERAL, accepted_answers
from simko.errors import UserError, nearest
from simko.types import Task

FIELDS = ("problem", "answer", "id", "level", "extra")
ANSWER_FIELDS = ("answer", "reward_model.ground_truth")
"""The second is verl's."""
SPLITS = ("train", "eval", "all")
MAX_ANSWER = 100_000  # characters: a longer text is the wrong column, not a gold answer

Placed = tuple[Task, str]  # a task and its "file:line"
ToTask = Callable[[Row, str, str, Columns], Task]


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
    def to_task(row: Row, place: str, name: str, columns: Columns) -> Task:
        """The task of a row at `place` (file:line); `name` is its id where the row has none. Raises `UserError`."""
        return _task(row, place, name, columns)

    def __init__(
        self,
        split: str = "train",
        level: int | str | None = None,
        data: str | Path | None = None,
        keep_good_rows: bool = False,
        columns: str | Mapping[str, str] | None = None,
    ) -> None:
        if split not in SPLITS:
            raise UserError(f"{self.kind}: split is '{split}'; use 'train', 'eval' or 'all'")
        if data is None:
            raise UserError(
                f"{self.kind}: no data; give data=<a .jsonl file of {self.holds}> (--data on the command line)"
            )
        shared: list[str] = []
        path, sieve, names = Path(data).expanduser(), Sieve(keep_good_rows), Columns.read(columns)

        def read(where: Path | str, rows: Iterable[tuple[int, Row]]) -> list[Placed]:
            return _tasks(where, rows, sieve, names, self.to_task, self.row)

        def read_file(file: Path) -> list[Placed]:
            return read(file, read_table(file, sieve))

        if path.is_dir():
            rows = _from_folder(path, split, read_file)
        elif is_hub_id(str(data)):
            rows, shared = _from_hub(str(data), split, read)
        else:
            rows = _by_content(path, read_file(path), split)
        if level is not None:
            levels = sorted({task.level for task, _ in rows})
            rows = [row for row in rows if row[0].level == str(level)]
            if not rows:
                has = f"there are: {', '.join(levels)}" if any(levels) else "its rows have no level: leave level out"
                raise UserError(f"{path}: no row of split '{split}' has level {level}; {has}")
        super().__init__(self.kind, split, [task for task, _ in rows], [place for _, place in rows], sieve)
        if shared:
            self.notes.append(
                f"{len(shared)} problems of the train part are in the test part, too, and are left out of training; the first: "
                f"{shared[0]}"
            )

    def check_golds(self, verifier: str, grade: Callable[[str, str], Any]) -> None:
        """See `RowSource.check_golds`. A list of answers is refused where the verifier takes one gold answer."""
        if verifier.split(":")[0] not in TAKE_SEVERAL:
            good = []
            for task in self._tasks:
                if len(accepted_answers(task.gold)) == 1:
                    good.append(task)
                else:
                    mend = f"give one, or take one of: {', '.join(TAKE_SEVERAL)}"
                    self._sieve.refuse(
                        f"{self._places[task.id]}: field 'answer' is a list, and '{verifier}' takes one answer; {mend}"
                    )
            if not good:
                raise UserError(f"{self.name}: every answer is a list, and '{verifier}' takes one answer; {mend}")
            self._set(good)
        super().check_golds(verifier, grade)

    def answer(self, task: Task) -> str:
        """The first of the accepted answers, as a response."""
        return boxed(accepted_answers(task.gold)[0])

    def golds(self, task: Task) -> list[tuple[str, str]]:
        """Each accepted answer, as a response and as a gold."""
        return [(boxed(answer), answer) for answer in accepted_answers(task.gold)]


def _tasks(
    path: Path | str, rows: Iterable[tuple[int, Row]], sieve: Sieve, columns: Columns, to_task: ToTask, form: str
) -> list[Placed]:
    """Every row as a task with its place. Raises `UserError` for a bad row, and for a file without rows."""
    tasks: list[Placed] = []
    lines: dict[str, str] = {}
    stem = Path(path).name.split(".")[0]
    for number, row in rows:
        place = f"{path}:{number}"
        try:
            task = to_task(columns.apply(row, place), place, f"{stem}/{number}", columns)
            if task.id in lines:
                raise UserError(
                    f"{place}: the id '{task.id}' occurs twice (first in {lines[task.id]}); give each row its own"
                )
        except UserError as error:
            sieve.refuse(str(error))
            continue
        lines[task.id] = place
        tasks.append((task, place))
    if not tasks:
        left = f" ({len(sieve.bad)} bad ones left out, the first: {sieve.bad[0]})" if sieve.bad else ""
        raise UserError(f"{path}: no rows{left}; write one {form} a line")
    return tasks


def _task(row: Row, at: str, name: str, columns: Columns) -> Task:
    """The task of a row at the place `at`; `name` is its id where the row has none."""

    def pick(fields: tuple[str, ...], read: Callable[[Any], Any]) -> Any:
        field = present(row, fields)
        if field is None:
            missing = fields[0]
            hint = nearest(missing, [k for k in row if k not in FIELDS])
            hint = hint or f" (it has: {', '.join(map(str, row)) or 'none'})"
            mend = f"each row needs problem and answer, or name the column: --columns {missing}=COLUMN"
            raise UserError(f"{at}: no field '{missing}'{hint}; {mend}")
        value = dig(row, field)
        place = f"{at}: field '{columns.shown(field)}' is {repr(value)[:60]}"
        try:
            result = read(value)
        except ValueError as error:
            raise UserError(f"{place}: {error}") from error
        if result is None:
            raise UserError(f"{place}; it must be text (or a number) and not blank")
        return result

    problem, system = pick(("problem", *CHAT_COLUMNS), lambda value: asked(value, row))
    answer = pick(ANSWER_FIELDS, _gold)
    labels = {}
    for field, default in (("id", name), ("level", "")):
        text = default if row.get(field) in (None, "") else text_of(row[field])
        if text is None:
            raise UserError(
                f"{at}: field '{columns.shown(field)}' is {repr(row[field])[:60]}; it must be text or a number"
            )
        labels[field] = text
    extra = row.get("extra")
    if extra is not None and not isinstance(extra, dict):
        raise UserError(f"{at}: field 'extra' is {repr(extra)[:60]}; it must be an object")
    if len(answer) > MAX_ANSWER:
        raise UserError(
            f"{at}: field '{columns.shown('answer')}' is {answer[:40]!r}... of {len(answer)} characters; "
            f"shorten it to {MAX_ANSWER}"
        )
    return Task(labels["id"], problem, answer, labels["level"], extra or {}, system)


def _gold(value: Any) -> str | None:
    """The gold answer: a text, a number, or a list of accepted answers. None if it is neither, or an answer is blank."""
    if not isinstance(value, list | tuple):
        return text_of(value)
    texts = [text_of(item) for item in value]
    answers = list(dict.fromkeys(text for text in texts if text is not None))
    if not answers or None in texts:
        raise ValueError("a list of accepted answers must hold texts or numbers, none of them blank")
    if len(answers) > MAX_ACCEPTED:
        raise ValueError(f"it lists {len(answers)} accepted answers; give at most {MAX_ACCEPTED}")
    return pack(answers[0], answers[1:])


def _by_content(path: Path | str, placed: list[Placed], split: str) -> list[Placed]:
    """The rows of a split: one problem in five is for evaluation."""
    rows = [row for row in placed if split == "all" or is_eval(row[0].problem) == (split == "eval")]
    if not rows:
        mend = "use split 'all', or a folder with train.jsonl and eval.jsonl"
        raise UserError(f"{path}: no row falls into split '{split}'; {mend}")
    return rows


def _from_hub(
    name: str, split: str, read: Callable[[str, Iterable[tuple[int, Row]]], list[Placed]]
) -> tuple[list[Placed], list[str]]:
    """The rows of a data set of the Hub, and the places of those that are left out.

    Its train and test parts are the splits. A problem of both is left to the test part.
    """
    placed = {part: read(f"{name}/{part}", enumerate(rows, 1)) for part, rows in hub_parts(name).items()}
    if len(placed) == 1:
        return _by_content(name, next(iter(placed.values())), split), []
    train, held_out = placed["train"], placed["eval"]
    asked_there = {normalise(task.problem) for task, _ in held_out}
    apart = [row for row in train if normalise(row[0].problem) not in asked_there]
    shared = [place for task, place in train if normalise(task.problem) in asked_there]
    if split == "train" and not apart:
        raise UserError(f"{name}: every problem of its train part is in its test part, too; give a file of one of them")
    return {"all": [*apart, *held_out], "train": apart, "eval": held_out}[split], shared


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
