from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from simko.cli import app
from simko.envs.audit.explain import explain, rule
from simko.errors import UserError


@pytest.mark.parametrize(
    ("gold", "response", "outcome", "words"),
    [
        (
            "42",
            "<think>41</think>so \\boxed{x = 42.0}",
            "correct",
            ["thinking", "a box", "equations", "exact numbers, 42 and 42"],
        ),
        ("42", "Answer: 42", "correct", ["a final-answer statement", "the same text"]),
        ("42", "42", "correct", ["the whole response"]),
        ("42", "\\boxed{41} \\boxed{42}", "incorrect", ["none: several answers", "41 | 42"]),
        ("42", "no idea what this could be\nat all", "no_answer", ["none: no final answer"]),
        ("5\\text{ cm}", "\\boxed{5\\text{ m}}", "incorrect", ["units differ, cm and m"]),
        ("(1,\\sqrt{8})", "\\boxed{(1, 2\\sqrt{2})}", "correct", ["group () of 2", "algebra"]),
        ("x^2", "\\boxed{\\int x}", "incorrect", ["answer not on the allow-list"]),
        ("x>5", "\\boxed{(5,\\infty)}", "correct", ["an inequality against a set"]),
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


def test_rules() -> None:
    assert rule("3:2", "\\frac{3}{2}") == "a ratio and its fraction"
    assert rule("1+1", "2+0") == "exact values, 2 and 2"
    assert rule("x<1", "y<1") == "inequalities"
    assert "units taken off" in rule("5 \\text{ cm}", "5")
    assert "matrix of 1x2" in rule("\\begin{pmatrix}1&2\\end{pmatrix}", "3")


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
