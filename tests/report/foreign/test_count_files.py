"""`{"id", "c", "n"}` a line: what is read, what is written, and what is refused with its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from foreign_files import jsonl, refusal

from simko.report.foreign import read
from simko.report.foreign.count_files import write
from simko.report.measured import Measured


def test_ids_are_text_or_whole_numbers(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "base.jsonl", [{"id": "a", "c": 0, "n": 4}, {"id": 7, "c": 4, "n": 4, "more": []}])
    (arm,) = read(path)
    assert arm.counts == {"a": (4, 0), "7": (4, 4)}
    assert (arm.arm, arm.seed, arm.source, arm.place, arm.foreign) == ("base", None, "counts", str(path), True)
    assert (arm.facts["n"], arm.facts["problems"], arm.facts["env"], arm.facts["verifier"]) == (4, 2, None, None)


def test_what_the_user_states_of_them_is_a_fact(tmp_path: Path) -> None:
    data = jsonl(tmp_path / "data.jsonl", [{}])
    path = jsonl(tmp_path / "c.jsonl", [{"id": 1, "c": 1, "n": 2}, {"id": 2, "c": 1, "n": 3}])
    (arm,) = read(path, env="my/Env-v0", level=2, data=str(data), verifier="exact", arm="theirs", seed=3)
    assert (arm.arm, arm.seed) == ("theirs", 3)
    assert {name: arm.facts[name] for name in ("env", "level", "verifier", "n")} == {
        "env": "my/Env-v0", "level": 2, "verifier": "exact", "n": None,
    }  # fmt: skip
    assert len(arm.facts["data_sha256"]) == 64


def test_a_written_file_is_read_back(tmp_path: Path) -> None:
    counts = {"ü/1": (4, 1), "2": (8, 8), "none judged": (0, 0)}
    path = tmp_path / "out.jsonl"
    path.write_text(write(Measured("x", 0, counts)), encoding="utf-8")
    assert read(path)[0].counts == {"ü/1": (4, 1), "2": (8, 8)}


def test_a_packed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": 1, "c": 1, "n": 2}\n'))
    assert (read(path)[0].arm, read(path)[0].counts) == ("c", {"1": (2, 1)})


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('{"id": "a", "c": 3, "n": 2}', ":2: c is 3 and n is 2"),
        ('{"id": "a", "c": true, "n": 2}', ":2: field 'c' is True"),
        ('{"id": "a", "c": 1.0, "n": 2}', ":2: field 'c' is 1.0"),
        ('{"id": "a", "c": -1, "n": 2}', ":2: field 'c' is -1"),
        ('{"id": "a", "c": 1, "n": NaN}', ":2: field 'n' is nan"),
        ('{"id": "a", "c": 1, "n": 1e999}', ":2: field 'n' is inf"),
        ('{"id": "a", "c": 1, "n": 1000000000000}', ":2: field 'n' is 1000000000000"),
        ('{"id": "a", "c": 1, "n": ' + "9" * 9000 + "}", ":2: a whole number has too many digits"),
        ('{"id": "a", "c": 1}', ":2: field 'n' is None"),
        ('{"id": true, "c": 1, "n": 2}', ":2: field 'id' is True"),
        ('{"id": 1.5, "c": 1, "n": 2}', ":2: field 'id' is 1.5"),
        ('{"id": "", "c": 1, "n": 2}', ":2: field 'id' has 0 characters"),
        ('{"id": "' + "x" * 2000 + '", "c": 1, "n": 2}', ":2: field 'id' has 2000 characters"),
        ('{"id": "\\ud800", "c": 1, "n": 2}', ":2: field 'id' is '\\ud800', which is not Unicode"),
        ('{"id": 0, "c": 1, "n": 2}', ":2: the id '0' stands in "),
        ('{"id": "0", "c": 1, "n": 2}', "first.jsonl:1 already"),
        ('{"id": "a", "c": 1, "c": 2, "n": 2}', ":2: "),
        ("[" * 100_000, ":2: the JSON is nested too deeply"),
        ("[1]", ":2: "),
        ("{", ":2: not JSON at column 1"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(tmp_path: Path, row: str, told: str) -> None:
    path = tmp_path / "first.jsonl"
    path.write_text('{"id": 0, "c": 0, "n": 2}\n' + row + "\n", encoding="utf-8")
    line = refusal(path)
    assert told in line
    assert "--keep-good-rows" not in line


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"id": 0, "c": 0, "n": 2}\n{"id": "\xff", "c": 0, "n": 2}\n')
    assert ":2: " in refusal(path)
    path.write_text('{"id": 0, "c": 0, "n": 2}\n', encoding="utf-16")
    assert "UTF-16" in refusal(path)


def test_a_line_without_an_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"id": 0, "c": 0, "n": 2}\n' + b"x" * 10_000_001)
    assert ":2: the line is longer than" in refusal(path)


def test_the_package_of_the_field_reads_what_is_written(tmp_path: Path) -> None:
    """passk-inference takes the same file (0.3.1)."""
    io = pytest.importorskip("passk_inference.io")
    base, trained = tmp_path / "base.jsonl", tmp_path / "trained.jsonl"
    base.write_text(write(Measured("base", 0, {"a": (8, 1), "b": (8, 4)})), encoding="utf-8")
    trained.write_text(write(Measured("x", 0, {"b": (8, 5), "a": (8, 0)})), encoding="utf-8")
    assert io.load_pair(base, trained) == ([1, 4], [8, 8], [0, 5], [8, 8])
    assert json.loads(base.read_text(encoding="utf-8").splitlines()[0]) == {"id": "a", "c": 1, "n": 8}
