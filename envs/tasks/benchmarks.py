r"""Public maths benchmarks: one table, one loader.

The rows come from `data` (a file, or a folder that holds it), else from the folder named by the environment variable
`SIMKO_DATA`, else from the Hugging Face Hub (the extra `hub`). A file may have the Hub's columns, those of SimKO's parquet
files, or the normalised ones (`id`, `problem`, `answer`, `extra`), as `.jsonl`, `.jsonl.gz`, `.json` or `.parquet`. In a
folder the names of the table are tried. A file given by path is taken as the split that is asked for.

A row of a bundled set that is known to be bad is left out and listed by id in `left_out`; any other bad row is refused with
file, line and field (`keep_good_rows` leaves it out and counts it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simko.envs.tasks import golds, mixture
from simko.envs.tasks.reading import Row, dig, last_boxed, load_rows, present
from simko.envs.tasks.rows import Pair, RowSource, Sieve, boxed, text_of
from simko.errors import UserError
from simko.types import Task

Reader = Callable[[Any], str | None]
PROBLEM = ("problem", "question", "prompt.0.content")  # the last: SimKO's parquet files
SUBJECTS = "algebra counting_and_probability geometry intermediate_algebra number_theory prealgebra precalculus"  # MATH's configs


def plain(value: Any) -> str | None:
    """The answer column as it is."""
    return text_of(value)


def after_hashes(value: Any) -> str | None:
    """What follows the last `####` of a GSM8K answer, commas removed; a text without `####` as it is."""
    text = text_of(value)
    return text.rsplit("####", 1)[-1].strip().replace(",", "") or None if text else None


def after_answer(value: Any) -> str | None:
    """What follows the last `# Answer` of a text, which four rows of SimKO's mixture need; another text as it is."""
    text = text_of(value)
    return text_of(text.rsplit("# Answer", 1)[-1].strip()) if text else None


def in_box(value: Any) -> str | None:
    r"""What the last `\boxed{}` of a worked solution holds."""
    text = text_of(value)
    return text_of(last_boxed(text)) if text else None


def joined(value: Any) -> str | None:
    """A list of answers as one text."""
    texts = [text_of(item) for item in value] if isinstance(value, list) and value else [None]
    return None if None in texts else ", ".join(map(str, texts))


ANSWER: Mapping[str, Reader] = {
    "answer": plain,
    "solution": in_box,
    "reward_model.ground_truth.solution": in_box,
    "reward_model.ground_truth.target": plain,
    "reward_model.ground_truth": plain,
}


@dataclass(frozen=True)
class Benchmark:
    """What the loader needs to know of a data set. Columns (or paths in nested ones) are tried in order."""

    name: str
    hub: str
    """The data set on the Hub, or where else the rows come from."""
    splits: Mapping[str, str]
    """Our split to the Hub's. A split that is not here does not exist."""
    files: Mapping[str, tuple[str, ...]]
    """Our split to the stems of files: the normalised one, then those of other origins."""
    published: Mapping[str, int]
    """Rows that were published."""
    configs: tuple[str, ...] = ()
    problem: tuple[str, ...] = PROBLEM
    answer: Mapping[str, Reader] = field(default_factory=lambda: ANSWER)
    gold: Callable[[str, Row], str] = lambda answer, row: answer
    """The gold answer from the answer column and the rest of the row."""
    known_bad: Mapping[str, str] = field(default_factory=dict)
    """Digest of a problem whose row is bad as published, to its id and what is wrong."""


