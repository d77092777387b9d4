from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from simko.cli import app
from simko.envs.audit.explain import explain
from simko.envs.verifiers.worker import pool
from simko.errors import UserError


@pytest.mark.parametrize(
    ("gold", "response", "outcome", "words"),
    [
        (
            "42",
            "<think>41</think>so \\boxed{x = 42.0}",
            "correct",
            ["thinking", "a box", "equations", "'42' with '42.0': exact numbers -> equal"],
        ),
        ("42", "Answer: 42", "correct", ["a final-answer statement", "same text"]),
        ("42", "42", "correct", ["the whole response"]),
        ("42", "\\boxed{41} \\boxed{42}", "incorrect", ["none: several answers", "41 | 42"]),
        ("42", "no idea what this could be\nat all", "no_answer", ["none: no final answer"]),
        ("5\\text{ cm}", "\\boxed{5\\text{ m}}", "incorrect", ["units differ -> different"]),
        ("(1,\\sqrt{8})", "\\boxed{(1, 2\\sqrt{2})}", "correct", ["shapes -> equal", "formulas -> equal", "worker: "]),
        ("x^2", "\\boxed{\\int x}", "incorrect", ["answer not on the allow-list"]),
        ("x>5", "\\boxed{(5,\\infty)}", "correct", ["conditions -> equal", "same text -> equal"]),
        ("\\frac{1}{2}", "x" * 200_000 + "\\boxed{0.5}", "correct", ["the last 100000 of 200011"]),
    ],
)
def test_it_says_what_decided(gold: str, response: str, outcome: str, words: list[str]) -> None:
    found = explain(gold, response)
    said = "\n".join(f"{step.what}: {step.detail}" for step in found.steps)
    assert found.verdict.outcome == outcome
    assert found.steps[-1].what == "verdict"
    for word in words:
        assert word in said, said


class Silent(pool.Pool):
    """No worker answers."""

    def ask(
        self, gold: str, answer: str, digits: int | None = None, limit: float = pool.CPU_SECONDS
    ) -> tuple[pool.Answer, float]:
        return "error", 0.0


def test_the_rule_that_decided_comes_before_those_of_the_parts() -> None:
    steps = [step for step in explain("5 \\text{ cm}", "\\boxed{(5)}").steps if step.what == "compare"]
    assert [step.depth for step in steps] == [0, 1, 2]
    assert [step.detail.rpartition(": ")[2] for step in steps] == [
        "units taken off -> equal",
        "in parentheses -> equal",
        "same text -> equal",
    ]


def test_an_undecided_comparison_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "shared", Silent())
    steps = explain("\\sqrt{2}+\\sqrt{7}", "\\boxed{\\sqrt{7}+\\sqrt{2}}").steps
    assert ("undecided", "the worker said error") in [(step.what, step.detail) for step in steps]


def test_other_verifiers_and_places() -> None:
    assert explain("B", "\\boxed{(b)}", "choice").verdict.correct
    assert explain("42", "\\boxed{42}", "math:final").verdict.outcome == "no_answer"
    assert explain('{"answer": "42"}', "\\boxed{42}", "math_row").verdict.correct
    with pytest.raises(UserError):
        explain("42", "42", "no_such")


def test_the_command() -> None:
    invoke = CliRunner().invoke
    done = invoke(app, ["verify", "explain", "42", "x = 42"])
    assert done.exit_code == 0
    assert "correct, reward 1" in done.output
    done = invoke(app, ["verify", "explain", "42", "-", "--json"], input="\\boxed{43}\n")
    said = json.loads(done.output)
    assert said["verdict"]["outcome"] == "incorrect"
    assert said["steps"][0]["what"] == "extracted"
