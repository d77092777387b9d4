r"""Public benchmarks: one table, one loader.

The rows come from `data` (a file, or a folder that holds it), else from the folder named by the environment variable
`SIMKO_DATA`, else from the Hugging Face Hub (the extra `hub`). A file may have the Hub's columns or the normalised ones
(`id`, `problem`, `answer`), as `.jsonl`, `.jsonl.gz`, `.json` or `.parquet`. In a folder the names of the table are
tried. A file given by path is taken as the split that is asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simko.envs.tasks.rows import RowSource, read_jsonl, text_of
from simko.errors import UserError
from simko.types import Task

DATA_VARIABLE = "SIMKO_DATA"


def plain(value: Any) -> str | None:
    """The answer column as it is."""
    return text_of(value)


def after_hashes(value: Any) -> str | None:
    """What follows the last `####` of a GSM8K answer, commas removed; a text without `####` as it is."""
    text = text_of(value)
    return text.rsplit("####", 1)[-1].strip().replace(",", "") or None if text else None


@dataclass(frozen=True)
class Benchmark:
    """What the loader needs to know of a data set. Columns are tried in order; the first one present counts."""

    name: str
    hub: str
    config: str | None
    splits: Mapping[str, str]
    """Our split to the Hub's. A split that is not here does not exist."""
    files: Mapping[str, str]
    """Our split to the stem of the normalised file."""
    problem: tuple[str, ...]
    answer: tuple[str, ...]
    read_answer: Callable[[Any], str | None] = plain
    ids: tuple[str, ...] = ("id", "unique_id")


TABLE = {
    "gsm8k": Benchmark(
        name="gsm8k",
        hub="openai/gsm8k",
        config="main",
        splits={"train": "train", "eval": "test"},
        files={"train": "gsm8k_train", "eval": "gsm8k_test"},
        problem=("problem", "question"),
        answer=("answer",),
        read_answer=after_hashes,
    ),
    "math500": Benchmark(
        name="math500",
        hub="HuggingFaceH4/MATH-500",
        config=None,
        splits={"eval": "test"},
        files={"eval": "math500"},
        problem=("problem",),
        answer=("answer",),
    ),
}


class BenchmarkSource(RowSource):
    """The rows of one benchmark.

    Raises `UserError` for a split that the benchmark does not have, a level without rows, a row of another form, and
    where no data is at hand.
    """

    def __init__(
        self, benchmark: Benchmark, split: str = "train", level: int | None = None, data: str | Path | None = None
    ) -> None:
        if split not in ("train", "eval"):
            raise UserError(f"{benchmark.name}: split is '{split}'; use 'train' or 'eval'")
        if split not in benchmark.splits:
            raise UserError(
                f"{benchmark.name}: has no split '{split}'; use split 'eval', and another data set to train on"
            )
        where, rows = load_rows(benchmark, split, data)
        tasks = [to_task(benchmark, split, row, number, where) for number, row in rows]
        if level is not None:
            found = sorted({t.level for t in tasks})
            tasks = [t for t in tasks if t.level == str(level)]
            if not tasks:
                has = f"there are: {', '.join(found)}" if any(found) else "its rows have no level"
                raise UserError(f"{benchmark.name}: no row of level {level}; {has}")
        if not tasks:
            raise UserError(f"{where}: no rows")
        super().__init__(benchmark.name, split, tasks)


class GSM8K(BenchmarkSource):
    """Grade-school word problems (Cobbe et al. 2021); the answers are integers."""

    def __init__(self, split: str = "train", level: int | None = None, data: str | Path | None = None) -> None:
        super().__init__(TABLE["gsm8k"], split, level, data)


class MATH500(BenchmarkSource):
    """500 competition problems of MATH (Hendrycks et al. 2021), levels 1 to 5. A test set: it has no train split."""

    def __init__(self, split: str = "eval", level: int | None = None, data: str | Path | None = None) -> None:
        super().__init__(TABLE["math500"], split, level, data)


