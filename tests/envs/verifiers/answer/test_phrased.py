"""The phrases of the corpus: every one that states the answer is read, none of the others is."""

from __future__ import annotations

import random

import pytest

from simko.envs import grade
from simko.envs.audit.corpus import phrased
from simko.envs.audit.corpus.phrases import NOT_STATED, STATED

PAIRS = [
    ("42", "43"),
    ("\\sqrt{2}", "\\sqrt{3}"),
    ("x^2+1", "x^2-1"),
    ("(3, 5)", "(5, 3)"),
    ("\\frac{3}{4}", "\\frac{4}{3}"),
    ("-7", "7"),
]


def test_there_are_hundreds() -> None:
    assert len(STATED) > 230
    assert len(NOT_STATED) > 230


@pytest.mark.parametrize(("gold", "other"), PAIRS)
def test_stated(gold: str, other: str) -> None:
    for kind, text in phrased.right(gold, other, 150, random.Random(1)):
        assert grade(text, gold).outcome == "correct", (kind, text)


@pytest.mark.parametrize(("gold", "other"), PAIRS)
def test_not_stated(gold: str, other: str) -> None:
    for kind, text in phrased.wrong(gold, other, 150, random.Random(1)):
        assert grade(text, gold).outcome in ("incorrect", "no_answer"), (kind, text)


@pytest.mark.parametrize(
    ("gold", "response", "correct"),
    [
        ("(1,2)", "$\\boxed{x=1}$, so then $\\boxed{y=2}$", True),
        ("(1,2)", "$x = \\boxed{1}$ and therefore $y = \\boxed{2}$", True),
        ("(1,2)", "$\\boxed{x=2}$, so then $\\boxed{y=1}$", False),
        ("(1,2)", "$\\boxed{x=1}$, no, $\\boxed{x=3}$, so $\\boxed{y=2}$", False),
        ("2", "$\\boxed{x=1}$, so then $\\boxed{y=2}$", False),
        ("(45,2)", "\\boxed{(k,n)=(45,2)}", True),
        ("\\frac{1}{2}", "\\boxed{1/2}, or in decimals \\boxed{0.5}", True),
        (
            "\\frac{\\sqrt{2}}{2}",
            "\\boxed{\\frac{1}{\\sqrt{2}}}. This is the same as \\boxed{\\frac{\\sqrt{2}}{2}}",
            True,
        ),
        (
            "\\frac{\\sqrt{2}}{2}",
            "\\boxed{\\frac{1}{\\sqrt{3}}}. This is the same as \\boxed{\\frac{\\sqrt{2}}{2}}",
            False,
        ),
        ("B", "The answer is Option B.", True),
        ("1, 2", "$x = \\boxed{1}$ or $x = \\boxed{2}$", True),
    ],
)
def test_several_boxes(gold: str, response: str, correct: bool) -> None:
    assert grade(response, gold).correct is correct
