"""Columns of other names: problem=question,answer=solution:boxed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simko.envs.data.columns import Columns
from simko.envs.data.jsonl import JSONL
from simko.errors import UserError


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    """A file of these rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_columns_are_read_from_text_and_from_a_mapping() -> None:
    text = Columns.read(" problem = question, answer=out.final , level=hard")
    assert text == Columns.read({"problem": "question", "answer": "out.final", "level": "hard"})
    assert Columns.read("answer=solution:boxed") == Columns({"answer": "solution"}, "boxed")
    assert Columns.read("answer=a:b") == Columns({"answer": "a:b"})
    assert Columns.read(None) == Columns()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("question", "'question' names no column; write problem=COLUMN,answer=COLUMN"),
        ("prblem=q", "unknown field 'prblem'; did you mean 'problem'"),
        ("problem=", "'problem' names no column"),
        ("problem=a,problem=b", "'problem' is named twice"),
        ("answer=:boxed", "'answer' names no column"),
    ],
)
def test_another_form_is_refused(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Columns.read(text)


def test_other_columns_become_the_task(tmp_path: Path) -> None:
    row = {"question": "1 + 1?", "out": {"final": [2, "two"]}, "name": "a", "hard": 3, "problem": "not this"}
    columns = "problem=question,answer=out.final,id=name,level=hard,system=hint"
    path = jsonl(tmp_path / "d.jsonl", row | {"hint": "Count."})
    (task,) = JSONL("all", data=path, columns=columns).tasks(None, 0)
    assert (task.id, task.problem, task.level, task.system) == ("a", "1 + 1?", "3", "Count.")
    assert task.gold == '{"answer": "2", "accepted": ["two"]}'


@pytest.mark.parametrize(
    ("part", "solution", "gold"),
    [("boxed", "So \\boxed{3} or rather \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"), ("####", "2 + 2 #### 4\n", "4")],
)
def test_the_answer_within_a_worked_solution(tmp_path: Path, part: str, solution: str, gold: str) -> None:
    path = jsonl(tmp_path / "d.jsonl", {"problem": "p", "solution": solution}, {"problem": "q", "solution": "none"})
    source = JSONL("all", data=path, columns=f"answer=solution:{part}", keep_good_rows=True)
    assert [task.gold for task in source.tasks(None, 0)] == [gold]
    assert "d.jsonl:2: field 'solution' has no " in source.bad_rows[0]


def test_a_column_that_is_not_there_is_named_with_its_row(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", {"question": "p", "answer": "a"})
    with pytest.raises(UserError, match=r"d\.jsonl:1: no column 'questoin', .* problem; did you mean 'question'"):
        JSONL("all", data=path, columns="problem=questoin")
    with pytest.raises(UserError, match=r"no field 'problem' .* or name the column: --columns problem=COLUMN"):
        JSONL("all", data=path)
    blank = jsonl(tmp_path / "e.jsonl", {"question": "p", "key": " "})
    with pytest.raises(UserError, match=r"e\.jsonl:1: field 'key' is ' '"):
        JSONL("all", data=blank, columns="problem=question,answer=key")
