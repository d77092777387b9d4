r"""The public maths benchmarks: one loader for all rows of `benchmark_table`.

The rows come from `data` (a file or a folder), else from the folder in the environment variable `SIMKO_DATA`, else from
the Hugging Face Hub (the extra `hub`). Files are `.jsonl`, `.jsonl.gz`, `.json` or `.parquet`. They have the Hub's
columns, those of SimKO's parquet files, or the normalised ones (`id`, `problem`, `answer`, `extra`). In a folder the
names of the table are tried. A file is taken as the split that is asked for.

A row that is known to be bad as published is left out and listed by id in `left_out`. Any other bad row is refused with
file, line and field; `keep_good_rows` leaves it out and counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from simko.envs.data import golds, overlaps
from simko.envs.data.benchmark_table import TABLE, Benchmark
from simko.envs.data.chat import asked
from simko.envs.data.loading import Row, dig, load_rows, present
from simko.envs.data.rows import Pair, RowSource, Sieve, boxed, text_of
from simko.envs.data.solutions import UnclearError
from simko.errors import UserError
from simko.types import Task


class BenchmarkSource(RowSource):
    """The rows of one benchmark.

    Raises `UserError` for a split that the benchmark does not have, a level without rows, a row that cannot be read,
    and if there is no data.
    """

    benchmark: str
    """Its name in `benchmark_table.TABLE`."""

    def __init__(
        self,
        split: str = "train",
        level: int | str | None = None,
        data: str | Path | None = None,
        keep_good_rows: bool = False,
    ) -> None:
        about = TABLE[self.benchmark]
        check_split(about, split)
        self.split = split
        sieve = Sieve(keep_good_rows)
        where, rows = load_rows(
            about.name, about.hub, about.configs, about.splits[split], stems(about, split), data, sieve
        )
        tasks, places, skipped = [], [], []
        for number, row in rows:
            try:
                task = to_task(about, split, row, number, where)
            except UserError as error:
                bad = about.known_bad.get(overlaps.digest(_problem(row, about.problem)))
                if bad:
                    skipped.append(bad)
                else:
                    sieve.refuse(str(error))
                continue
            tasks.append(task)
            places.append(f"{where}:{number}")
        self.rows = len(rows)
        """Rows that were read."""
        tasks, places = self._choose(tasks, places, level, where)
        super().__init__(about.name, split, tasks, places, sieve)
        self.known_bad = tuple(skipped)
        """Rows known to be bad as published, which were skipped: id and reason."""
        if skipped:
            self.notes.append(
                f"{about.name}: {len(skipped)} rows without answer as published are skipped: {'; '.join(skipped)}"
            )

    def _choose(
        self, tasks: list[Task], places: list[str], level: int | str | None, where: str
    ) -> tuple[list[Task], list[str]]:
        """The tasks of the level that is asked for, and their places."""
        if level is not None:
            levels = sorted({t.level for t in tasks})
            chosen = [(t, p) for t, p in zip(tasks, places, strict=True) if t.level == str(level)]
            if not chosen:
                has = f"there are: {', '.join(levels)}" if any(levels) else "its rows have no level: leave level out"
                raise UserError(f"{self.benchmark}: no row of level {level}; {has}")
            tasks, places = [t for t, _ in chosen], [p for _, p in chosen]
        if not tasks:
            raise UserError(f"{where}: no rows; give another file")
        return tasks, places

    @property
    def left_out(self) -> tuple[str, ...]:
        """Every row that is not among the tasks, a line each."""
        return (*self.known_bad, *super().left_out)

    @property
    def published(self) -> int:
        """How many rows the split has as published."""
        return TABLE[self.benchmark].published[self.split]

    def answer(self, task: Task) -> str:
        r"""The gold answer in a `\boxed{}`."""
        return boxed(golds.main_answer(task.gold))

    def pairs(self) -> Iterator[Pair]:
        """Responses with known verdicts, from other columns: the worked solution, SimKO's target, accepted forms."""
        for task in self._tasks:
            yield from golds.pairs(task)


class GSM8K(BenchmarkSource):
    """Grade-school word problems (Cobbe et al. 2021). The answers are integers."""

    benchmark = "gsm8k"


class MATH(BenchmarkSource):
    """Competition problems (Hendrycks et al. 2021), levels 1 to 5: 7500 for training, 5000 for evaluation.

    Two kinds of test problems are kept out of the evaluation split: the 351 that SimKO's mixture trains on, and the two
    that MATH train has as well. `trained_rows` keeps them in.
    """

    benchmark = "math"

    def __init__(
        self,
        split: str = "train",
        level: int | str | None = None,
        data: str | Path | None = None,
        keep_good_rows: bool = False,
        trained_rows: bool = False,
    ) -> None:
        self._trained_rows = trained_rows
        self.excluded = 0
        """Test problems kept out because a training set has them."""
        super().__init__(split, level, data, keep_good_rows)
        if self.excluded:
            self.notes.append(
                f"math: {self.excluded} test problems are kept out: simko/SimKO-GSM8K-L1-v0 (351) or MATH train (2) has them; "
                'source_options={"trained_rows": True} keeps them in'
            )

    def _choose(
        self, tasks: list[Task], places: list[str], level: int | str | None, where: str
    ) -> tuple[list[Task], list[str]]:
        tasks, places = super()._choose(tasks, places, level, where)
        if self.split == "eval" and not self._trained_rows:
            both = zip(tasks, places, strict=True)
            unseen = [(t, p) for t, p in both if not (t.extra.get("in_simko_mixture") or t.extra.get("in_math_train"))]
            self.excluded = len(tasks) - len(unseen)
            if not unseen:
                raise UserError(f"{where}: every row is in a training set too; give another file")
            tasks, places = [t for t, _ in unseen], [p for _, p in unseen]
        return tasks, places


