"""The comparison itself, by sympy: what is equal, what is not, and random formulas against their known values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simko.envs.verifiers.reading.allowlist import admit
from simko.envs.verifiers.worker.letters import one_case
from simko.envs.verifiers.worker.pool import Pool

EQUAL = [
    ("(x+1)^{2}", "x^{2}+2x+1"), ("\\frac{x^{2}-1}{x-1}", "x+1"), ("\\sqrt{12}", "2\\sqrt{3}"),
    ("\\sqrt{2}\\sqrt{3}", "\\sqrt{6}"), ("\\frac{2}{\\sqrt{2}}", "\\sqrt{2}"),
    ("\\frac{1}{\\sqrt{3}-1}", "\\frac{\\sqrt{3}+1}{2}"), ("\\sqrt{\\frac{1}{2}}", "\\frac{\\sqrt{2}}{2}"),
    ("\\frac{\\pi}{2}", "0.5\\pi"), ("(3+2i)(3-2i)", "13"), ("\\sqrt{-4}", "2i"), ("\\frac{1}{i}", "-i"),
    ("2^{10}", "1024"), ("2^{-3}", "\\frac{1}{8}"), ("5!", "120"), ("\\binom{5}{2}", "10"),
    ("14\\frac{6}{7}", "\\frac{104}{7}"), ("x_{1}+x_{2}", "x_2+x_1"), ("abc", "cba"), ("x/2", "\\frac{1}{2}x"),
    ("2 \\cdot 3 x", "6x"), ("x(x+1)", "x^{2}+x"), ("-x^{2}", "-(x^{2})"), ("\\sin(x)+1", "1+\\sin(x)"),
    ("\\sin^{2}(x)", "\\sin(x)\\sin(x)"), ("|x|+1", "1+|x|"), ("e^{x}y", "ye^{x}"),
    ("\\sqrt{x}\\sqrt{y}", "\\sqrt{y}\\sqrt{x}"), ("\\lfloor x\\rfloor", "0+\\lfloor x\\rfloor"),
    ("y=2x+3", "2x-y+3=0"), ("y=2x+3", "2y=4x+6"), ("x^{2}+y^{2}=4", "4-x^{2}=y^{2}"),
    ("x^{\\frac{1}{2}}", "\\sqrt{x}"), ("\\theta^{2}", "\\theta\\theta"),
]  # fmt: skip
IDENTITIES = [
    ("\\sin(x)^{2}+\\cos(x)^{2}", "1+\\cos(x) \\cdot 0+\\tan(x)-\\tan(x)"), ("\\sin 2x", "2\\sin x \\cos x"),
    ("\\sin(x+y)", "\\sin x\\cos y+\\cos x\\sin y"), ("\\sin(\\frac{5\\pi}{12})", "\\frac{\\sqrt{6}+\\sqrt{2}}{4}"),
    ("\\cos(\\frac{3\\pi}{5})", "\\frac{1-\\sqrt{5}}{4}"), ("\\tan(\\frac{2\\pi}{3})", "-\\sqrt{3}"),
    ("\\sec^{2} x", "1+\\tan^{2} x"),
    ("\\sin(x+\\frac{\\pi}{2})", "\\cos x"), ("\\cosh(x)^{2}-\\sinh(x)^{2}", "1+0x"), ("2^{n+1}", "2 \\cdot 2^{n}"),
    ("4^{n}", "2^{2n}"), ("6^{n}", "2^{n} \\cdot 3^{n}"), ("e^{x+y}", "e^{x}e^{y}"), ("e^{-x}", "\\frac{1}{e^{x}}"),
    ("\\exp(x)", "e^{x}"),
    ("e^{\\frac{i\\pi}{3}}", "\\frac{1}{2}+\\frac{\\sqrt{3}}{2}i"), ("e^{i\\pi}", "-1"), ("\\ln(ab)", "\\ln a+\\ln b"),
    ("3\\ln 2", "\\ln 8"), ("\\log_{2}(8)", "3"), ("\\log_{4}(8)", "\\frac{3}{2}"), ("\\log 2+\\log 3", "\\log 6"),
    ("\\ln(e^{2})", "2"), ("n!", "n(n-1)!"), ("(n+1)!", "(n+1)n!"), ("\\binom{n}{k}", "\\frac{n!}{k!(n-k)!}"),
    ("\\binom{n}{2}", "\\frac{n(n-1)}{2}"), ("\\binom{2n}{n}", "\\frac{(2n)!}{(n!)^{2}}"), ("\\binom{n}{n-1}", "n"),
    ("\\sqrt[3]{16}", "2\\sqrt[3]{2}"), ("\\sqrt[3]{-8}", "-2"), ("2^{\\frac{3}{2}}", "2\\sqrt{2}"),
    ("\\sqrt{\\sqrt{2}}", "2^{\\frac{1}{4}}"),
    ("x^{\\frac{3}{2}}", "x\\sqrt{x}"), ("\\sqrt{4x}", "2\\sqrt{x}"), ("\\sqrt{4x+4}", "2\\sqrt{x+1}"),
    ("\\frac{1}{\\sqrt{x}}", "x^{-\\frac{1}{2}}"),
    ("\\sqrt{xy}", "\\sqrt{y}\\sqrt{x}"), ("\\sqrt[3]{x^{3}}", "x"), ("\\lceil 3.5\\rceil", "4"),
    ("\\sin^{-1}(x)", "\\arcsin(x)"),
    ("x<5", "5>x"), ("x+y<5", "10>2x+2y"), ("-x \\le 5", "x \\ge -5"), ("y=\\sin(x)", "y-\\sin(x)=0"),
    ("y=\\frac{1}{x}", "xy=1"),
    ("3\\theta=\\tan(\\theta)", "\\tan(\\theta)-3\\theta=0"),
]  # fmt: skip
DIFFERENT = [
    ("x", "y"), ("x", "X"), ("2x", "3x"), ("\\sqrt{2}", "\\sqrt{3}"), ("\\sqrt{2}", "1"), ("3+2i", "3-2i"),
    ("\\pi", "\\frac{22}{7}"), ("2^{1000}", "2^{1000}+1"), ("10^{-20}", "2 \\cdot 10^{-20}"),
    ("\\pi+10^{-12}", "\\pi"), ("(x+1)^{2}", "x^{2}+1"), ("x_{1}", "x_{2}"), ("\\sin(x)", "\\cos(x)"),
    ("e^{x}", "e^{2x}"), ("\\sqrt{x^{2}+1}", "x+1"), ("\\log_{2}(x)", "\\ln(x)"), ("e\\pi", "e+\\pi"),
    ("|x|", "x+1"), ("\\lfloor 3.5\\rfloor", "4"), ("y=2x+3", "y=2x+4"), ("x^{2}+y^{2}=4", "x+y=2"),
    ("x=1", "x=2"), ("2x-y=0", "x-2y=0"), ("\\arctan(1)", "\\pi"), ("\\sqrt[3]{2}", "\\sqrt{2}"),
    ("\\sec(x)", "\\csc(x)"), ("\\sinh(x)", "\\cosh(x)"), ("\\tanh(x)", "\\tan(x)"), ("\\cot(x)", "\\arcsin(x)"),
]  # fmt: skip
DENIED = [
    ("\\frac{1}{0}", "1"), ("0^{0}", "1"), ("x!", "x"), ("x<5", "x>5"), ("x<5", "x \\le 5"), ("x+y<5", "x+y<6"),
    ("\\tan(\\theta)=3\\theta", "\\tan(\\theta)=2\\theta"), ("\\sin 2x", "\\sin x"), ("x=y", "x^{2}=y^{2}"), ("x=1", "x<1"),
    ("\\frac{1}{\\sin(0)}", "1"), ("(n+1)!", "n!"), ("\\binom{n}{2}", "\\binom{n}{3}"), ("170!", "170!+1"),
    ("\\lceil 3.5\\rceil", "3"), ("e^{x}=y", "e^{y}=x"), ("\\sin^{-1}(x)", "x"), ("\\sqrt[3]{2}", "\\sqrt[3]{3}"),
]  # fmt: skip
NOT_REAL = [  # equal where variables are positive, but not where one is negative and both sides are real
    ("\\sqrt{x^{2}+2x+1}", "x+1"), ("|x+100|", "x+100"), ("\\sqrt{(x+5000)^{2}}", "x+5000"), ("x|x|", "x^{2}"),
    ("\\ln(x^{2})", "\\ln(x)"), ("\\sqrt{x^{4}y^{2}}", "x^{2}y"),
    ("\\sqrt{x^{2}}", "x"), ("|x|", "x"), ("\\sqrt{x^{2}y}", "x\\sqrt{y}"), ("|xy|", "x|y|"), ("\\sqrt[4]{x^{4}}", "x"),
    ("(x^{2})^{\\frac{1}{2}}", "x"),
]  # fmt: skip
LAWS = [  # equal where both sides are real
    ("\\ln(x^{2})", "2\\ln x"), ("\\ln\\frac{a}{b}", "\\ln a-\\ln b"), ("\\log_{2}(xy)", "\\log_{2}x+\\log_{2}y"),
    ("\\sqrt{x(x+1)}", "\\sqrt{x}\\sqrt{x+1}"), ("\\sqrt[3]{x}", "x^{\\frac{1}{3}}"), ("\\sqrt{x^{3}}", "x\\sqrt{x}"),
    ("x^{a+b}", "x^{a}x^{b}"), ("\\sqrt{x^{2}y}", "|x|\\sqrt{y}"), ("\\frac{x}{x}", "1"), ("\\ln(x^{3})", "3\\ln x"),
]  # fmt: skip
IMAGINARY = [
    ("e^{i\\theta}", "\\cos\\theta+i\\sin\\theta"), ("\\frac{1+i}{1-i}", "i"), ("i^{2}", "-1"), ("|3+4i|", "5"),
    ("x^{2}+1", "(x+i)(x-i)"), ("\\sqrt{-2}", "i\\sqrt{2}"), ("3+i2", "3+2i"), ("\\frac{i(i+1)}{2}", "\\frac{i^{2}+i}{2}"),
]  # fmt: skip


@pytest.fixture(scope="module")
def workers() -> Iterator[Pool]:
    made = Pool()
    made.compare("x", "x")
    yield made
    made.close()


def said(workers: Pool, gold: str, answer: str, digits: int | None = None) -> str:
    ours, theirs = admit(gold, relation=True), admit(answer, relation=True)
    assert ours is not None, gold
    assert theirs is not None, answer
    pair = one_case(ours, theirs)
    assert pair is not None
    return workers.compare(*pair, digits, limit=20)[0]


@pytest.mark.parametrize(("gold", "answer"), EQUAL + IDENTITIES + LAWS + IMAGINARY)
def test_equal(workers: Pool, gold: str, answer: str) -> None:
    assert said(workers, gold, answer) == "equal"
    assert said(workers, answer, gold) == "equal"


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT + DENIED + NOT_REAL)
def test_different(workers: Pool, gold: str, answer: str) -> None:
    assert said(workers, gold, answer) == "different"
    assert said(workers, answer, gold) == "different"


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("\\sqrt{2}", "1.414214", True), ("\\sqrt{2}", "1.414213", True), ("\\sqrt{2}", "1.414215", False),
        ("\\pi", "3.1415926", True), ("\\pi", "3.1415927", True), ("\\pi", "3.1415928", False),
        ("-\\pi", "-3.1415927", True), ("\\frac{1}{8}", "0.125000", True), ("\\ln(2)", "0.693147", True),
        ("\\ln(2)", "0.693148", False), ("x", "0.693148", False), ("\\sqrt{2}", "1.41421356237309504880", True),
        ("\\log(2)", "0.301030", True),
    ],
)  # fmt: skip
def test_decimals(workers: Pool, gold: str, answer: str, correct: bool) -> None:
    digits = len(answer.partition(".")[2])
    assert said(workers, gold, answer, digits) == ("equal" if correct else "different")


INTEGERS = st.integers(-9, 9)


@st.composite
def polynomials(draw: Any, depth: int = 3) -> tuple[str, dict[tuple[int, int], int]]:
    """A polynomial of x and y as text in one of many forms, and its coefficients."""
    kind = draw(st.integers(0, 4 if depth else 1))
    if kind == 0:
        value = draw(INTEGERS)
        return f"({value})", {(0, 0): value}
    if kind == 1:
        letter = draw(st.integers(0, 1))
        return "xy"[letter], {(1 - letter, letter): 1}
    (left, a), (right, b) = draw(polynomials(depth - 1)), draw(polynomials(depth - 1))
    if kind == 2:
        return f"({left}+{right})", {k: a.get(k, 0) + b.get(k, 0) for k in a | b}
    if kind == 3:
        return f"({left}-{right})", {k: a.get(k, 0) - b.get(k, 0) for k in a | b}
    product: dict[tuple[int, int], int] = {}
    for (i, j), u in a.items():
        for (k, m), v in b.items():
            product[i + k, j + m] = product.get((i + k, j + m), 0) + u * v
    return f"{left}\\cdot {right}", product


def expanded(coefficients: dict[tuple[int, int], int]) -> str:
    return "+".join(f"({c}) \\cdot x^{{{i}}} \\cdot y^{{{j}}}" for (i, j), c in coefficients.items()) or "0"


@given(polynomials(), polynomials(), st.sampled_from(["x", "y", "1", "x y"]))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_polynomials_in_any_form(workers: Pool, first: Any, second: Any, extra: str) -> None:
    (text, a), (other, b) = first, second
    if admit(text) is None or admit(other) is None or admit(expanded(a)) is None or admit(expanded(b)) is None:
        return
    assert said(workers, text, expanded(a)) == "equal"
    assert said(workers, f"{text}+{extra}", expanded(a)) == "different"
    clean = [{k: c for k, c in p.items() if c} for p in (a, b)]
    assert said(workers, text, other) == ("equal" if clean[0] == clean[1] else "different")
