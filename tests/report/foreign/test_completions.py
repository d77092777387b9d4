"""Completions from anywhere, graded by our verifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from foreign_files import jsonl, refusal

from simko.envs import make
from simko.report.foreign import graded, read

ENV = "simko/Arithmetic-v0"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of problems of one's own, with its splits."""
    rows = [{"id": f"p{i}", "problem": f"What is {i} + 1?", "answer": i + 1} for i in range(4)]
    jsonl(tmp_path / "set" / "train.jsonl", [{"problem": "What is 10 + 1?", "answer": 11}])
    jsonl(tmp_path / "set" / "eval.jsonl", rows)
    return tmp_path / "set"


def test_lines_of_one_id_are_its_samples(tmp_path: Path) -> None:
    tasks = make(ENV, split="eval").source.tasks(2, 0)
    rows: list[Any] = [{"id": tasks[0].id, "text": text} for text in (tasks[0].gold, "0.5", "no number")]
    rows.append({"id": tasks[1].id, "completions": [f"It is {tasks[1].gold}."]})
    (arm,) = read(jsonl(tmp_path / "theirs.jsonl", rows), env=ENV)
    assert arm.counts == {tasks[0].id: (3, 1), tasks[1].id: (1, 1)}
    assert (arm.arm, arm.source, arm.foreign) == ("theirs", "completions", False)
    assert arm.answers[tasks[0].id][tasks[0].gold] == (1, 1)
    assert arm.facts == {
        "env": ENV, "level": None, "data_sha256": None, "verifier": "numeric", "ungraded": 0, "n": None, "problems": 2,
    }  # fmt: skip


def test_a_problem_is_found_by_its_text(tmp_path: Path, data: Path) -> None:
    rows = [
        {"id": 0, "problem": "What  is 2 + 1?", "text": "\\boxed{3}"},
        {"id": "p1", "problem": "What is 3 + 1?", "text": "\\boxed{4}"},  # the id of another row elsewhere
        {"id": "p0", "text": "\\boxed{2}"},
    ]
    (arm,) = read(jsonl(tmp_path / "c.jsonl", rows), env="simko/JSONL-v0", data=str(data))
    assert arm.counts == {"p2": (1, 1), "p3": (1, 1), "p0": (1, 0)}


def test_only_held_out_problems_are_taken(tmp_path: Path, data: Path) -> None:
    path = jsonl(tmp_path / "c.jsonl", [{"id": 9, "problem": "What is 10 + 1?", "text": "11"}])
    assert "no task '9' in split 'eval'" in refusal(path, env="simko/JSONL-v0", data=str(data))
    train = make(ENV, split="train").source.tasks(1, 0)[0]
    assert "in split 'eval'" in refusal(jsonl(path, [{"id": train.id, "text": "1"}]), env=ENV)


def test_a_problem_that_is_another_one_is_refused(tmp_path: Path) -> None:
    task = make(ENV, split="eval").source.tasks(1, 0)[0]
    path = jsonl(tmp_path / "c.jsonl", [{"id": task.id, "problem": "What is love?", "text": "1"}])
    line = refusal(path, env=ENV)
    assert "c.jsonl:1: its problem is 'What is love?'" in line
    assert task.problem[:20] in line


def test_rows_may_bring_their_answers(tmp_path: Path) -> None:
    rows = [{"id": 1, "text": "x = \\boxed{0.5}", "answer": "1/2"}, {"id": 1, "text": "\\boxed{2}", "answer": "1/2"}]
    path = jsonl(tmp_path / "c.jsonl", rows)
    (arm,) = read(path, verifier="math")
    assert (arm.counts, arm.facts["verifier"], arm.facts["env"]) == ({"1": (2, 1)}, "math", None)
    assert "give --env, or --verifier" in refusal(path)
    assert "--level is for an environment" in refusal(path, verifier="math", level=1)
    assert "did you mean 'math'?" in refusal(path, verifier="maths")
    assert ":1: no answer to grade against" in refusal(jsonl(path, [{"id": 1, "text": "2"}]), verifier="math")


def test_the_verifier_can_be_another_one(tmp_path: Path, data: Path) -> None:
    path = jsonl(tmp_path / "c.jsonl", [{"id": "p0", "text": "1"}, {"id": "p1", "text": "2.0"}])
    (arm,) = read(path, env="simko/JSONL-v0", data=str(data), verifier="exact")
    assert (arm.counts, arm.facts["verifier"]) == ({"p0": (1, 1), "p1": (1, 0)}, "exact")


def test_many_samples_are_graded_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graded, "CHUNK", 3)
    rows = [{"id": i % 2, "text": str(i), "answer": 4} for i in range(10)]
    (arm,) = read(jsonl(tmp_path / "c.jsonl", rows), verifier="exact")
    assert arm.counts == {"0": (5, 1), "1": (5, 0)}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": 1, "text": "a", "completions": ["b"]}, "give one of the fields"),
        ({"id": 1, "text": 5}, "field 'text' is 5"),
        ({"id": 1, "completions": []}, "give a list of texts"),
        ({"id": 1, "completions": ["a", None]}, "give a list of texts"),
        ({"id": 1, "text": "a", "answer": {}}, "field 'answer' is {}"),
        ({"text": "a"}, "field 'id' is None"),
    ],
)
def test_a_bad_completion_is_refused_with_its_place(tmp_path: Path, row: Any, told: str) -> None:
    path = jsonl(tmp_path / "c.jsonl", [{"id": 0, "text": "4", "answer": 4}, row])
    line = refusal(path, verifier="exact")
    assert "c.jsonl:2: " in line
    assert told in line