TEST = {"eval": "test"}
TABLE = {
    row.name: row
    for row in (
        Benchmark(
            "gsm8k",
            "openai/gsm8k",
            {"train": "train", "eval": "test"},
            {"train": ("gsm8k_train",), "eval": ("gsm8k_test",)},
            {"train": 7473, "eval": 1319},
            configs=("main",),
            answer={"answer": after_hashes},
        ),
        Benchmark(
            "math",
            "EleutherAI/hendrycks_math",
            {"train": "train", "eval": "test"},
            {"train": ("math_train", "simko_math_train"), "eval": ("math_test", "simko_math_test")},
            {"train": 7500, "eval": 5000},
            configs=tuple(SUBJECTS.split()),
            known_bad={
                "16b06b5a4ff2": "math-train-5341: its solution ends in an empty box",
                "66104c656d6e": "math-train-5343: its solution ends in an empty box",
            },
        ),
        Benchmark("math500", "HuggingFaceH4/MATH-500", TEST, {"eval": ("math500",)}, {"eval": 500}),
        Benchmark("aime24", "math-ai/aime24", TEST, {"eval": ("aime24",)}, {"eval": 30}),
        Benchmark("aime25", "math-ai/aime25", TEST, {"eval": ("aime25", "simko_aime2025_test")}, {"eval": 30}),
        Benchmark("amc23", "math-ai/amc23", TEST, {"eval": ("amc23", "simko_amc23_test")}, {"eval": 40}),
        Benchmark(
            "minerva",
            "math-ai/minervamath",
            TEST,
            {"eval": ("minerva_math",)},
            {"eval": 272},
            gold=golds.minerva,
        ),
        Benchmark(
            "olympiadbench",
            "math-ai/olympiadbench",
            TEST,
            {"eval": ("olympiadbench",)},
            {"eval": 674},
            answer={"final_answer": joined, "answer": plain},
            gold=golds.olympiadbench,
        ),
        Benchmark(
            "simko-gsm8k-l1",
            "the repository CLR-Lab/SimKO (gsm8k_level1/train.parquet)",
            {"train": "train"},
            {"train": ("simko_gsm8k_level1_train",)},
            {"train": 8388},
            answer={"reward_model.ground_truth": after_answer, "answer": after_answer},
        ),
    )
}


class BenchmarkSource(RowSource):
    """The rows of one benchmark.

    Raises `UserError` for a split that the benchmark does not have, a level without rows, a row of another form, and
    where no data is at hand.
    """

    benchmark: str
    """Its name in the table."""

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
        tasks, places, known = [], [], []
        for number, row in rows:
            try:
                task = to_task(about, split, row, number, where)
            except UserError as error:
                bad = about.known_bad.get(mixture.digest(text_of(_value(row, about.problem)) or ""))
                if bad:
                    known.append(bad)
                else:
                    sieve.refuse(str(error))
                continue
            tasks.append(task)
            places.append(f"{where}:{number}")
        self.rows = len(rows)
        """Rows that were read."""
        tasks, places = self._choose(tasks, places, level, where)
        super().__init__(about.name, split, tasks, places, sieve)
        self.known_bad = tuple(known)
        """Rows known to be bad as published, which were skipped: id and reason."""
        if known:
            self.notes.append(
                f"{about.name}: {len(known)} rows without answer as published are skipped: {'; '.join(known)}"
            )

    def _choose(
        self, tasks: list[Task], places: list[str], level: int | str | None, where: str
    ) -> tuple[list[Task], list[str]]:
        """Those of the level that is asked for."""
        if level is not None:
            found = sorted({t.level for t in tasks})
            kept = [(t, p) for t, p in zip(tasks, places, strict=True) if t.level == str(level)]
            if not kept:
                has = f"there are: {', '.join(found)}" if any(found) else "its rows have no level"
                raise UserError(f"{self.benchmark}: no row of level {level}; {has}")
            tasks, places = [t for t, _ in kept], [p for _, p in kept]
        if not tasks:
            raise UserError(f"{where}: no rows")
        return tasks, places

    @property
    def left_out(self) -> tuple[str, ...]:
        """Rows that are not among the tasks, a line each."""
        return (*self.known_bad, *super().left_out)

    @property
    def published(self) -> int:
        """How many rows the split was published with."""
        return TABLE[self.benchmark].published[self.split]

    def answer(self, task: Task) -> str:
        r"""The gold answer in a `\boxed{}`."""
        return boxed(golds.main_answer(task.gold))

    def pairs(self) -> Iterator[Pair]:
        """Responses from elsewhere in the row: the worked solution, SimKO's target, accepted forms."""
        for task in self._tasks:
            yield from golds.pairs(task)


