"""CSV and TSV files as rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from simko.envs.data.csv_rows import read_csv
from simko.envs.data.jsonl import JSONL
from simko.envs.data.rows import Sieve
from simko.errors import UserError


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """A file with this text, line ends as they are."""
    path.write_bytes(text.encode(encoding))
    return path


def test_cells_are_text_and_empty_ones_are_no_value(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.csv", 'problem,answer,level\r\n"1, 2\r\nor 3?",03,\r\n\r\n"say ""a""",a,2\r\n', "utf-8-sig"
    )
    assert list(read_csv(path)) == [
        (2, {"problem": "1, 2\r\nor 3?", "answer": "03", "level": None}),
        (5, {"problem": 'say "a"', "answer": "a", "level": "2"}),
    ]


@pytest.mark.parametrize(("name", "between"), [("a.csv", ","), ("a.csv", ";"), ("a.TSV", "\t")])
def test_the_delimiter_is_seen(tmp_path: Path, name: str, between: str) -> None:
    path = written(tmp_path / name, f"problem{between}answer\n1 + 1?{between}2\n")
    (task,) = JSONL("all", data=path).tasks(None, 0)
    assert (task.id, task.problem, task.gold) == ("a/2", "1 + 1?", "2")


def test_a_row_with_other_cells_is_refused_by_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "problem,answer\np,1\nq,2,3\nr\ns,4\n")
    with pytest.raises(UserError, match=r"a\.csv:3: the row has 3 cells, and the header 2"):
        list(read_csv(path))
    sieve = Sieve(keep_good=True)
    assert [row["problem"] for _, row in read_csv(path, sieve)] == ["p", "s"]
    assert len(sieve.bad) == 2


@pytest.mark.parametrize(
    ("text", "encoding", "says"),
    [
        ("", "utf-8", "the header is"),
        ("problem,,answer\n", "utf-8", "the header is"),
        ("problem,answer,problem\n", "utf-8", "the header is"),
        ('problem,answer\n"p"x,1\n', "utf-8", r"a\.csv:2: not CSV"),
        ('problem,answer\n"p,1\n', "utf-8", "not CSV"),
        ("problem,answer\np,ä\n", "latin-1", "not UTF-8"),
        ("problem,answer\np,a\n", "utf-16", "UTF-16"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, text: str, encoding: str, says: str) -> None:
    path = written(tmp_path / "a.csv", text, encoding)
    with pytest.raises(UserError, match=says):
        list(read_csv(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no\.csv: cannot be read"):
        list(read_csv(tmp_path / "no.csv"))
