"""What may stand on the left of a value: sums of names, not equations for one name."""

from __future__ import annotations

import pytest

from simko.envs import grade
from simko.envs.verifiers.reading.quantities import is_quantity, values_stated


@pytest.mark.parametrize(
    "text",
    ["m+n", "100m+n", "ab", "\\frac{a}{b}", "a^{2}+b^{2}", "x_{1}+x_{2}", "f(1)+f(2)", "AB+CD", "|AB|-|CD|",
     "\\alpha+\\beta",
     "\\angle A+\\angle B", "\\text{length}+\\text{width}", "|A \\cup B|", "2(p-q)", "a_{1}+\\ldots +a_{n}"],
)  # fmt: skip
def test_quantities(text: str) -> None:
    assert is_quantity(text)


@pytest.mark.parametrize(
    "text",
    ["m", "m+1", "2x", "x^{2}", "-x", "m+m", "is", "or", "m<n", "m \\ne n", "7", "2AB", "e^{i\\pi}", "not m",
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
        ("p+q = 60+11 = 72", False), ("p+q = 72", False), ("2p = 71", False), ("p^2 = 71", False),
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
