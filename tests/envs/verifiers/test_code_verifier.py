"""The verifier `code`: outcomes and parts, with programs in a sandbox where there is one."""

from __future__ import annotations

import json

import pytest

from simko.envs import grade
from simko.envs.code import grading, jails
from simko.envs.code.jails import Jail
from simko.envs.verifiers import warm_up
from simko.errors import UserError

GOLD = json.dumps({"tests": "assert f(1) == 2\nassert f(2) == 4\nfor i in range(2):\n    assert f(i) == 2 * i\n"})


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jails, "_settings", jails.Settings())
    try:
        jails.chosen()
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("sandbox")
def test_outcomes_and_parts() -> None:
    right = grade("```python\ndef f(x): return 2 * x\n```", GOLD, "code")
    assert (right.outcome, right.reward, dict(right.parts)) == ("correct", 1.0, {"passed": 1.0, "weaker": 1 / 3})
    wrong = grade("```python\ndef f(x): return 2\n```", GOLD, "code")
    assert (wrong.outcome, wrong.reward, wrong.parts["passed"]) == ("incorrect", 0.0, 1 / 3)
    assert wrong.extracted == "def f(x): return 2"
    assert grade("```python\nwhile\n```", GOLD, "code").outcome == "incorrect"
    assert grade("I do not know.", GOLD, "code").outcome == "no_answer"


@pytest.mark.usefixtures("sandbox")
def test_a_program_over_its_time_is_incorrect() -> None:
    jails.configure(cpu_seconds=0.3)
    verdict = grade("```python\nwhile True: pass\n```", GOLD, "code")
    assert verdict.outcome == "incorrect"


def test_a_sandbox_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Jail, *_: object) -> None:
        raise OSError(11, "no more processes")

    monkeypatch.setattr(grading, "chosen", lambda: Jail("bwrap", "python"))
    monkeypatch.setattr(Jail, "run", fails)
    assert grade("```python\nx = 1\n```", GOLD, "code").outcome == "error"


def test_without_a_sandbox_nothing_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(jails, "_found", lambda unsafe: "nothing is installed")
    monkeypatch.setattr(jails, "_settings", jails.Settings())
    with pytest.raises(
        UserError, match=r"no sandbox for programs: nothing is installed; pip install 'simko\[sandbox\]'"
    ):
        warm_up("code")
    assert grade("```python\nx = 1\n```", GOLD, "code").outcome == "error"
    assert "no sandbox" in capsys.readouterr().err


@pytest.mark.parametrize(
    "gold", ["", "{}", "[]", '{"tests": 5}', '{"tests": "x ="}', '{"cases": [1]}', '{"calls": []}']
)
def test_tests_that_cannot_be_read_are_an_error(gold: str) -> None:
    assert grade("```python\nx = 1\n```", gold, "code").outcome == "error"
