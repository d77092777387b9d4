"""Loading rows from a file, a folder, the folder `SIMKO_DATA` or the Hub, and reading values out of a row."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from simko.envs.data.csv_rows import read_csv
from simko.envs.data.rows import FieldTwiceError, Sieve, once, read_jsonl, shortest, utf8
from simko.envs.verifiers.reading.brackets import closing
from simko.errors import UserError

DATA_VARIABLE = "SIMKO_DATA"
ENDINGS = (".jsonl.gz", ".jsonl", ".json", ".parquet", ".csv", ".tsv")
_OTHER_TABLES = frozenset(
    [
        ".xls",
        ".xlsx",
        ".ods",
        ".arrow",
        ".feather",
        ".orc",
        ".avro",
        ".zip",
        ".pkl",
        ".pickle",
        ".npy",
        ".npz",
        ".xml",
        ".yaml",
    ]
)

Row = dict[str, Any]


def load_rows(
    name: str,
    hub: str,
    configs: tuple[str, ...],
    part: str,
    stems: Iterable[str],
    data: str | Path | None,
    sieve: Sieve,
) -> tuple[str, list[tuple[int, Row]]]:
    """The place where the rows were found, and the rows with their numbers (from 1).

    `data` is a file or a folder. Without it, the folder `SIMKO_DATA` is tried, then split `part` of the Hub's data set
    `hub`. A folder holds a file with one of the names `stems`, or a copy of the Hub's repository. Raises `UserError` if
    there are no rows; the message names every way to give some.
    """
    looked: list[str] = []
    path = Path(data).expanduser() if data is not None else None
    if path is not None and not path.is_dir():
        return str(path), list(read_table(path, sieve))
    variable = os.environ.get(DATA_VARIABLE)
    folder = path or (Path(variable).expanduser() if variable else None)
    if folder is not None:
        names = [stem + ending for stem in stems for ending in ENDINGS]
        for file in names:
            if (folder / file).is_file():
                return str(folder / file), list(read_table(folder / file, sieve))
        if files := cloned(folder, hub, configs, part, itself=path is not None):
            return str(folder), list(enumerate((row for file in files for _, row in read_table(file, sieve)), 1))
        looked.append(f"{folder} has no {names[0]}")
        if path is not None:
            raise UserError(f"{name}: {looked[0]}; give data=<the file>, or a folder that holds it")
    return hub, list(enumerate(read_hub(name, hub, configs, part, looked), 1))


def cloned(folder: Path, hub: str, configs: tuple[str, ...], part: str, itself: bool) -> list[Path]:
    """The files of split `part` in a copy of the Hub's repository. The list is empty if there is no copy.

    The copy is a folder in `folder` with the data set's name, or `folder` itself (`itself`). As on the Hub, a config is
    a folder, files are `test.jsonl` or `test-00000-of-00001.parquet`, and they may lie in `data/`.
    """
    names = (hub.split("/")[-1], hub.replace("/", "_"), hub.replace("/", "--"), hub)
    roots = ([folder] if itself else []) + [folder / name for name in names if " " not in hub]
    for root in roots:
        by_config = [_split_files(root, config, part) for config in configs or ("",)]
        if all(by_config):
            return [file for files in by_config for file in files]
        if len(configs) == 1 and (files := _split_files(root, "", part)):
            return files
    return []


def _split_files(root: Path, config: str, part: str) -> list[Path]:
    for folder in (root / config, root / config / "data", root / "data" / config):
        named = [folder / f"{part}{ending}" for ending in ENDINGS if (folder / f"{part}{ending}").is_file()]
        if files := named[:1] or sorted(folder.glob(f"{part}-[0-9]*.parquet")):
            return files
    return []


def read_table(path: Path, sieve: Sieve | None = None) -> Iterable[tuple[int, Row]]:
    """Numbered rows of a `.jsonl`, `.jsonl.gz`, `.json` (a list of objects), `.parquet`, `.csv` or `.tsv` file.

    Raises `UserError` for a file that cannot be read, and for a table of another kind, such as `.xlsx`.
    """
    kind = path.suffix.lower()
    if kind == ".parquet":
        return enumerate(_read_parquet(path), 1)
    if kind in (".csv", ".tsv"):
        return read_csv(path, sieve)
    if kind in _OTHER_TABLES:
        raise UserError(f"{path}: {path.suffix} files are not read; save the table as .csv, .jsonl or .parquet")
    if kind == ".json":
        try:
            rows = json.loads(utf8(path.read_bytes(), path), object_pairs_hook=once)
        except FieldTwiceError as error:
            raise UserError(f"{path}: field '{str(error)[:60]}' occurs twice in an object; leave one out") from error
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"{path}: cannot be read as JSON ({str(error)[:80]}); give it whole, or as .jsonl"
            ) from error
        if not isinstance(rows, list):
            raise UserError(f"{path}: not a list of objects; give one object a row, or a .jsonl file")
        return _objects(rows, path, sieve or Sieve())
    return read_jsonl(path, sieve)


def _objects(rows: list[Any], path: Path, sieve: Sieve) -> Iterator[tuple[int, Row]]:
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict):
            yield number, row
        else:
            sieve.refuse(f"{path}:{number}: the row is of type {type(row).__name__}; give one object a row")


def _read_parquet(path: Path) -> list[Row]:
    try:
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise UserError(f"{path}: reading parquet needs pyarrow; pip install 'simko[hub]'") from error
    try:
        table = parquet.read_table(path)
        return [in_own_width(row, table.schema) for row in table.to_pylist()]
    except (OSError, ValueError, ArithmeticError) as error:  # pyarrow's own errors derive from these
        reason = " ".join(str(error).split())[:80]
        raise UserError(
            f"{path}: cannot be read as parquet ({reason}); fetch it again, or write it as .jsonl"
        ) from error


def in_own_width(row: Row, schema: Any) -> Row:
    """A row of an Arrow table with the fewest digits for each float: float32 0.1 as 0.1, not as 0.10000000149011612."""
    return {field.name: _shortened(row[field.name], field.type) for field in schema if field.name in row}


def _shortened(value: Any, kind: Any) -> Any:
    """`value` of the Arrow type `kind`, however deep its floats are."""
    import pyarrow.types as types  # type: ignore[import-untyped]

    if value is None:
        return None
    if types.is_float16(kind) or types.is_float32(kind):
        return shortest(np.float16(value) if types.is_float16(kind) else np.float32(value))
    if types.is_dictionary(kind):
        return _shortened(value, kind.value_type)
    if types.is_struct(kind):
        return {field.name: _shortened(value[field.name], field.type) for field in kind}
    if types.is_map(kind):
        return [(key, _shortened(item, kind.item_type)) for key, item in value]
    if isinstance(value, list) and hasattr(kind, "value_type"):
        return [_shortened(item, kind.value_type) for item in value]
    return value


def read_hub(name: str, hub: str, configs: tuple[str, ...], part: str, looked: list[str]) -> Iterable[Row]:
    """The rows on the Hugging Face Hub, one config after the other. Raises `UserError` that names every mend.

    If `hub` has no slash, or has a blank, it is not a data set of the Hub: it only says where the rows come from.
    """
    mends = f"data=<file or folder> (--data), the environment variable {DATA_VARIABLE}=<folder>"
    before = f" ({looked[0]})" if looked else ""
    if hub.count("/") != 1 or " " in hub:
        raise UserError(f"{name}: no data at hand{before}, and it is not on the Hub but in {hub}; give {mends}")
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            f"{name}: no data at hand{before}; give {mends}, or pip install 'simko[hub]' to fetch {hub}"
        ) from error
    try:
        parts = [datasets.load_dataset(hub, config, split=part) for config in configs or (None,)]
        return list(chain(*map(_hub_rows, parts)))
    except Exception as error:  # the Hub fails in many ways, and the mend is the same for all
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise UserError(f"{name}: {hub} cannot be fetched from the Hub ({reason}){before}; give {mends}") from error


def _hub_rows(rows: Any) -> Iterable[Row]:
    schema = getattr(getattr(rows, "features", None), "arrow_schema", None)
    return rows if schema is None else (in_own_width(row, schema) for row in rows)


ABSENT = object()
"""What `dig` returns where nothing is."""


def dig(row: Mapping[str, Any], path: str) -> Any:
    """The value at `a.b.0` of nested objects and lists, or `ABSENT` if nothing is there."""
    value: Any = row
    for key in path.split("."):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return ABSENT
    return value


def present(row: Mapping[str, Any], paths: Iterable[str]) -> str | None:
    """The first of `paths` that the row has."""
    return next((path for path in paths if dig(row, path) is not ABSENT), None)


def last_boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{}` (or `\fbox{}`) of a worked solution; None if there is no box or it is not closed."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if start < 0:
        return None
    rest = text[start:].removeprefix("\\boxed").removeprefix("\\fbox").lstrip(" ")
    if not rest.startswith("{"):
        return rest.split("$")[0].split()[0] if rest.split("$")[0].split() else None  # `\boxed 5`
    end = closing(rest, 0)
    return None if end is None else rest[1:end]
