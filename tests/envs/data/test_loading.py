"""Files of every form: what a column of a parquet file says, and byte order marks."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simko.envs.data.benchmarks import AIME25, OlympiadBench
from simko.envs.data.jsonl import JSONL
from simko.envs.data.loading import in_own_width, read_table
from simko.envs.data.rows import text_of
from simko.errors import UserError


def column(path: Path, values: Any, **more: Any) -> Path:
    """A parquet file with the problems `p0`, `p1` and so on, and `values` as their answers."""
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    problems = [f"p{i}" for i in range(len(values))]
    parquet.write_table(pyarrow.table({"problem": problems, "answer": values, **more}), path)
    return path


def test_numbers_have_the_digits_of_their_own_width(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    cases = [
        (pa.array([0.1, 2.35, 3.0, 1e-07], pa.float32()), ["0.1", "2.35", "3", "1e-07"]),
        (pa.array(np.array([0.1, 2.5], np.float16)), ["0.1", "2.5"]),
        (pa.array([0.1, 1 / 3], pa.float64()), ["0.1", "0.3333333333333333"]),
        (pa.array([0.1], pa.float32()).dictionary_encode(), ["0.1"]),
        (pa.array([Decimal("1.50"), Decimal("-0.25")], pa.decimal128(6, 2)), ["1.50", "-0.25"]),
        (pa.array([Decimal("7")], pa.decimal256(50, 0)), ["7"]),
        *(
            (pa.array([7, 100], kind()), ["7", "100"])
            for kind in (pa.int8, pa.uint8, pa.int16, pa.uint32, pa.int64, pa.uint64)
        ),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array(["7", "x"], pa.large_string()), ["7", "x"]),
        (pa.array(["7", "7"]).dictionary_encode(), ["7", "7"]),
    ]
    for values, golds in cases:
        path = column(tmp_path / "a.parquet", values)
        assert [task.gold for task in AIME25("eval", data=path).tasks(None, 0)] == golds, values.type
        assert [task.gold for task in JSONL("all", data=path).tasks(None, 0)] == golds, values.type


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "True"),
        (datetime.date(2024, 5, 1), "datetime.date"),
        (datetime.datetime(2024, 5, 1), "datetime.datetime"),
        (datetime.time(6, 30), "datetime.time"),
        (b"4", "b'4'"),
        (None, "None"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ({"a": 4}, "{'a': 4}"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_row(tmp_path: Path, value: Any, shown: str) -> None:
    path = column(tmp_path / "a.parquet", [value, value])
    with pytest.raises(UserError, match=rf"a\.parquet:1: column 'answer' is {shown}.*; it must be text"):
        AIME25("eval", data=path)
    with pytest.raises(UserError, match=rf"a\.parquet:1: field 'answer' is {shown}.*; it must be text \(or a number\)"):
        JSONL("all", data=path)


def test_floats_in_lists_and_structs(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    short = pa.float32()
    lists = pa.array([[0.1, 2.0], [0.3]], pa.list_(short))
    path = column(tmp_path / "a.parquet", ["x", "x"], final_answer=lists, error=pa.array([0.01, None], short))
    first, second = OlympiadBench("eval", data=path).tasks(None, 0)
    assert first.gold == '{"answer": "0.1, 2", "tolerance": "0.01"}'
    assert second.gold == "0.3"
    kinds = {
        "struct": pa.struct([("a", short), ("b", pa.string())]),
        "large": pa.large_list(pa.list_(short, 1)),
        "map": pa.map_(pa.string(), short),
    }
    row: dict[str, Any] = {"struct": {"a": 0.1, "b": "x"}, "large": [[0.1], None], "map": [("k", 0.1)]}
    table = pa.table({name: pa.array([row[name], None], kind) for name, kind in kinds.items()})
    assert [in_own_width(r, table.schema) for r in table.to_pylist()] == [row, dict.fromkeys(kinds)]


def test_numbers_of_numpy_are_numbers() -> None:
    assert [text_of(v) for v in (np.float32(0.1), np.float64(0.1), np.int8(3), np.uint64(2**63))] == [
        "0.1",
        "0.1",
        "3",
        str(2**63),
    ]
    assert [text_of(v) for v in (np.bool_(True), np.float32("nan"), Decimal("NaN"), Decimal("Infinity"))] == [None] * 4
    assert text_of(Decimal("1E+2")) == "100"


def test_a_json_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    rows = [{"problem": "é?", "answer": "2"}, {"problem": "b?", "answer": 4}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1).replace("\n", "\r\n"), encoding="utf-8-sig")
    for source in (AIME25("eval", data=path), JSONL("all", data=path)):
        assert [(task.problem, task.gold) for task in source.tasks(None, 0)] == [("é?", "2"), ("b?", "4")]
    path.write_text(json.dumps(rows), encoding="utf-16")
    with pytest.raises(UserError, match=r"a\.json: it is UTF-16 or UTF-32; save the file as UTF-8"):
        AIME25("eval", data=path)
    path.write_bytes('[{"problem": "é"}]'.encode("latin-1"))
    with pytest.raises(UserError, match="cannot be read as JSON"):
        AIME25("eval", data=path)


def test_json_is_refused_by_field_and_by_row(tmp_path: Path) -> None:
    path = tmp_path / "a.JSON"
    path.write_text('[{"problem": "a?", "answer": "2"}, 5]')
    with pytest.raises(UserError, match=r"a\.JSON:2: the row is of type int"):
        JSONL("all", data=path)
    assert JSONL("all", data=path, keep_good_rows=True).size == 1
    path.write_text('[{"problem": "a?", "answer": "2", "answer": "3"}]')
    with pytest.raises(UserError, match=r"a\.JSON: field 'answer' occurs twice"):
        JSONL("all", data=path)


@pytest.mark.parametrize("name", ["a.xlsx", "a.arrow", "a.PKL"])
def test_another_table_is_refused_with_the_mend(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes("problem,answer\r\n1 + 1?,2\r\n".encode("utf-8-sig"))
    with pytest.raises(UserError, match=r"files are not read; save the table as \.csv, \.jsonl or \.parquet"):
        read_table(tmp_path / name)
    with pytest.raises(UserError, match=r"files are not read; save the table as \.csv, \.jsonl or \.parquet"):
        JSONL("all", data=tmp_path / name)
