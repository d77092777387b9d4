from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs.verifiers.allowlist import COMMANDS, admit, letters, tokenize

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
