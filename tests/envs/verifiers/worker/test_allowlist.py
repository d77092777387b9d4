from __future__ import annotations

import re
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timing import cpu_seconds

from simko.envs.verifiers.reading.allowlist import COMMANDS, MAX_CHARS, admit, letters, tokenize

ADMITTED = [
    "x^{2}+2x+1", "\\sqrt{2}", "\\frac{\\pi}{2}", "2\\sin(x)", "e^{x^{2}}", "\\log_{2}(3)", "|x|", "5!", "n!",
    "\\binom{10}{3}", "3+2i", "x_{1}+x_{2}", "2^{1000}", "\\sqrt[3]{5}", "\\lfloor x \\rfloor", "0.25x", "2 * 3",
    "\\theta", "2^{2^{3}}", "\\exp(-x^{2})", "e^{e^{x}}",
]  # fmt: skip
REFUSED = [
    "", " ", "__import__('os').system('id')", "x.__class__", "exec(1);", "lambda: 0", "'a'", '"a"', "a,b",
    "\\text{a}", "\\input{x}", "\\write18{x}", "\\def\\x{1}", "\\int x", "\\sum", "x=1", "x<1", "x \\le 1",
    "\\neq 42", "42 \\approx 43", "42_5", "42_{5}", "(42)_{5}", "4 2", "4.5.6", "x:1", "x;1", "x#", "x%", "x&y",
    "x~y", "east", "x`", "x@y", "\x00", "é", "√2", "9^{9^{9}}", "\\exp(\\exp(\\exp(10)))", "e^{e^{e^{e}}}",
    "\\exp \\exp \\exp 9", "\\sinh(\\sinh(9))", "3^{3^{3^{3}}}", "\\exp(9^{9})", "10^{99999}", "x^{10001}",
    "2^{10^{10}}", "(2^{9999})^{9999}", "201!", "(5!)!", "99999999!", "x!!!5!!", "\\binom{1001}{500}", "2^{50!}",
    "2^{\\binom{50}{25}}", "1" * 41, "x" * 201, "(" * 13 + "x" + ")" * 13, "(x", "x)", "(x]", "{x", "|x",
    "\\frac{1}{2", "x" + "+x" * 200, "_", "_x", "x^_2",
]  # fmt: skip


@pytest.mark.parametrize("text", ADMITTED)
def test_admitted(text: str) -> None:
    out = admit(text)
    assert out is not None
    assert "." not in out  # decimals have become fractions
    assert tokenize(out) is not None


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    assert admit(text) is None


@pytest.mark.parametrize("text", ["x=1", "x<1", "x \\le 1", "y = 2x + 3"])
def test_relations_are_admitted_on_request(text: str) -> None:
    assert admit(text, relation=True) is not None


@given(st.text(max_size=60) | st.text("0123456789xyei+-*/^_(){}[]|!=<>\\ .", max_size=60))
def test_nothing_unlisted_gets_through(text: str) -> None:
    out = admit(text, relation=True)
    if out is not None:
        assert re.fullmatch(r"[0-9A-Za-z+\-*/^_(){}\[\]|!=<>\\ ]+", out)
        assert set(re.findall(r"\\([A-Za-z]+)", out)) <= COMMANDS
        assert not re.search(r"[A-Za-z]{2}", re.sub(r"\\[A-Za-z]+", "", out))  # no names but single letters
        assert not re.search(r"__|\d{42}", out)


def test_decimals_become_exact_fractions() -> None:
    assert admit("0.25x") == "\\frac{1}{4} x"


def test_letters() -> None:
    assert letters("2x + Y \\theta + \\sin(x)") == {"x", "Y", "\\theta"}


@pytest.mark.parametrize(
    "text",
    [
        "\\exp " * 60 + "x", "^" * 190, "x" + "^" * 190 + "2", "x^" * 90,
        "x" + "^{x" * 12 + " x^2" * 30 + "}" * 12, "{" * 400, "(" * 10_000, "\\sqrt{" * 60 + "2" + "}" * 60,
        "{" * 10_000 + "}" * 10_000, "9" * 10_000, "1+" * 10_000, "!" * 399, "\\binom" * 50, "|" * 399,
        "\\frac" * 70, "x_" * 190, "\\lfloor " * 12 + "x" + "\\rfloor " * 12, " " * 399, "\\" * 399,
        "x" + " ^ {2}" * 60, "a" * 10**6,
    ],
)  # fmt: skip
def test_whatever_is_refused_or_admitted_is_so_at_once(text: str) -> None:
    for relation in (False, True):
        assert cpu_seconds(partial(admit, text, relation)) < 0.05


@pytest.mark.parametrize(
    "text",
    [
        "9^9^9", "9^{9^9}", "9^{9^{9}}", "10^{10^{10}}", "(10^{5})!", "(10^5)!", "((3!)!)!", "3!!!", "(200!)^{2}!",
        "99999!", "2^{2^{2^{2}}}", "x^{9^{9}}", "\\exp\\exp\\exp 2", "\\cosh(\\cosh(\\cosh(9)))", "e^{e^{e^{x}}}",
        "e^{9^{9}}", "2^{(3!)!}", "2^{\\binom{9}{4}}", "\\binom{10^{9}}{5}", "\\binom{99999}{5}", "x^{100}^{101}",
        "x^{0.5 \\cdot 99999}", "(x^{999})^{999}", "10^{4001}^{3}", "\\exp(99999)", "\\sinh 99999", "٤^{2}", "4²",
        "x²", "４2", "1" * 41, "0." + "1" * 40, "1_000",
    ],
)  # fmt: skip
def test_sizes_are_decided_on_the_tokens(text: str) -> None:
    assert admit(text) is None


PIECES = st.sampled_from([
    *"xyie019+-*/^_(){}[]|!=<>. ", "\\frac", "\\sqrt", "\\exp", "\\sin", "\\binom", "\\pi", "\\left", "__", "import",
    "os.", "lambda", "'", '"', "\x00",
])  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join))
@settings(max_examples=500)
def test_no_name_but_the_listed_reaches_the_parser(text: str) -> None:
    out = admit(text, relation=True)
    if out is None:
        return
    tokens = out.split()
    assert all(
        re.fullmatch(r"\\[A-Za-z]+|[A-Za-z]|[0-9]+|[-+/^_(){}\[\]|!=<>]", t) or t.startswith("\\frac{") for t in tokens
    )
    assert {t[1:].partition("{")[0] for t in tokens if t[0] == "\\"} <= COMMANDS
    assert len(out) < 3 * MAX_CHARS
    assert admit(out, relation=True) is not None


@pytest.mark.parametrize(
    "inside", ["\\binom{9}{2}", "9!", "2^9", "9 \\cdot 999", "a+b+c+d+e+f+g+h+\\binom{9}{2}", "1001"]
)
def test_binomials_stay_small(inside: str) -> None:
    assert admit("\\binom{9}{2}") is not None
    assert admit(f"\\binom{{{inside}}}{{2}}") is None
    assert admit(f"\\binom{{999}}{{{inside}}}") is None
