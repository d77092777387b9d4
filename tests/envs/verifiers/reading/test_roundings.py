"""Decimals as roundings: their places, and the values that they may stand for."""

from __future__ import annotations

from fractions import Fraction

import pytest

from simko.envs import grade
from simko.envs.verifiers.reading.roundings import rounded


@pytest.mark.parametrize(
    ("text", "exact", "stands"),
    [
        ("0.67", "2/3", True), ("0.66", "2/3", False), ("66.7%", "2/3", True), ("1.27 \\times 10^{3}", "1268", True),
        ("-0.67", "-2/3", True),
        ("1.26 \\times 10^{3}", "1268", False), ("1300", "1268", True), ("1,300", "1268", True),
        ("1400", "1268", False),
        ("0.66 \\ldots", "2/3", True), ("0.67 \\ldots", "2/3", False), ("0.66\\ldots", "-2/3", False),
        (".67", "2/3", True), ("0", "2/3", False),
    ],
)  # fmt: skip
def test_the_values_that_a_decimal_stands_for(text: str, exact: str, stands: bool) -> None:
    decimal = rounded(text)
    assert decimal is not None
    assert decimal.stands_for(Fraction(exact)) is stands


@pytest.mark.parametrize(
    "text", ["", "-", ".", "x", "1/3", "1.2.3", "1,23", "\\frac{1}{3}", "1 \\times 10^{9999}", "5 cm", "1 = 1"]
)
def test_what_is_no_decimal(text: str) -> None:
    assert rounded(text) is None


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("\\sqrt{7}", "\\sqrt{7} (\\approx 2.65)", True),
        ("\\sqrt{7}", "\\sqrt{7} \\text{ (approximately 2.65)}", True),
        ("\\sqrt{7}", "\\sqrt7 \\text{, or about } 2.65", True), ("\\sqrt{7}", "\\sqrt7 (approx. 2.65)", True),
        ("\\sqrt{7}", "\\sqrt7 \\simeq 2.6", True),
        ("\\sqrt{7}", "\\sqrt7 = 2.65", True), ("\\sqrt{7}", "\\sqrt7 = 2.64", False),
        ("\\sqrt{7}", "\\sqrt7 = 3", False), ("\\sqrt{7}", "x = 2.65", False),
        ("\\sqrt{7}", "\\sqrt7 \\text{ (about 2.66)}", False), ("\\sqrt{7}", "\\sqrt5 = 2.65", False),
        ("\\sqrt{7}", "2.65", False),
        ("\\sqrt{7}", "\\sqrt7 \\text{ or } 2.65", False), ("\\frac{3}{8}", "\\frac38 = 0.38", False),
        ("\\frac{3}{8}", "\\frac38 = 0.375", True),
        ("2.65", "\\sqrt7 = 2.65", False), ("42", "\\text{about } 42", False),
        ("7\\pi", "7\\pi \\text{ cm} \\approx 22.0 \\text{ cm}", True),
    ],
)  # fmt: skip
def test_an_exact_value_and_its_rounding(gold: str, answer: str, correct: bool) -> None:
    assert grade(f"So it is $\\boxed{{{answer}}}$.", gold).correct is correct
