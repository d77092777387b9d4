from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs.verifiers.reading.numbers import Number, equal, evaluate, parse_number, significant_digits

READ = [
    ("42", "42"), ("-42", "-42"), ("+42", "42"), ("−42", "-42"), ("- 42", "-42"), (" 042 ", "42"), ("42.", "42"),
    ("1,234,567", "1234567"), ("1{,}234", "1234"), ("1\\,234", "1234"), ("1,\\!234", "1234"), ("1 234", "1234"),
    ("-1,234.50", "-1234.5"), ("0.5", "1/2"), (".5", "1/2"), ("3/4", "3/4"), ("-3/4", "-3/4"), ("6/8", "3/4"),
    ("\\frac{3}{4}", "3/4"), ("\\dfrac{3}{4}", "3/4"), ("\\frac34", "3/4"), ("-\\frac{3}{4}", "-3/4"),
    ("\\frac{-3}{4}", "-3/4"), ("\\frac{1.5}{2}", "3/4"), ("1\\frac{1}{2}", "3/2"), ("-1\\frac{1}{2}", "-3/2"),
    ("1 1/2", "3/2"), ("1.5e3", "1500"), ("1.5E-3", "3/2000"), ("1.5 \\times 10^{-3}", "3/2000"), ("2*10^3", "2000"),
    ("10^{-3}", "1/1000"), ("0.\\overline{3}", "1/3"), ("0.1\\overline{6}", "1/6"), ("1.\\overline{09}", "12/11"),
    ("{42}", "42"), ("1e-50", "1/" + "1" + "0" * 50),
]  # fmt: skip
UNREAD = [
    "", " ", "-", "+", ".", "x", "4x", "1,23", "1,2", "12,34", "1,2345", "1 2", "4 2", "1/0", "\\frac{1}{0}", "1//2",
    "1/2/3", "1.2.3", "--4", "+-4", "4-2", "4+2", "2^3", "\\sqrt{4}", "\\pi", "42_5", "42=42", "(42)", "1e999", "1e", "e3",
    "10^{999999999}", "1\\frac{3}{2}", "1\\frac{-1}{2}", "inf", "nan", "٤٢x", "0x10", "1_000", "4" * 201, "\\frac{1}{2}3",
    "9" * 301, "0." + "3" * 250, "1 000 0", "1, 234", "50%%",
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), READ)
def test_numbers_are_read_exactly(text: str, value: str) -> None:
    assert parse_number(text) == Number(Fraction(value))


@pytest.mark.parametrize("text", UNREAD)
def test_everything_else_is_no_number(text: str) -> None:
    assert parse_number(text) is None


def test_percent_is_a_unit_and_a_value() -> None:
    half = parse_number("50\\%")
    assert half == parse_number("50 %") == Number(Fraction(50), percent=True)
    assert half is not None
    assert equal(half, Number(Fraction(50)))
    assert equal(Number(Fraction(1, 2)), half)
    assert not equal(half, Number(Fraction(5000)))
    assert not equal(half, Number(Fraction(1, 2), percent=True))


def test_tiny_numbers_that_differ_are_different() -> None:
    a, b = parse_number("1e-30"), parse_number("2e-30")
    assert a is not None
    assert b is not None
    assert not equal(a, b)


@given(st.fractions())
def test_what_is_written_is_read_back(value: Fraction) -> None:
    assert parse_number(f"{value.numerator}/{value.denominator}") == Number(value)
    sign = "-" if value < 0 else ""
    assert parse_number(f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}") == Number(value)


@given(st.integers(-(10**30), 10**30), st.integers(0, 20))
def test_decimals_and_separators(value: int, places: int) -> None:
    scaled = Fraction(value, 10**places)
    digits = str(abs(value)).rjust(places + 1, "0")
    whole, decimals = (digits[:-places], digits[-places:]) if places else (digits, "")
    grouped = f"{int(whole):,}"
    text = ("-" if value < 0 else "") + grouped + (f".{decimals}" if places else "")
    assert parse_number(text) == Number(scaled)


@given(st.text("0123456789.,/ -+eE%\\frac{}^*()_", max_size=30))
def test_any_text_is_a_number_or_none(text: str) -> None:
    number = parse_number(text)
    assert number is None or isinstance(number.value, Fraction)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3 + 5", 8), ("23 + 48 - 7", 64), ("2 + 3 * 4", 14), ("(2 + 3) * 4", 20), ("-(2 - 5)", 3), ("7/2 - 3", "1/2"),
        ("2 \\times 3 \\cdot 4", 24), ("6 \\div 4", "3/2"), ("1,000 + 1", 1001), ("\\left(1 + 1\\right) * 2", 4), ("8", 8),
        ("10 - 4 - 3", 3), ("16 / 4 / 2", 2), ("0.1 + 0.2", "3/10"), ("--3", 3),
    ],
)  # fmt: skip
def test_sums_and_products(text: str, value: int | str) -> None:
    assert evaluate(text) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3 +",
        "+ 3",
        "3 5",
        "3 + x",
        "2^3",
        "2**3",
        "1/0",
        "(3",
        "3)",
        "()",
        "3 = 3",
        "1+" * 200 + "1",
        "(" * 400,
        "__",
    ],
)
def test_what_is_no_sum(text: str) -> None:
    assert evaluate(text) is None


@given(st.text("0123456789+-*/(). ", max_size=40))
def test_evaluate_never_raises(text: str) -> None:
    assert evaluate(text) is None or isinstance(evaluate(text), Fraction)


def test_significant_digits() -> None:
    assert significant_digits("0.333333") == 6
    assert significant_digits("-0.00012") == 2
    assert significant_digits("12.50") == 4
    for text in ("12", "1e-3", "x", "1.2.3", ""):
        assert significant_digits(text) == 0
