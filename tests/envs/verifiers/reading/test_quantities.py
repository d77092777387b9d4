"""What may stand on the left of a value: expressions with names, not units and not arithmetic."""

from __future__ import annotations

import pytest

from simko.envs import grade
from simko.envs.verifiers.reading.quantities import is_quantity, values_stated


@pytest.mark.parametrize(
    "text",
    ["m+n", "100m+n", "ab", "\\frac{a}{b}", "a^{2}+b^{2}", "x_{1}+x_{2}", "f(1)+f(2)", "AB+CD", "|AB|-|CD|",
     "\\alpha+\\beta",
     "m", "m+1", "2x", "x^{2}", "-x", "m+m", "2AB", "\\sqrt{m}", "\\sin 2x", "x\\cdot2", "n!", "2 \\cdot \\text{length}",
     "a_{10}+1",
     "\\angle A+\\angle B", "\\text{length}+\\text{width}", "|A \\cup B|", "2(p-q)", "a_{1}+\\ldots +a_{n}"],
)  # fmt: skip
def test_quantities(text: str) -> None:
    assert is_quantity(text)


@pytest.mark.parametrize(
    "text",
    ["is", "or", "m<n", "m \\ne n", "7", "e^{i\\pi}", "not m", "2\\pi", "\\sin 2", "2e", "i^{2}", "\\log_{2} 8", "2x < 3",
     "60\\text{ cm}", "60 \\text{ cm}+12\\text{cm}", "1 \\text{ hour}+2 \\text{ hours}", "(3+4)\\text{ m}", "60\\text{k}",
     "12 in+3 in", "6x8", "6 x 8", "6 x (3+4)", "5C2", "0x20", "(a) 41", "\\text{So } 41",
     "\\frac{1}{4}+\\frac{1}{3}",
     "\\text{not length}+\\text{width}", "m, n", "x" * 130],
)  # fmt: skip
def test_what_states_no_quantity(text: str) -> None:
    assert not is_quantity(text)


def test_a_quantity_has_no_letter_of_the_value() -> None:
    assert is_quantity("k+m", frozenset("n"))
    assert not is_quantity("k+n", frozenset("n"))
    assert values_stated(["S", "m+n", "3+4", "7"]) == ["3+4", "7"]
    assert values_stated(["m+n", "7"], frozenset("n")) == ["m+n", "7"]
    assert values_stated(["x", "7"], frozenset("x")) == ["7"]
    assert values_stated(["7"]) == ["7"]


@pytest.mark.parametrize("verifier", ["math", "numeric"])
@pytest.mark.parametrize(
    ("answer", "correct"),
    [
        ("p+q = 60+11 = 71", True), ("10p+q = 71", True), ("S = p+q = 60+11 = 71", True), ("p+q = 60+12 = 71", False),
        ("p+q = 60+11 = 72", False), ("p+q = 72", False), ("2p = 71", True), ("p^2 = 71", True), ("2p = 72", False),
        ("p^2 = 70+1 = 71", True), ("p^2 = 70+2 = 71", False), ("2p = 71 = 72", False), ("2p < 71", False),
        ("2p = 70, 71", False), ("7x8 = 71", False), ("1+1 = 71", False),
        ("p+q = 71 = 72", False),
    ],
)  # fmt: skip
def test_arithmetic_shown_in_the_answer(answer: str, correct: bool, verifier: str) -> None:
    for response in (f"\\boxed{{{answer}}}", f"Answer: {answer}", f"The answer is ${answer}$."):
        assert grade(response, "71", verifier).correct is correct


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("\\$71", "\\$60 + \\$11 = \\$71", True), ("71", "60 \\text{ cm} + 11 \\text{ cm} = 71 \\text{ cm}", True),
        ("71", "60 \\text{ cm} + 12 \\text{ cm} = 71 \\text{ cm}", False), ("0", "p-q = 0", True),
        ("0", "2p-q=0", False),
        ("6", "3^{1999} \\bmod 7 = 6", False), ("3", "3^{1999} \\bmod 7 = 3", True), ("3", "3^{1999} \\bmod 7", False),
        ("3", "r = 3^{1999} \\bmod 7", False), ("3", "3^{1999} \\equiv 3 \\pmod 7", True),
        ("3", "3^{1998} \\equiv 3 \\pmod 7", False),
    ],
)  # fmt: skip
def test_sums_of_quantities_and_remainders(gold: str, answer: str, correct: bool) -> None:
    assert grade(f"\\boxed{{{answer}}}", gold).correct is correct


@pytest.mark.parametrize("verifier", ["math", "numeric"])
def test_units_are_no_names(verifier: str) -> None:
    for hours, correct in (("2", True), ("3", False)):
        answer = f"1 \\text{{ hour}} + {hours} \\text{{ hours}} = 3 \\text{{ hours}}"
        assert grade(f"\\boxed{{{answer}}}", "3", verifier).correct is correct


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("x = 4", "2x = 4", False), ("x = 4", "2y = 4", False), ("x = 2", "2x = 4", True), ("2x = 4", "4", False),
        ("x+1", "2x = x+1", False), ("x+1", "2y = x+1", True), ("0", "x-1 = 0", False), ("0", "x^2 = 0", False),
        ("1, 2", "2x = 1, 3y = 2", False), ("(1, 2)", "x+1 = 1, x-1 = 2", False), ("(1, 2)", "2v = (1, 2)", True),
        ("x > 5", "2x > 5", False), ("5 \\text{ cm}", "2x = 5 \\text{ m}", False),
    ],
)  # fmt: skip
def test_where_one_name_makes_an_equation(gold: str, answer: str, correct: bool) -> None:
    assert grade(f"\\boxed{{{answer}}}", gold).correct is correct


def test_equations_of_one_name_beside_numbers_and_each_other() -> None:
    assert not grade("\\boxed{2x = 4}", "x = 4", "numeric").correct
    assert grade("\\boxed{4}", "2x = 4", "numeric").outcome == "error"
    assert not grade("\\boxed{x-1 = 0}", "0", "numeric").correct
    assert not grade("\\boxed{x-1 = 0}", '{"answer": "0", "tolerance": "0.1"}', "math_row").correct
    assert grade("\\boxed{2x = 42.05}", '{"answer": "42", "tolerance": "0.1"}', "math_row").correct
    assert not grade("\\boxed{x+1 = 42}. \\boxed{x-1 = 42}", "42").correct
    assert grade("\\boxed{2x = 42}. \\boxed{42}", "42").correct
