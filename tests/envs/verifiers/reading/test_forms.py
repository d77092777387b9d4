"""Spellings that mean the same, and near misses of them, class by class."""

from __future__ import annotations

import pytest

from simko.envs import grade
from simko.envs.verifiers.math.intervals import condition
from simko.envs.verifiers.reading.quantities import is_quantity
from simko.envs.verifiers.reading.shapes import is_name
from simko.envs.verifiers.reading.units import same_unit, split_unit
from simko.envs.verifiers.worker.letters import one_case

SAME = [
    ("x \\le 5", "x <= 5"), ("x \\ge 5", "5 <= x"), ("x \\ne 3", "x != 3"), ("\\{-3,3\\}", "{-3, 3}"),
    ("1-\\frac{1}{e}", "1-\\frac{1}{\\mathrm{e}}"), ("2i", "2\\mathrm{i}"), ("-2 \\le x \\le 7", "[-2,7]"),
    ("-2 \\le x \\le 7", "x \\in [-2,7]"), ("x\\in[-2,7]", "-2\\le x\\le 7"), ("0<x<1", "(0,1)"), ("x>5", "(5,\\infty)"),
    ("x \\le 5", "(-\\infty,5]"), ("(5,\\infty)", "5 < x"), ("7 \\ge x \\ge -2", "[-2,7]"),
    ("(-\\infty,1)\\cup(2,\\infty)", "x<1 \\text{ or } x>2"), ("x>2 \\text{ or } x<1", "(-\\infty,1)\\cup(2,\\infty)"),
    ("42", "|AB| = 42"), ("7:32", "S_{MBCN}:S=7:32"), ("42", "m+n = 42"), ("42", "a + b + c = 42"), ("42", "ab = 42"),
    ("\\frac12", "\\cos \\theta = \\frac{1}{2}"), ("\\frac12", "\\sin A = 1/2"), ("\\frac{3}{2}", "3:2"), ("2:1", "2/1"),
    ("\\frac{NO}{BO}=\\frac{1}{\\sqrt{6}}", "\\frac{1}{\\sqrt{6}}"),
    ("(5,8),(8,5)", "(x,y)=(5,8) \\quad \\text{and} \\quad (8,5)"), ("1,2", "1 \\text{and} 2"), ("(5,8)", "x=5, y=8"),
    ("(5,8)", "y=8, x=5"), ("9.8\\text{ m/s}^2", "9.8 \\text{ m s}^{-2}"), ("5\\text{ m/s}", "5\\ \\frac{\\text{m}}{\\text{s}}"),
    ("5\\text{ m/s}", "5 meters per second"), ("30^\\circ", "30^\\circ\\text{C}"), ("\\text{No}", "no"),
    ("(-\\infty,\\infty)", "\\mathbb{R}"), ("\\mathbb{R}", "(-\\infty,\\infty)"), ("\\mathbb{R}", "\\text{all real numbers}"),
    ("\\emptyset", "\\{\\}"),
    ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\left(\\begin{array}{cc}1&2\\\\3&4\\end{array}\\right)"),
    ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\left[\\begin{array}{c|c}1 & 2 \\\\ 3 & 4 \\end{array}\\right]"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix} 1 \\\\[2mm] 2 \\end{pmatrix}"), ("0.\\bar{3}", "\\frac13"),
    ("\\frac13", "0.\\dot{3}"), ("12\\text{:}30\\text{ p.m.}", "12:30 PM"), ("\\text{4:30 p.m.}", "4:30 pm"),
    ("1011_2", "(1011)_2"), ("1011_2", "1011_{\\text{two}}"), ("3 \\pmod 7", "3 (mod 7)"), ("B", "b"), ("\\text{(C)}", "c"),
    ("\\boxed{42}", "42"), ("So it is $\\boxed{\\frac12}$.", "0.5"), ("\\text{A, B}", "B, A"), ("\\text{A, B}", "{A,B}"),
    ("\\pi(R^2-r^2)", "\\pi R^2-\\pi r^2"), ("V=IR", "V = RI"), ("\\$5", "5 \\text{ dollars}"),
    ("x_{1}=2,\\quadx_{2}=3", "2, 3"), ("-8 \\leqg(x) \\leq 2", "-8 \\le g(x) \\le 2"),
    ("\\text{4:30 p.m.}", "\\text{4:30 p.m.}."),
    ("\\boxed{1} papers and \\boxed{2} bins", "1, 2"),
]  # fmt: skip
DIFFERENT = [
    ("x \\le 5", "x >= 5"), ("x \\le 5", "x < 5"), ("x \\ne 3", "x = 3"), ("-2 \\le x \\le 7", "(-2,7]"), ("x>5", "[5,\\infty)"),
    ("0<x<1", "[0,1]"), ("(0,1)", "0<x<1"), ("x>5", "(-5,\\infty)"), ("x<1 \\text{ or } x>2", "(1,2)"),
    ("x<1 \\text{ and } x>0", "(-\\infty,1)\\cup(0,\\infty)"), ("42", "x+1 = 43"), ("42", "2x = 43"), ("42", "-x=-42"),
    ("42", "x^2=43"), ("x+y=42", "42"), ("42", "NOT = 42"), ("42", "or = 42"), ("42", "m+m = 43"), ("42", "m+n = 41 = 42"),
    ("7:32", "32:7"), ("12:30", "2:5"), ("3:2", "2/3"), ("(5,8)", "y=5, x=8"), ("9.8\\text{ m/s}^2", "9.8\\text{ m/s}"),
    ("30^\\circ\\text{C}", "30^\\circ\\text{F}"), ("5\\text{ a.m.}", "5 pm"), ("\\mathbb{R}", "\\mathbb{Q}"),
    ("\\emptyset", "0"), ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\left(\\begin{array}{cc}1&2\\\\3&5\\end{array}\\right)"),
    ("\\frac13", "0.\\dot{4}"), ("1011_2", "(1011)_3"), ("1011_2", "1011_{\\text{three}}"), ("3 \\pmod 7", "3 \\pmod 5"),
    ("3", "3 \\pmod 7"), ("x", "X"), ("b", "B"), ("x+B", "x+b"), ("\\pi(R^2-r^2)", "0"), ("\\gamma", "0.5772156649"),
    ("I^2", "-1"), ("2m", "2M"), ("\\$5", "€5"), ("\\boxed{42}", "43"), ("\\text{A, B}", "A, C"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_the_same(gold: str, answer: str) -> None:
    assert grade(f"So it is $\\boxed{{{answer}}}$.", gold).outcome == "correct"


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_not_the_same(gold: str, answer: str) -> None:
    assert grade(f"So it is $\\boxed{{{answer}}}$.", gold).outcome == "incorrect"


def test_intervals_of_inequalities() -> None:
    def interval(text: str) -> str | None:
        found = condition(text, lambda a, b: False)
        return None if found is None else found[1]

    assert interval("3 > x \\ge 1") == "[1, 3)"
    assert interval("5 \\le f(x)") == "[5, \\infty)"
    assert interval("x<1 \\text{ or } x>2") == "(-\\infty, 1) \\cup (2, \\infty)"
    assert interval("3 - 2x \\le \\frac{x}{2} + 1/2") == "[1, \\infty)"
    for text in (
        "1 < x > 2",
        "x < y",
        "1 < 2",
        "x<1 \\text{ or } y>2",
        "x = 1",
        "< 5",
        "a < b < c < d",
        "1 < x=2",
        "2\\pi x < 1",
    ):
        assert interval(text) is None


def test_names() -> None:
    for text in (
        "|AB|",
        "|z|",
        "A:B",
        "\\frac{AB}{CD}",
        "\\cos \\theta",
        "\\sin(x)",
        "V_{1}:V_{2}",
        "ABCD",
        "\\angle ABC",
    ):
        assert is_name(text), text
    for text in ("-x", "2x", "x^2", "NOT", "AND", "\\sqrt{x}", "\\neg x", "\\frac{A}{2}", "|x-1|", ""):
        assert not is_name(text), text
    assert is_quantity("m+n")
    assert is_quantity("m+1")
    assert not is_quantity("1+1")
    assert not is_quantity("is")


def test_every_variable_keeps_a_name_of_its_own() -> None:
    assert one_case("x + y", "y") == ("x + y", "y")
    assert one_case("R - r", "R") == ("x - r", "x")
    assert one_case("X + \\sin ( x )", "\\Delta") == ("y + \\sin ( x )", "z")
    everything = " ".join("abcdefghijklmnopqrstuvwxyz")
    assert one_case(everything, "X") is None


def test_units_are_products_of_powers() -> None:
    assert split_unit("9.8 \\text{ m/s}^{2}") == ("9.8", "m s-2")
    assert split_unit("3 \\text{ square cm}") == ("3", "cm2")
    assert same_unit("m s-2", "s-2 m")
    assert not same_unit("m s-1", "m s-2")
    assert not same_unit("usd", "eur")
    assert same_unit("degc", "deg")
    assert not same_unit("degc", "degf")


DRESSED = [
    ("12\\text{ cm}^2", "12\\;\\mathrm{cm^2}"), ("9.8\\text{ m/s}^2", "9.8\\,\\mathrm{m/s^2}"), ("5", "5\\,\\Omega"),
    ("3\\times10^8", "3 \\times 10^8 m/s"), ("1500000", "1.5 million"), ("5000000", "\\$5\\text{ million}"),
    ("5000000", "5 \\text{ million dollars}"), ("(-\\infty,2)\\cup(2,\\infty)", "\\mathbb{R}\\setminus\\{2\\}"),
    ("(-\\infty,2)\\cup(2,\\infty)", "x \\ne 2"), ("42", "\"42\""), ("42", "\\underline{42}"), ("42", "\\textcolor{red}{42}"),
    ("42", "\\color{blue}{42}"), ("42", "\\Large 42"), ("42", "42 \\checkmark"), ("42", "\\text{The answer is }42"),
    ("45^\\circ, 135^\\circ", "45,135"), ("\\cos 58^\\circ", "\\cos58"),
    ("42", "\\gcd(84,126)=42"), ("42", "[ABC] = 42"), ("42", "\\triangle ABC = 42"), ("42", "a^2+b^2 = 42"), ("42", "AB^2 = 42"),
    ("42", "x^2 = 42"), ("42", "x+1 = 42"), ("42", "2x = 42"), ("42", "-x=42"), ("42", "m+m = 42"),
    ("\\frac34", "{3\\over 4}"), ("\\frac34", "3\\over4"), ("\\frac{3}{4}", "\\nicefrac{3}{4}"), ("\\sqrt[3]{2}", "\\sqrt[3]2"),
    ("\\{x \\mid x > 2\\}", "(2,\\infty)"), ("3\\mathbf{i}+4\\mathbf{j}", "4\\mathbf{j}+3\\mathbf{i}"),
    ("\\text{(A) and (C)}", "\\text{A, C}"), ("B", "\\textbf{(B) }12"), ("12", "\\textbf{(B)}\\ 12"), ("\\text{(B)}", "(B) 12"),
]  # fmt: skip
UNDRESSED = [
    ("45^\\circ, 135^\\circ", "45,136"), ("\\cos 58^\\circ", "\\cos 59"), ("\\frac12", "\\sin 30"), ("1, 0, 0", "1,000,000"),
    ("1.5", "1.5 million"), ("42", "42 thousand"), ("(-\\infty,2)\\cup(2,\\infty)", "x \\ne 3"), ("42", "\\underline{43}"),
    ("42", "\\textcolor{42}{43}"), ("42", "\\text{The answer is not }42"), ("\\frac34", "{4\\over 3}"), ("2", "x \\ne 2"),
    ("\\{x \\mid x > 2\\}", "[2,\\infty)"), ("B", "\\textbf{(C) }12"), ("12", "\\textbf{(B) }13"), ("B", "\\textbf{(B) or (C)}"),
    ("B", "(B), (C)"), ("B", "\\text{(B)} \\text{ or (C)}"), ("B", "\\text{(B)} \\text{(C)}"), ("B", "(B) is wrong"),
    ("B", "\\text{(B)} = 987"), ("B", "(B) \\to 3"),
    ("12", "(B) 12 or 13"), ("42", "2^2 = 42"), ("42", "\\cancel{42}"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), DRESSED)
def test_what_only_dresses_an_answer(gold: str, answer: str) -> None:
    assert grade(f"So it is $\\boxed{{{answer}}}$.", gold).outcome == "correct"


@pytest.mark.parametrize(("gold", "answer"), UNDRESSED)
def test_what_is_more_than_dress(gold: str, answer: str) -> None:
    assert grade(f"So it is $\\boxed{{{answer}}}$.", gold).outcome == "incorrect"
