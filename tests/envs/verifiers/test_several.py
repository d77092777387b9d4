"""Lists of accepted answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import simko.envs
from simko.envs.verifiers import get_verifier, register_verifier
from simko.envs.verifiers.several import accepted_answers
from simko.errors import UserError


@pytest.mark.parametrize(
    ("verifier", "answers", "right", "wrong"),
    [
        ("exact", ["Paris", "Lutetia"], ["Paris", "Lutetia"], ["paris", "London"]),
        ("exact:nocase", ["Paris", "Lutetia"], ["PARIS", "lutetia"], ["London"]),
        ("numeric", ["3", "4"], ["3.0", "4"], ["5"]),
        ("numeric:0.1", ["100", "7"], ["105", "7.5"], ["50"]),
        ("choice", ["A", "C"], ["A", "C"], ["B"]),
        ("math", ["x+1", "2"], ["1 + x", "\\frac{4}{2}"], ["x"]),
        ("math:boxed", ["1", "2"], ["1", "2"], ["3"]),
    ],
)
def test_any_accepted_answer_is_correct(verifier: str, answers: list[str], right: list[str], wrong: list[str]) -> None:
    gold = json.dumps({"answer": answers[0], "accepted": answers[1:]})
    check = get_verifier(verifier)
    assert all(check(f"\\boxed{{{text}}}", gold).outcome == "correct" for text in right)
    assert all(check(f"\\boxed{{{text}}}", gold).outcome == "incorrect" for text in wrong)
    assert check("", gold).outcome == "no_answer"


def test_other_json_is_a_gold_like_any_text() -> None:
    for gold in (
        '{"answer": "4"}',
        '{"answer": 4, "accepted": []}',
        '{"answer": "4", "accepted": [5]}',
        '{"answer":',
        "4",
    ):
        assert accepted_answers(gold) == [gold]
    assert get_verifier("exact")('{"answer": "4"}', '{"answer": "4"}').correct


def test_each_answer_of_a_list_must_verify(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"problem": "p", "answer": ["4", "nan"]}) + "\n")
    with pytest.raises(UserError, match=r"d\.jsonl:1: field 'answer' is 'nan', which stands for a missing value"):
        simko.envs.make("simko/JSONL-v0", data=str(path), split="all")


def test_a_list_is_refused_where_the_verifier_takes_one_answer(tmp_path: Path) -> None:
    register_verifier("test/one", lambda response, gold: response == gold)
    path = tmp_path / "d.jsonl"
    path.write_text('{"problem": "p", "answer": ["4", "four"]}\n{"problem": "q", "answer": "5"}\n')
    settings = {"data": str(path), "split": "all", "verifier": "test/one"}
    with pytest.raises(
        UserError, match=r"d\.jsonl:1: field 'answer' is a list, and 'test/one' takes one answer; give one"
    ):
        simko.envs.make("simko/JSONL-v0", **settings)
    env = simko.envs.make("simko/JSONL-v0", **settings, source_options={"keep_good_rows": True})
    assert [task.gold for task in env.source.tasks(None, 0)] == ["5"]
