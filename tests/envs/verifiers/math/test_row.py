from __future__ import annotations

import json

import pytest

from simko.envs import grade


def gold(**parts: object) -> str:
    return json.dumps(parts)


@pytest.mark.parametrize(
    ("response", "parts", "outcome"),
    [
        ("\\boxed{4.2}", {"answer": "4.2"}, "correct"),
        ("\\boxed{4.25}", {"answer": "4.2", "tolerance": "1e-1"}, "correct"),
        ("\\boxed{x = 4.3}", {"answer": "4.2", "tolerance": 0.1}, "correct"),
        ("\\boxed{4.31}", {"answer": "4.2", "tolerance": "1e-1"}, "incorrect"),
        ("\\boxed{4.25 \\text{ km}}", {"answer": "4.2 \\text{ m}", "tolerance": "1e-1"}, "incorrect"),
        ("\\boxed{4.25} or \\boxed{9}", {"answer": "4.2", "tolerance": "1e-1"}, "incorrect"),
        ("\\boxed{1 = 4.25}", {"answer": "4.2", "tolerance": "1e-1"}, "incorrect"),
        ("\\boxed{7}", {"answer": "4", "accepted": ["5", "7"]}, "correct"),
        ("\\boxed{8}", {"answer": "4", "accepted": ["5", "7"]}, "incorrect"),
        ("I do not know.\nReally.", {"answer": "4", "accepted": ["5"]}, "no_answer"),
        ("\\boxed{4}", {"answer": 4}, "error"),
        ("\\boxed{4}", {"answers": "4"}, "error"),
        ("\\boxed{4}", {"answer": "4", "tolerance": "wide"}, "error"),
        ("\\boxed{4}", {"answer": "4", "tolerance": "-1"}, "error"),
        ("\\boxed{4}", {"answer": "4", "accepted": [5]}, "error"),
        ("\\boxed{4}", {"answer": "4", "accepted": 5}, "error"),
    ],
)
def test_parts_of_a_gold(response: str, parts: dict[str, object], outcome: str) -> None:
    assert grade(response, gold(**parts), "math_row").outcome == outcome


@pytest.mark.parametrize(
    ("answer", "response"), [("\\{1, 2\\}", "2, 1"), ("{1}", "1"), ("\\frac12", "0.5"), ("-3", "-3")]
)
def test_a_bare_gold_is_maths(answer: str, response: str) -> None:
    assert grade(f"\\boxed{{{response}}}", answer, "math_row").correct
    assert not grade("\\boxed{77}", answer, "math_row").correct


def test_a_broken_gold_is_an_error() -> None:
    assert grade("\\boxed{1}", '{"answer": ', "math_row").outcome == "error"