class MATH500(BenchmarkSource):
    """500 of MATH's test problems (Lightman et al. 2023). A test set: it has no train split."""

    benchmark = "math500"


class AIME24(BenchmarkSource):
    """American Invitational Mathematics Examination 2024, I and II: integers from 0 to 999. A test set."""

    benchmark = "aime24"


class AIME25(BenchmarkSource):
    """American Invitational Mathematics Examination 2025, I and II: integers from 0 to 999. A test set."""

    benchmark = "aime25"


class AMC23(BenchmarkSource):
    """AMC 12 of 2023, without the choices: integers. A test set."""

    benchmark = "amc23"


class Minerva(BenchmarkSource):
    """Course problems of MIT OpenCourseWare (Lewkowycz et al. 2022): numbers and expressions. A test set."""

    benchmark = "minerva"


class OlympiadBench(BenchmarkSource):
    """Olympiad maths in English, text only, open-ended (He et al. 2024, OE_TO_maths_en_COMP). A test set."""

    benchmark = "olympiadbench"


class SimKOMixture(BenchmarkSource):
    """The set that SimKO trains Llama-3.2-3B on: GSM8K train, and MATH level 1, of which 351 rows are of MATH test.

    Those 351 have `extra["math_test"]` True. A training set: it has no evaluation split.
    """

    benchmark = "simko-gsm8k-l1"


def check_split(about: Benchmark, split: str) -> None:
    """Raise `UserError` with the mend for a split that the benchmark does not have."""
    if split not in ("train", "eval"):
        raise UserError(f"{about.name}: split is '{split}'; use 'train' or 'eval'")
    if split in about.splits:
        return
    if split == "train":
        raise UserError(
            f"{about.name}: has no split 'train', it is for evaluation; use split 'eval', and another data set to train on "
            "(simko/MATH-v0, simko/GSM8K-v0, simko/SimKO-GSM8K-L1-v0)"
        )
    raise UserError(
        f"{about.name}: has no split 'eval', it is for training; evaluate on another data set "
        "(simko/GSM8K-v0, simko/MATH500-v0, simko/MATH-v0)"
    )


def stems(about: Benchmark, split: str) -> list[str]:
    """The names, without endings, that the split's file may have in a folder, the likeliest first."""
    hub, part = about.hub.replace("/", "_"), about.splits[split]
    configs = [f"{hub}_{about.configs[0]}_{part}"] if len(about.configs) == 1 else []
    return [*about.files[split], f"{hub}_{part}", *configs]


def to_task(about: Benchmark, split: str, row: Row, number: int, where: str) -> Task:
    """One row as a task. Raises `UserError` that names the row and the column."""

    def pick(columns: tuple[str, ...], read: Callable[[str, Any], Any]) -> Any:
        column = present(row, columns)
        if column is None:
            has = ", ".join(map(str, row))
            raise UserError(f"{where}:{number}: no column '{columns[0]}' (it has: {has[:200]}); is this {about.hub}?")
        value = dig(row, column)
        if column == "reward_model.ground_truth" and isinstance(value, Mapping):
            column, value = f"{column}.target", value.get("target")
        place = f"{where}:{number}: column '{column}'"
        try:
            result = read(column, value)
        except UnclearError as error:
            raise UserError(f"{place} {error}") from error
        except ValueError as error:
            raise UserError(f"{place} is {repr(value)[:60]}: {error}") from error
        if result is None:
            raise UserError(f"{place} is {repr(value)[:60]}; it must be text, not blank")
        return result

    problem, system = pick(about.problem, lambda _, value: asked(value, row))
    if context := text_of(row.get("context")):
        problem = f"{context}\n{problem}"
    answer = pick(tuple(about.answer), lambda column, value: about.answer.get(column, text_of)(value))
    id = next((text for column in ("id", "unique_id") if (text := text_of(row.get(column)))), None)
    level = (text_of(row.get("level")) or "").removeprefix("Level ")
    extra = _extra(row)
    if overlaps.is_math_test(problem):
        extra["math_test" if about.name == "simko-gsm8k-l1" else "in_simko_mixture"] = True
    if about.name == "math" and split == "eval" and overlaps.digest(problem) in overlaps.IN_MATH_TRAIN:
        extra["in_math_train"] = True
    task = Task(id or f"{about.name}-{split}-{number}", problem, about.gold(answer, row), level, extra, system)
    return replace(task, extra={**task.extra, "answer": answer}) if task.gold != answer else task


def _extra(row: Row) -> dict[str, Any]:
    """The rest of the row, for the audit. A policy never sees it."""
    extra = dict(row["extra"]) if isinstance(row.get("extra"), Mapping) else {}
    for column in ("solution", "reward_model.ground_truth.solution"):
        value = dig(row, column)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str):
            extra["solution"] = value
    if isinstance(row.get("answer"), str) and "####" in row["answer"]:
        extra["solution"] = row["answer"]
    if isinstance(row.get("target"), str):  # SimKO's mixture
        extra["solution"] = row["target"]
    target = dig(row, "reward_model.ground_truth.target")
    if isinstance(target, str) and target.strip():
        extra["simko_target"] = target
    for column in ("answer_type", "is_multiple_answer", "unit", "error", "final_answer", "subject", "type", "subfield"):
        if row.get(column) is not None:
            extra.setdefault(column, row[column])
    return extra


def _problem(row: Row, paths: tuple[str, ...]) -> str:
    """The problem of a row that may be bad in every way; empty if it has none."""
    path = present(row, paths)
    try:
        question = None if path is None else asked(dig(row, path), row)
    except ValueError:
        return ""
    return question.problem if question else ""
