"""BIG-Bench Hard (Suzgun et al. 2022): 27 tasks with 6511 problems in one environment. `level` is a task's name.

The rows come from `data`, else from the folder `SIMKO_DATA`, else from the Hub (`lukaemon/bbh`, one config per task).
`data` is one of:
  - the normalised file, with the columns `problem`, `answer`, `subject`;
  - the file of one task, named after it, with the Hub's columns `input` and `target`;
  - a file as the authors publish it: `{"examples": [{"input": ..., "target": ...}]}`;
  - a folder with such files.

Evaluation only: the authors ask that this benchmark never appear in training corpora.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from simko.envs.data.chat import CHAT_COLUMNS, Asked, asked
from simko.envs.data.loading import DATA_VARIABLE, ENDINGS, Row, read_hub, read_table
from simko.envs.data.rows import Pair, RowSource, Sieve, boxed, text_of, utf8
from simko.errors import UserError, nearest
from simko.types import Task

HUB = "lukaemon/bbh"
FILE = "bbh"
ROWS = {"causal_judgement": 187, "penguins_in_a_table": 146, "snarks": 178}
"""How many rows were published of each task that does not have 250."""
_NAMES = """
boolean_expressions causal_judgement date_understanding disambiguation_qa dyck_languages formal_fallacies geometric_shapes
hyperbaton logical_deduction_five_objects logical_deduction_seven_objects logical_deduction_three_objects
movie_recommendation multistep_arithmetic_two navigate object_counting penguins_in_a_table
reasoning_about_colored_objects ruin_names salient_translation_error_detection snarks sports_understanding
temporal_sequences tracking_shuffled_objects_five_objects tracking_shuffled_objects_seven_objects
tracking_shuffled_objects_three_objects web_of_lies word_sorting
"""
TASKS = tuple(_NAMES.split())


class BBH(RowSource):
    """The rows of all tasks in the data, or of the task named by `level`.

    Raises `UserError` for split `train`, for an unknown task, for a row that cannot be read, and if there is no data.
    """

    def __init__(
        self,
        split: str = "eval",
        level: str | None = None,
        data: str | Path | None = None,
        keep_good_rows: bool = False,
    ) -> None:
        if split == "train":
            raise UserError(
                "bbh: no split 'train': its authors ask that it never appear in training corpora; "
                "use split 'eval' (or 'all', which takes the same rows)"
            )
        if split not in ("eval", "all"):
            raise UserError(f"bbh: split is '{split}'; use 'eval'")
        if level is not None and level not in TASKS:
            raise UserError(f"bbh: no task '{level}'{nearest(str(level), TASKS)}; known: {', '.join(TASKS)}")
        sieve = Sieve(keep_good_rows)
        tasks, places = [], []
        self.rows = 0
        """Rows that were read."""
        for where, name, number, row in _rows(level, data, sieve):
            self.rows += 1
            place = f"{where}:{number}"
            try:
                task = to_task(row, name, number, place)
            except UserError as error:
                sieve.refuse(str(error))
                continue
            if level is None or task.level == level:
                tasks.append(task)
                places.append(place)
        if not tasks:
            raise UserError(f"bbh: no rows of {level or 'any task'} in {data or 'the data at hand'}; give another file")
        super().__init__("bbh", split, tasks, places, sieve)
        self.published = sum(ROWS.get(name, 250) for name in ([level] if level else TASKS))
        """How many rows were published of these tasks."""
        missing = [name for name in TASKS if name not in {t.level for t in tasks}]
        if level is None and missing:
            names = f": {', '.join(missing)}" if len(missing) < 14 else ""
            self.notes.append(f"bbh: {len(missing)} of the 27 tasks are not in the data{names}")

    def pairs(self) -> Iterator[Pair]:
        """Each answer as models write it: alone, in a sentence, and in a box in the other case without parentheses."""
        for task in self._tasks:
            gold = task.gold
            yield Pair(task, gold, True, "target as it is")
            yield Pair(task, f"Let us think.\nSo the answer is {gold}.", True, "target in a sentence")
            if gold.lower() != gold or gold.upper() != gold:
                yield Pair(
                    task, boxed(gold.swapcase().strip("()")), True, "target in a box, other case, no parentheses"
                )


def to_task(row: Row, name: str | None, number: int, place: str) -> Task:
    """One row as a task. `name` is the name of its file or config. Raises `UserError` with the row and the column."""
    values: list[Asked] = []
    for columns in (("problem", "input", *CHAT_COLUMNS), ("answer", "target")):
        column = next((c for c in columns if c in row), None)
        if column is None:
            has = ", ".join(map(str, row))[:200]
            raise UserError(f"{place}: no column '{columns[1]}' (it has: {has}); is this a task of {HUB}?")
        shown = f"{place}: column '{column}' is {repr(row[column])[:60]}"
        try:
            value = asked(row[column], row) if not values else Asked(text_of(row[column]) or "")
        except ValueError as error:
            raise UserError(f"{shown}: {error}") from error
        if value is None or not value.problem:
            raise UserError(f"{shown}; it must be text, not blank")
        values.append(value)
    (problem, system), (answer, _) = values
    subject = text_of(row.get("subject")) or name or ""
    if subject not in TASKS:
        mend = nearest(subject, TASKS) or "; name the file after its task, or give the column 'subject'"
        raise UserError(f"{place}: '{subject}' is not one of the 27 tasks{mend}")
    id = text_of(row.get("id")) or f"bbh-{subject}-{number - 1}"
    return Task(id, problem, answer.strip(), subject, system=system)


def _rows(level: str | None, data: str | Path | None, sieve: Sieve) -> Iterator[tuple[str, str | None, int, Row]]:
    """For each row: its file or data set, the task that the file is named after, its number (from 1) and the row."""
    path = Path(data).expanduser() if data is not None else None
    if path is not None and not path.is_dir():
        yield from _from_file(path, sieve)
        return
    variable = os.environ.get(DATA_VARIABLE)
    folder = path or (Path(variable).expanduser() if variable else None)
    looked = []
    if folder is not None:
        files = _files(folder, level)
        if files:
            for file in files:
                yield from _from_file(file, sieve)
            return
        looked.append(f"{folder} has neither {FILE}.jsonl.gz nor {level or TASKS[0]}.jsonl")
        if path is not None:
            raise UserError(f"bbh: {looked[0]}; give data=<the file>, or a folder that holds the 27")
    for name in [level] if level else TASKS:
        for number, row in enumerate(read_hub("bbh", HUB, (name,), "test", looked), 1):
            yield f"{HUB}/{name}", name, number, row


def _files(folder: Path, level: str | None) -> list[Path]:
    """The normalised file, else one file for each task: in `folder`, or in a folder in it named after the data set."""
    for place in (folder, folder / HUB.replace("/", "_"), folder / FILE):
        for stems in ((FILE,), (level,) if level else TASKS):
            files = [next((f for e in ENDINGS if (f := place / f"{stem}{e}").is_file()), None) for stem in stems]
            if files := [file for file in files if file is not None]:
                return files
    return []


def _from_file(file: Path, sieve: Sieve) -> Iterator[tuple[str, str | None, int, Row]]:
    name = file.name.split(".")[0]
    for number, row in _examples(file) or read_table(file, sieve):
        yield str(file), name if name in TASKS else None, number, row


def _examples(file: Path) -> list[tuple[int, Row]] | None:
    """The rows of a file as the authors publish it, or None for any other file."""
    if file.suffix != ".json":
        return None
    try:
        content = json.loads(utf8(file.read_bytes(), file))
    except (OSError, ValueError, RecursionError):
        return None  # `read_table` says what is wrong with it
    rows = content.get("examples") if isinstance(content, dict) else None
    return list(enumerate(rows, 1)) if isinstance(rows, list) and all(isinstance(r, dict) for r in rows) else None