class GSM8K(BenchmarkSource):
    """Grade-school word problems (Cobbe et al. 2021); the answers are integers."""

    benchmark = "gsm8k"


class MATH(BenchmarkSource):
    """Competition problems (Hendrycks et al. 2021), levels 1 to 5: 7500 for training, 5000 for evaluation.

    The 351 test problems that SimKO's mixture trains on, and the two that stand in MATH train as well, are kept out of the
    evaluation split; `trained_rows` keeps them in.
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
            kept = [(t, p) for t, p in both if not (t.extra.get("in_simko_mixture") or t.extra.get("in_math_train"))]
            self.excluded = len(tasks) - len(kept)
            if not kept:
                raise UserError(f"{where}: every row is in a training set too; give another file")
            tasks, places = [t for t, _ in kept], [p for _, p in kept]
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
    """What SimKO trains Llama-3.2-3B on: GSM8K train, and MATH level 1 of train and, in 351 rows, of test.

    Those 351 have `extra["math_test"]` True. A training set: it has no evaluation split.
    """

    benchmark = "simko-gsm8k-l1"


def check_split(about: Benchmark, split: str) -> None:
    """Raise `UserError` for a split that the benchmark does not have, with the mend."""
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
    """Names without ending that a folder may hold the split under, the likeliest first."""
    hub, part = about.hub.replace("/", "_"), about.splits[split]
    configs = [f"{hub}_{about.configs[0]}_{part}"] if len(about.configs) == 1 else []
    return [*about.files[split], f"{hub}_{part}", *configs]


def to_task(about: Benchmark, split: str, row: Row, number: int, where: str) -> Task:
    """One row as a task; raises `UserError` naming the row and the column."""

    def pick(columns: tuple[str, ...], readers: Mapping[str, Reader]) -> str:
        column = present(row, columns)
        if column is None:
            has = ", ".join(map(str, row))
            raise UserError(f"{where}:{number}: no column '{columns[0]}' (it has: {has[:200]}); is this {about.hub}?")
        value = dig(row, column)
        if column == "reward_model.ground_truth" and isinstance(value, Mapping):
            column, value = f"{column}.target", value.get("target")
        text = readers.get(column, text_of)(value)
        if text is None:
            raise UserError(f"{where}:{number}: column '{column}' is {repr(value)[:60]}; it must be text, not blank")
        return text

    problem = pick(about.problem, {})
    if context := text_of(row.get("context")):
        problem = f"{context}\n{problem}"
    answer = pick(tuple(about.answer), about.answer)
    given = next((text for column in ("id", "unique_id") if (text := text_of(row.get(column)))), None)
    level = (text_of(row.get("level")) or "").removeprefix("Level ")
    extra = _extra(row)
    if mixture.is_math_test(problem):
        extra["math_test" if about.name == "simko-gsm8k-l1" else "in_simko_mixture"] = True
    if about.name == "math" and split == "eval" and mixture.digest(problem) in mixture.IN_MATH_TRAIN:
        extra["in_math_train"] = True
    task = Task(given or f"{about.name}-{split}-{number}", problem, about.gold(answer, row), level, extra)
    return replace(task, extra={**task.extra, "answer": answer}) if task.gold != answer else task


def _extra(row: Row) -> dict[str, Any]:
    """What else a row says, for the audit: never shown to a policy."""
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


def _value(row: Row, paths: tuple[str, ...]) -> Any:
    path = present(row, paths)
    return None if path is None else dig(row, path)
