"""simko/ReasoningGym-v0 on a stand-in for the package, and on the package itself where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import simko.envs
from simko.envs import grade
from simko.envs.audit.contract import CHECKS, _run
from simko.envs.audit.probe import Subject
from simko.envs.audit.rows import audit
from simko.envs.foreign import gym_pool
from simko.envs.foreign.gym_pool import Gym, gym
from simko.envs.foreign.gym_refused import REFUSED
from simko.envs.foreign.reasoning_gym import ReasoningGym, stated
from simko.errors import UserError
from simko.types import Verdict


@pytest.fixture(autouse=True, scope="module")
def place(python: str) -> Iterator[Gym]:
    """The gym of the stand-in, whose workers are shared by all tests here."""
    made = gym(python)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gym_pool, "SCORE_SECONDS", 0.3)
        yield made
    made.pool.close()


def source(python: str, data: str = "sums", **options: Any) -> ReasoningGym:
    return ReasoningGym("all", None, data, python=python, **{"size": 20, **options})


def verdict(python: str, answer: str, task: str = "sums", **options: Any) -> Verdict:
    made = source(python, task, **options)
    return grade(f"<answer>{answer}</answer>", made.get(f"{task}/7").gold, "reasoning_gym")


def test_items_are_tasks_split_by_content(python: str) -> None:
    train, held_out, every = (ReasoningGym(s, None, "sums", python=python, size=40) for s in ("train", "eval", "all"))
    problems = [{task.problem for task in part.tasks(None, 0)} for part in (train, held_out, every)]
    assert problems[0] | problems[1] == problems[2]
    assert not problems[0] & problems[1]
    assert len(problems[2]) == 40
    task = every.get("sums/7")
    assert (task.problem, json.loads(task.gold)["answer"]) == ("What is 7 + 1?", "8")
    assert every.answer(task) == "<answer>8</answer>"
    again = ReasoningGym("all", None, "sums", python=python, size=40)
    assert again.tasks(None, 0) == every.tasks(None, 0)


def test_options_reach_the_task(python: str) -> None:
    other = source(python, "sums,raising", seed=2, size=30, most=10)
    assert [task.id for task in other.tasks(None, 0)] == [f"sums/{i}" for i in range(10)]
    assert "50 of 60 items repeat" in other.notes[0]
    assert json.loads(other.get("sums/3").gold)["config"] == {"most": 10, "seed": 2, "size": 30}


@pytest.mark.parametrize(
    ("data", "options", "line"),
    [
        ("sum", {}, r"no task 'sum'; did you mean 'sums'\?"),
        (None, {}, "data is ''; name tasks"),
        ("sums,sums", {}, "each once"),
        ("puzzle24", {}, f"'puzzle24' is refused: {REFUSED['puzzle24']}"),
        ("sums", {"size": 0}, "option size is 0; give a whole number from 1"),
        ("sums", {"size": 2.5}, "option size is 2.5"),
        ("sums", {"seed": "x"}, "option seed is 'x'"),
        ("sums", {"part_credit": 1}, "option part_credit is 1; give true or false"),
        ("sums", {"nothing": 1}, "sums: TypeError: .* unexpected keyword argument 'nothing'"),
        ("baditems", {}, "baditems: RuntimeError: no item 3; mend its options"),
        ("notext", {}, "the question of notext/0 is of type list, not text"),
    ],
)
def test_what_cannot_be_asked_is_one_line(python: str, data: str | None, options: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        source(python, data, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_missing_package_names_the_extra(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such program"):
        source(str(tmp_path / "python"))
    broken = tmp_path / "reasoning_gym"
    broken.mkdir()
    (broken / "__init__.py").write_text("import sys; sys.exit('no\\nway')")
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{os.sys.executable}" "$@"\n')  # type: ignore[attr-defined]
    script.chmod(0o755)
    with pytest.raises(UserError, match=r"reasoning-gym: SystemExit: no way; pip install 'simko\[reasoning-gym\]'"):
        source(str(script))
    gym(str(script)).pool.close()


def test_only_a_whole_score_is_correct(python: str) -> None:
    right, part, wrong = (verdict(python, answer) for answer in ("8", "8 or 9", "9"))
    assert [(v.outcome, v.reward) for v in (right, part, wrong)] == [
        ("correct", 1.0), ("incorrect", 0.0), ("incorrect", 0.0)
    ]  # fmt: skip
    credited = [verdict(python, answer, part_credit=True) for answer in ("8", "8 or 9", "9")]
    assert [(v.outcome, v.reward) for v in credited] == [
        ("correct", 1.0), ("incorrect", 0.5), ("incorrect", 0.01)
    ]  # fmt: skip
    assert right.extracted == "8"


@pytest.mark.parametrize(
    ("response", "answer", "conflict"),
    [
        ("<answer>8</answer>", "8", False),
        ("<think><answer>7</answer></think>So <answer>\n1 0\n0 1\n</answer> it is", "1 0\n0 1", False),
        ("<answer>8</answer> again <answer> 8 </answer>", "8", False),
        ("<answer>7</answer> or <answer>8</answer>", None, True),
        ("It is \\boxed{8}.", "8", False),
        ("The answer is 8.", "8", False),
        ("8", "8", False),
        ("Answer: 7\nAnswer: 8", None, True),
        ("<answer>8", None, False),
        ("<answer>8</answer> or <answer>9", "8", False),
        ("<answer>" * 3 + "8", None, False),
        ("", None, False),
    ],
)
def test_where_the_answer_stands(response: str, answer: str | None, conflict: bool) -> None:
    assert stated(response) == (answer, conflict)


@pytest.mark.parametrize("response", ["", "<answer></answer>", "<answer>  \n</answer>", "<answer>8", "hm " * 300])
def test_no_answer_is_not_asked(python: str, response: str) -> None:
    gold = source(python, "wild").get("wild/7").gold
    assert grade(response, gold, "reasoning_gym").outcome == "no_answer"


@pytest.mark.parametrize(
    ("task", "answer", "outcome"),
    [
        ("evaluated", "8", "correct"),
        ("evaluated", "[8, 9]", "incorrect"),
        ("evaluated", "3 + 5", "correct"),
        ("evaluated", "open('{canary}', 'w')", "incorrect"),
        ("evaluated", "__import__('os').system('touch {canary}')", "incorrect"),
        ("evaluated", "(lambda: 8)()", "incorrect"),
        ("evaluated", "8 << 9999999999", "incorrect"),
        ("evaluated", "(" * 5000 + ")" * 5000, "incorrect"),
        ("raising", "8", "correct"),
        ("raising", "eight", "incorrect"),
        ("raising", "1" * 20_001, "incorrect"),
        ("wild", "open", "error"),
        ("wild", "import", "error"),
        ("wild", "compile", "error"),
        ("wild", "die", "error"),
        ("wild", "eat", "error"),
        ("wild", "hang", "timeout"),
        ("wild", "nan", "error"),
        ("wild", "two", "error"),
        ("wild", "minus", "error"),
        ("wild", "text", "correct"),
        ("wild", "true", "correct"),
        ("sums", "8\x00", "incorrect"),
        ("sums", "\ud800", "incorrect"),
    ],
)  # fmt: skip
def test_outcomes(python: str, task: str, answer: str, outcome: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    assert verdict(python, answer.replace("{canary}", str(canary)), task).outcome == outcome
    assert not canary.exists()
    assert verdict(python, "8").correct  # nothing is left behind


def test_several_threads_grade_at_once(python: str) -> None:
    golds = [task.gold for task in source(python).tasks(None, 0)]

    def right(i: int) -> bool:
        answer = json.loads(golds[i % 20])["answer"]
        said = answer if i % 3 else f"{answer}1"
        return grade(f"<answer>{said}</answer>", golds[i % 20], "reasoning_gym").correct == bool(i % 3)

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(right, range(60)))


def test_workers_that_only_die_are_not_asked_for_ever(
    python: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gym_pool, "MAX_LOST", 2)
    place = gym(python)
    gold = source(python, "wild").get("wild/7").gold
    for _ in range(3):
        assert grade("<answer>die</answer>", gold, "reasoning_gym").outcome == "error"
    before = place.pool.starts
    assert grade("<answer>true</answer>", gold, "reasoning_gym").outcome == "error"
    assert place.pool.starts == before
    assert "ended in a row; answers are masked from here on" in capsys.readouterr().err
    assert verdict(python, "8").correct  # it is opened anew


@pytest.mark.parametrize("gold", ["", "[]", "{}", '{"task": "sums", "config": {}, "index": -1}', "nonsense"])
def test_gold_answers_of_strangers_are_errors(gold: str) -> None:
    assert grade("<answer>8</answer>", gold, "reasoning_gym").outcome in ("error", "incorrect")


def test_the_contract_and_the_audit_hold(python: str) -> None:
    options = {"python": python, "size": 60}
    subject = Subject("simko/ReasoningGym-v0", {"data": "sums", "source_options": options})
    results = [_run(name, look, subject) for name, look in CHECKS.items() if "process" not in name]
    assert not [f"{r.name}: {r.detail}" for r in results if not r.passed]
    entries = audit("simko/ReasoningGym-v0", "sums", checks=False, source_options=options)
    assert [(e.split, e.passed, e.gold[0] == e.gold[1] > 0) for e in entries] == [
        ("train", True, True),
        ("eval", True, True),
    ]
    unknown = audit("simko/ReasoningGym-v0", "noanswer", checks=False, source_options=options)
    assert unknown[0].gold == (0, 0)


@pytest.mark.skipif(importlib.util.find_spec("reasoning_gym") is None, reason="reasoning-gym is not installed")
@pytest.mark.parametrize("task", ["chain_sum", "countdown", "n_queens", "simple_integration", "binary_matrix"])
def test_the_real_package(task: str) -> None:
    env = simko.envs.make("simko/ReasoningGym-v0", data=task, source_options={"size": 20})
    for item in env.source.tasks(3, 0):
        assert env.grade(env.source.answer(item), item).correct  # type: ignore[attr-defined]
        for wrong in ("<answer>__import__('os')</answer>", "<answer>nonsense</answer>"):
            assert env.grade(wrong, item).outcome == "incorrect"
