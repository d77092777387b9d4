"""Powers, factorials and binomials that sympy may not see: equal, different, undefined or unknown, and always cheap."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest

from simko.envs import grade
from simko.envs.verifiers.math.large import remainder, same, value

EQUAL = [
    ("2^{2^{5}} \\cdot 7", "7 \\times 4^{16}"),
    ("\\frac{5^{1999}-1}{4 \\cdot 5^{1999}}", "\\frac{1}{4}-\\frac{1}{4\\cdot 5^{1999}}"),
    ("\\binom{1999}{2}", "\\frac{1999 \\cdot 1998}{2}"), ("\\frac{1998!}{1996!}", "1998 \\cdot 1997"),
    ("\\binom{3}{5}", "0"),
    ("(\\frac{3}{4})^{1999}", "\\frac{3^{1999}}{4^{1999}}"), ("7^{-1999}", "\\frac{1}{7^{1999}}"),
    ("8^{9^{9}}", "2^{1162261467}"),
    ("\\underbrace{77\\ldots 7}_{1999}", "\\frac{7(10^{1999}-1)}{9}"), ("5^{1999/2}", "5^{999}\\sqrt{5}"),
    ("(\\sqrt{2}+\\sqrt{3})(\\sqrt{3}-\\sqrt{2})", "1"),
    ("\\sqrt{6}\\cdot 3^{1999}", "\\sqrt{2}\\sqrt{3} \\cdot 3^{1999}"),
    ("(x^{1999}+1)(x^{1999}-1)", "x^{3998}-1"), ("(2\\pi)^{1999}", "2^{1999}\\pi^{1999}"), ("2^{200}", str(2**200)),
]  # fmt: skip
DIFFERENT = [
    ("2^{2^{5}}", "2^{31}"), ("\\binom{1999}{2}", "\\binom{1999}{3}"), ("1998!", "1998! + 1"),
    ("8^{9^{9}}", "2^{1162261468}"),
    ("5^{1999/2}", "5^{1000}"), ("\\sqrt{2} \\cdot 3^{1999}", "\\sqrt{3} \\cdot 3^{1999}"), ("x^{1999}", "x^{1998}"),
    ("x^{1999}", "y^{1999}"), ("2^{200}", str(2**200 + 1)), ("1", "\\frac{2^{1999}}{0^{1999}}"), ("1", "0^{0}"),
    ("1", "0^{-5}"),
    ("\\underbrace{77\\ldots 7}_{1999}", "\\frac{7(10^{1998}-1)}{9}"),
]  # fmt: skip
UNKNOWN = [
    "9^{9^{9^{9}}}", "x^{n}", "i^{1999}", "9999!", "(\\frac{1}{2})!", "\\binom{-3}{2}", "\\sqrt{-2}", "\\sin(1)",
    "2\\frac{1}{3}",
    "\\sqrt{2}+\\sqrt{3}+\\sqrt{5}+\\sqrt{7}+\\sqrt{11}", "2^{\\frac{1}{3}}",
    "+".join(["4000!"] * 30), "(" * 40 + "1" + ")" * 40,
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal(gold: str, answer: str) -> None:
    assert same(gold, answer) is True
    assert same(answer, gold) is True
    assert same(gold, f"{answer} + 1") is False


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different_or_without_a_value(gold: str, answer: str) -> None:
    assert same(gold, answer) is False


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_is_too_large_or_not_read_is_not_decided(text: str) -> None:
    assert same(text, text) is None
    assert value(text) is None or "sqrt" in text


def test_the_exact_value_has_a_limit() -> None:
    assert value("\\frac{2^{10}-1}{3!}") == Fraction(1023, 6)
    assert value("2^{4000}") == 2**4000
    assert value("2^{9000}") is None
    assert value("\\sqrt{4}") is None
    assert value("1/0") is None


def test_remainders_of_whole_numbers() -> None:
    assert remainder("3^{1999} + 5!", 1000) == (3**1999 + 120) % 1000
    assert remainder("-2^{5}", 7) == 3
    assert remainder("\\binom{2000}{3}", 11) == 2000 * 1999 * 1998 // 6 % 11
    assert remainder("\\frac{1}{3}", 7) is None
    assert remainder("x", 7) is None
    assert remainder("2^{3}", 1) is None


@pytest.mark.parametrize(
    "bomb",
    [
        "+".join(f"{4900 + i}!" for i in range(12)), "+".join(f"\\binom{{{4900 + i}}}{{2400}}" for i in range(12)),
        "\\binom{10^{12}}{1200}", "(((2^{1000})^{1000})^{1000})^{1000}", "+".join(["\\sqrt{999999937}"] * 30),
        "9" * 1000 + "^{9999}", "1+" * 98 + "1", "2^{" * 60 + "2" + "}" * 60, "x^{9999999999}",
    ],
)  # fmt: skip
def test_it_stays_cheap(bomb: str) -> None:
    begun = time.thread_time()
    same(bomb, f"{bomb} + 1")
    value(bomb)
    assert time.thread_time() - begun < 0.5


def test_its_time_comes_out_of_the_allowance() -> None:
    assert grade("\\boxed{4^{16}\\cdot 3^{1999} \\cdot 5^{1999}}", "2^{2^{5}} \\cdot 15^{1999}").correct
    assert grade("\\boxed{4^{2^{13}}}", "2^{2^{14}}", timeout=0).outcome == "timeout"
