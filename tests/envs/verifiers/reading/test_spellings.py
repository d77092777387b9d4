"""Spellings that people and models write, each read as what it says, and what only looks like one."""

from __future__ import annotations

import pytest

from simko.envs import grade
from simko.envs.verifiers.reading.signs import plain_signs
from simko.envs.verifiers.reading.text import clean


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("10²³", "10^{23}"), ("10⁻³", "10^{-3}"), ("xⁿ", "x^{n}"), ("x₁₂", "x_{12}"), ("1½", "1\\frac{1}{2}"),
        ("⅔", "\\frac{2}{3}"), ("４２", "42"), ("－７", "-7"), ("𝑥+𝟒", "x+4"), ("⌊x⌋", "\\lfloor x\\rfloor "),
        ("λ", "\\lambda "), ("Δ", "\\Delta "), ("ϕ", "\\phi "), ("ℝ", "\\mathbb{R}"), ("∛2", "\\sqrt[3] 2"),
        ("90º", "90^\\circ "), ("x≥3", "x\\ge 3"), ("3⁄4", "3/4"), ("①", "\ufffd"),
        ("٤٢", "42"), ("৪২", "42"), ("४२", "42"), ("۴۲", "42"),
        ("﹣７", "-7"), ("➖7", "-7"), ("3✕4", "3\\times 4"), ("٠٫٥", "0.5"), ("٥٠٪", "50%"), ("3﹕2", "3:2"),
        ("3∶2", "3:2"),
        ("1, ⋯", "1, \\ldots "), ("4\u200d2", "42"), ("2\u2062x", "2x"), ("cafe\u0301", "café"),
        ("x=\u03382", "x\\ne 2"),
    ],
)  # fmt: skip
def test_signs(written: str, plain: str) -> None:
    assert plain_signs(written) == plain


RIGHT = [
    ("42", "\\bf 42"), ("42", "{\\bf 42}"), ("42", "42\\ "), ("42", "\\rm 42"), ("42", "\\emph{42}"),
    ("42", "\\pmb{42}"),
    ("42", "\\vphantom{x}42"), ("42", "42{}"), ("42", "{}42"), ("42", "\\mathrm{42\\ cm}"),
    ("42", "\\therefore x = 42"),
    ("42", "**42**"), ("42", "\\text{Answer: 42}"), ("42", "４２"), ("42", "4.2 × 10¹"), ("-7", "{-}7"), ("-7", "－7"),
    ("-7", "\\text{negative }7"), ("10", "\\dbinom{5}{2}"), ("10", "5 \\choose 2"), ("10", "{}_5C_2"),
    ("10", "\\binom52"),
    ("\\binom{n}{k}", "n \\choose k"), ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\pmatrix{1&2\\cr3&4}"),
    ("\\lfloor x \\rfloor", "⌊x⌋"), ("6.02\\times10^{23}", "6.02 × 10²³"), ("90^\\circ", "90^o"),
    ("90^\\circ", "90^{\\text{o}}"),
    ("90^\\circ", "90{}^\\circ"), ("1", "\\lg 10"), ("\\ln 2", "\\log_e 2"),
    ("5\\text{ m/s}", "5\\,\\mathrm{m\\,s^{-1}}"),
    ("\\emptyset", "\\text{no solution}"), ("\\varnothing", "No real solutions."),
    ("\\text{No solution}", "\\emptyset"),
    ("1000000", "1{,}000,000"), ("3:2", "3 to 2"), ("3:2", "3\\text{ to }2"), ("\\$5.00", "\\textdollar 5"),
    ("75", "75¢"),
    ("£5", "\\pounds 5"), ("5\\times10^{-3}", "5 x 10^-3"), ("1011_2", "1011\\text{ base }2"), ("(0,1]", "]0,1]"),
    ("A", "\\text{Option A}"), ("B", "B. 12"), ("B", "B) 12"), ("B", "\\text{B. 12}"), ("12", "B. 12"),
    ("12", "\\text{Option B: }12"),
    ("1, 2, \\ldots, n", "1,2,\\dots,n"), ("1,2,\\ldots,n", "1, 2, ... n"), ("1,2,\\ldots,n", "\\{n, …, 2, 1\\}"),
    ("42", "42\\\\"), ("42", "= 42"),
    ("42", "\\\\42 \\newline"), ("7\\%", "7 percentage"), ("7\\%", "7\\text{ pct.}"), ("-42", "﹣٤٢"),
    ("\\text{8:05 PM}", "\\,\\text{8:05 PM}\\,"),
    ("(-\\infty,4)", "3(x-2)<6"), ("[4,\\infty)", "\\frac{2(x-1)}{3} \\ge 2"), ("\\mathbb{R}", "x ∈ ℝ"),
    ("x+1", "\\text{x}+1"), ("\\arctan 2", "atan(2)"),
]  # fmt: skip
WRONG = [
    ("B", "C. 12"), ("B", "B. 12 or C. 13"), ("B", "B. C"), ("A", "A: 3, B: 4"), ("1,2,\\ldots,n", "1,\\ldots,2,n"),
    ("1,2,\\ldots,n", "1,3,\\ldots,n"),
    ("42", "= = 42"), ("42", "=> 42"), ("42", "41\\\\42"), ("7\\%", "8 percentage"),
    ("(-\\infty,4)", "3(x-2)\\le 6"), ("(-\\infty,4)", "(x-2)(x-2)<4"),
    ("42", "42*"), ("42", "*42"), ("42", "42..."), ("42", "42\\ldots"), ("42", "~42"), ("42", "42:"), ("42", "٤٣"),
    ("42", "④②"),
    ("-7", "{+}7"), ("10", "\\binom{5}{3}+1"), ("10", "2 \\choose 5"), ("90^\\circ", "90^{2}"), ("1", "\\lg 100"),
    ("0", "\\text{no solution}"), ("\\text{none}", "\\text{one}"), ("3:2", "2 to 3"), ("1011_2", "1011\\text{ base }3"),
    ("(0,1]", "]0,1["), ("10^{23}", "10²⁴"), ("x_1", "x¹"), ("200100", "100,\\ 200"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), RIGHT)
def test_right_answers_in_other_spellings(gold: str, answer: str) -> None:
    assert grade(f"So it is $\\boxed{{{answer}}}$.", gold).outcome == "correct"


@pytest.mark.parametrize(("gold", "answer"), WRONG)
def test_what_only_looks_like_it(gold: str, answer: str) -> None:
    assert grade(f"So it is $\\boxed{{{answer}}}$.", gold).outcome == "incorrect"


def test_digits_of_another_script_beside_a_box_count() -> None:
    assert not grade("The answer is ١٣.\n\\boxed{12}", "12").correct
    assert grade("The answer is ١٢.\n\\boxed{12}", "12").correct


@pytest.mark.parametrize(
    "text", ["x_{}", "\\sqrt{}", "{", "\\", "^^", "\\bf", "\\text{", "{}" * 300, "\\cr" * 200, "₀" * 900]
)
def test_what_is_no_answer_is_cleaned_without_harm(text: str) -> None:
    assert clean(clean(text)) is not None