def to_task(benchmark: Benchmark, split: str, row: Mapping[str, Any], number: int, where: str) -> Task:
    """One row as a task; raises `UserError` naming the row and the column."""

    def pick(columns: tuple[str, ...], read: Callable[[Any], str | None]) -> str:
        column = next((c for c in columns if c in row), None)
        if column is None:
            has = ", ".join(map(str, row))
            raise UserError(
                f"{where}:{number}: no column '{columns[0]}' (it has: {has[:200]}); is this {benchmark.hub}?"
            )
        text = read(row[column])
        if text is None:
            raise UserError(
                f"{where}:{number}: column '{column}' is {repr(row[column])[:60]}; it must be text, not blank"
            )
        return text

    problem, gold = pick(benchmark.problem, text_of), pick(benchmark.answer, benchmark.read_answer)
    given = next((text for c in benchmark.ids if (text := text_of(row.get(c)))), None)
    return Task(given or f"{benchmark.name}-{split}-{number}", problem, gold, text_of(row.get("level")) or "")


def load_rows(
    benchmark: Benchmark, split: str, data: str | Path | None
) -> tuple[str, list[tuple[int, dict[str, Any]]]]:
    """Where the rows were found, and the rows with their numbers (from 1)."""
    looked: list[str] = []
    given = Path(data).expanduser() if data is not None else None
    if given is not None and not given.is_dir():
        return str(given), list(read_table(given))
    variable = os.environ.get(DATA_VARIABLE)
    folder = given or (Path(variable).expanduser() if variable else None)
    if folder is not None:
        names = candidates(benchmark, split)
        for name in names:
            if (folder / name).is_file():
                return str(folder / name), list(read_table(folder / name))
        looked.append(f"{folder} has no {names[0]}")
        if given is not None:
            raise UserError(f"{benchmark.name}: {looked[0]}; give data=<the file>, or a folder that holds it")
    return benchmark.hub, list(enumerate(read_hub(benchmark, split, looked), 1))


def candidates(benchmark: Benchmark, split: str) -> list[str]:
    """File names that a folder may hold the split under, the likeliest first."""
    hub, part = benchmark.hub.replace("/", "_"), benchmark.splits[split]
    stems = [
        benchmark.files[split],
        f"{hub}_{part}",
        *([f"{hub}_{benchmark.config}_{part}"] if benchmark.config else []),
    ]
    return [stem + ending for stem in stems for ending in (".jsonl.gz", ".jsonl", ".json", ".parquet")]


def read_table(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    """Numbered rows of a `.jsonl`, `.jsonl.gz`, `.json` (a list of objects) or `.parquet` file."""
    if path.suffix == ".parquet":
        return enumerate(_read_parquet(path), 1)
    if path.suffix == ".json":
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path}: cannot be read as JSON ({str(error)[:80]})") from error
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UserError(f"{path}: not a list of objects; give one object a row, or a .jsonl file")
        return enumerate(rows, 1)
    return read_jsonl(path)


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise UserError(f"{path}: reading parquet needs pyarrow; pip install 'simko[hub]'") from error
    try:
        return parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these
        raise UserError(f"{path}: cannot be read as parquet ({str(error)[:80]})") from error


def read_hub(benchmark: Benchmark, split: str, looked: list[str]) -> Iterable[dict[str, Any]]:
    """The rows on the Hugging Face Hub; raises `UserError` naming every mend where they cannot be had."""
    mends = f"data=<file or folder> (--data), the environment variable {DATA_VARIABLE}=<folder>"
    before = f" ({looked[0]})" if looked else ""
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            f"{benchmark.name}: no data at hand{before}; give {mends}, or pip install 'simko[hub]' to fetch {benchmark.hub}"
        ) from error
    try:
        return datasets.load_dataset(benchmark.hub, benchmark.config, split=benchmark.splits[split])
    except Exception as error:  # the Hub's failures are of many kinds, and all have the same mend
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise UserError(
            f"{benchmark.name}: {benchmark.hub} cannot be fetched from the Hub ({reason}){before}; give {mends}"
        ) from error
