from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import broken_envs
import pytest

import simko.envs
from simko.envs.audit.contract import CHECKS, CheckResult, _run, check
from simko.envs.audit.probe import Subject, gold_places, is_listed
from simko.errors import UserError
from simko.types import Task

GENERATED = [info.id for info in simko.envs.registry.BUNDLED if info.source == "procedural"]


def failed(results: list[CheckResult]) -> list[str]:
    return [f"{r.name}: {r.detail}" for r in results if not r.passed]


@pytest.mark.parametrize("id", ["fake/Double-v0", "fake_envs:fake/Twice-v0", "broken/Sound-v0"])
def test_sound_environments_pass(id: str) -> None:
    results = check(id)
    assert not failed(results)
    assert [r.name for r in results] == list(CHECKS)


@pytest.mark.parametrize("id", GENERATED)
def test_bundled_environments_pass(id: str) -> None:
    assert not failed(check(id))


@pytest.mark.parametrize("id", GENERATED)
def test_bundled_environments_pass_on_the_evaluation_split(id: str) -> None:
    assert not failed(
        [_run(n, look, Subject(id, {"split": "eval"})) for n, look in CHECKS.items() if "process" not in n]
    )


def test_every_level_of_every_environment_passes() -> None:
    for info in simko.envs.registry.BUNDLED:
        for level in info.levels if info.id in GENERATED else ():
            subject = Subject(info.id, {"level": level, "split": "train"})
            for name in ("gold grades correct", "another gold does not"):
                result = _run(name, CHECKS[name], subject)
                assert result.passed, f"{info.id} level {level}: {result}"


@pytest.mark.parametrize(("id", "name", "says"), broken_envs.BROKEN, ids=[f"{i}" for i, _, _ in broken_envs.BROKEN])
def test_a_broken_environment_fails_its_check(id: str, name: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN_ENVS_HOME", str(os.getpid()))
    result = _run(name, CHECKS[name], Subject(id, {"split": "train"}))
    assert not result.passed, f"{name} did not notice {id}"
    assert says in result.detail


def test_every_check_can_fail() -> None:
    caught = Counter(name for _, name, _ in broken_envs.BROKEN)
    assert set(caught) == set(CHECKS)


def test_one_failure_stops_no_other_check() -> None:
    results = check("broken/NotANumber-v0")
    assert [r.name for r in results] == list(CHECKS)
    assert not next(r for r in results if r.name == "observations, rewards, flags").passed
    assert next(r for r in results if r.name == "train and eval disjoint").passed


def test_an_environment_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'simko/Countdown-v0'"):
        check("simko/Countdwn-v0")
    with pytest.raises(UserError, match="no data"):
        check("simko/JSONL-v0")
    with pytest.raises(UserError, match="nothing"):
        check(f"jsonl:{tmp_path / 'nothing.jsonl'}")


def test_a_file_of_problems(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(f'{{"problem": "{n} + 1 =", "answer": "{n + 1}"}}\n' for n in range(40)))
    for results in (check(f"jsonl:{file}"), check("simko/JSONL-v0", data=str(file))):
        assert not failed(results)


def test_one_file_for_both_splits_of_a_benchmark_is_said(tmp_path: Path) -> None:
    file = tmp_path / "gsm8k.jsonl"
    file.write_text("".join(f'{{"question": "{n} + 1 =", "answer": "so #### {n + 1}"}}\n' for n in range(9)))
    subject = Subject("simko/GSM8K-v0", {"data": str(file), "split": "train"})
    result = _run("splits", CHECKS["train and eval disjoint"], subject)
    assert result.passed
    assert "one file serves as both splits" in result.detail


def test_several_right_answers() -> None:
    task = Task("t", "p", '["ACD", "BDC"]')
    assert is_listed("BDC", task)
    assert not is_listed("A", task)
    assert not is_listed("4", Task("t", "p", "14"))
    assert not is_listed("a", Task("t", "p", "{'a"))


def test_gold_places() -> None:
    task = Task("t", "p", "4")
    assert gold_places("x", {"task": "t", "count": 5, "deep": [{"a": 4}]}, task) == {"x info['deep'][0]['a']"}
    assert gold_places("x", {"gold": None}, task) == {"x info['gold']"}
