"""The maths verifier against its policy. The pairs in `WORKER_*` need a worker."""

from __future__ import annotations

import pytest

from simko.envs import grade
from simko.envs.verifiers.reading.text import clean, key
from simko.envs.verifiers.worker import pool

QUICK_EQUAL = [
    ("42", "42"), ("42", "42.0"), ("42", "\\$42"), ("42", "42 \\text{ cm}"), ("42", "42 clips"), ("42", "x = 42"),
    ("42", "40+2=42"), ("42", "x = 40 + 2 = 42"), ("42", "f(2) = 42"), ("42", "\\theta = 42"), ("42", "AB = 42"),
    ("42", "x_{1} = 42"), ("42", "f^{-1}(x) = 42"), ("42", "\\text{Area} = 42"), ("42", "+42"), ("42", "(42)"),
    ("42", "{42}"), ("42", "\\mathbf{42}"), ("42", "42."), ("42", "$42$"), ("42", "\\(42\\)"), ("-3", "−3"),
    ("1234", "1,234"), ("1,234", "1{,}234"), ("10,\\!080", "10080"), ("0.5", "\\frac{1}{2}"), ("\\frac{1}{2}", ".5"),
    ("\\frac{3}{4}", "\\dfrac{3}{4}"), ("\\frac34", "3/4"), ("1\\frac{1}{2}", "3/2"), ("\\frac{1}{3}", "0.333333"),
    ("\\frac{2}{3}", "0.6666666"), ("\\frac{2}{3}", "0.6666667"), ("50\\%", "0.5"), ("50\\%", "50"),
    ("12", "12\\text{ percent}"), ("90^\\circ", "90"), ("90^\\circ", "90^{\\circ}"), ("90^\\circ", "90°"),
    ("90", "90 degrees"), ("5\\text{ cm}", "5 cm"), ("5\\text{ cm}", "5 centimeters"),
    ("20\\text{ cm}^2", "20 square centimeters"), ("\\$5", "5 dollars"), ("\\text{Evelyn}", "Evelyn"),
    ("\\text{Evelyn}", "evelyn"), ("\\text{(A)}", "A"), ("(A)", "A"), ("\\text{odd}", "\\textbf{odd}"),
    ("(1,2)", "(1, 2)"), ("(1,2)", "\\left( 1, 2.0 \\right)"), ("(1,2)", "1,2"), ("1,2", "2, 1"),
    ("1,2", "\\{2,1\\}"), ("\\{1,2\\}", "1, 2"), ("1,2", "1 \\text{ and } 2"), ("1,2", "1 and 2"),
    ("12,13", "12 \\text{ or } 13"), ("[1,2)", "[1, 2)"),
    ("(-\\infty,0)\\cup(1,\\infty)", "(1, \\infty) \\cup (-\\infty, 0)"), ("x=1,2", "1, 2"),
    ("(-\\infty, 3]", "(-∞, 3]"), ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{bmatrix} 1\\\\ 2\\end{bmatrix}"),
    ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1 & 2\\\\3 & 8/2\\end{pmatrix}"), ("4.5e3", "4500"),
    ("x \\in [1,2]", "[1,2]"), ("1e-3", "10^{-3}"), ("52_8", "52_{8}"), ("\\emptyset", "\\varnothing"),
    ("p - q", "p-q"),
]  # fmt: skip
QUICK_DIFFERENT = [
    ("42", "43"), ("42", "-42"), ("42", "41=42"), ("42", "x=41=42"), ("42", "42=41"), ("42", "\\neq 42"),
    ("42", "x \\neq 42"), ("42", "42_5"), ("42", "42_{5}"), ("42", "42 \\approx 43"), ("42", "42 or 43"),
    ("42", "42, 43"), ("42", "not 42"), ("42", "42 thousand"), ("42", "42 dozen"), ("42", "42 \\text{ or } 43"),
    ("42", "-x = 43"), ("42", "4 2"), ("42", "4.2"), ("42", "42!"), ("42", "\\text{not} = 42"), ("42", "not = 42"),
    ("42", "\\neg = 42"), ("42", "42 \\text{ is wrong}"), ("42", "42x"), ("42", "< 42"), ("42", "x > 42"),
    ("42", "42 \\pm 1"), ("42", "{42"), ("42", "42?"), ("42", ""), ("2e-9", "1e-9"), ("0", "1e-30"),
    ("0.3333", "1/3"), ("\\frac{1}{3}", "0.3333"), ("\\frac{1}{3}", "0.333334"), ("0.5", "0.5000001"),
    ("1/3", "0.3333333333334"), ("50\\%", "5000"), ("5\\text{ cm}", "5 \\text{ m}"), ("5 cm", "5 cm^2"),
    ("90^\\circ", "90 \\text{ radians}"), ("\\text{Evelyn}", "Carla"), ("east", "seat"), ("(1,2)", "(2,1)"),
    ("(1,2)", "[1,2]"), ("(1,2)", "[1,2)"), ("(1,2)", "(1,2,3)"), ("[1,2]", "1,2"), ("1,2", "1,2,2"), ("1,2", "1"),
    ("1", "1,1"), ("1,2,3", "1,2,4"), ("1234", "1,2,3,4"),
    ("(-\\infty,0)\\cup(1,\\infty)", "(-\\infty,0]\\cup(1,\\infty)"), ("x=5", "y=5"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "(1,2)"),
    ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&3\\\\2&4\\end{pmatrix}"), ("52_8", "52"),
    ("52_8", "52_9"), ("\\begin{pmatrix}1&2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
    ("12", "\\text{twelve}"), ("A", "B"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{vmatrix}1\\\\2\\end{vmatrix}"), ("x<5", "5"), ("5", "x<5"),
]  # fmt: skip
WORKER_EQUAL = [
    ("\\sqrt{2}", "\\frac{2}{\\sqrt{2}}"), ("\\sqrt{2}", "1.414214"), ("\\sqrt{2}", "1.41421356"),
    ("\\sqrt{12}", "2\\sqrt{3}"), ("x^2+2x+1", "(x+1)^2"), ("\\frac{\\pi}{2}", "\\pi/2"), ("2^{10}", "1024"),
    ("720", "6!"), ("\\frac{x}{2}", "\\frac{1}{2}x"), ("y=2x+3", "2x+3"), ("y=2x+3", "y = 3+2x"),
    ("y=2x+3", "2x - y + 3 = 0"), ("1 \\pm \\sqrt{3}", "1+\\sqrt{3}, 1-\\sqrt{3}"), ("3+2i", "2i+3"),
    ("x<5", "5 > x"), ("\\log_2 3", "\\frac{\\ln 3}{\\ln 2}"), ("\\sin^2 x + \\cos^2 x", "1"), ("e^{2x}", "(e^x)^2"),
    ("\\left(3, \\frac{\\pi}{2}\\right)", "(3, \\pi/2)"), ("[0, \\sqrt{8}]", "[0, 2\\sqrt{2}]"),
    ("3\\sqrt{5}\\text{ cm}", "\\sqrt{45}"), ("12\\pi", "12 \\pi \\text{ square units}"),
    ("\\frac{\\sqrt6}2", "\\frac{\\sqrt{6}}{2}"), ("\\sqrt{3}/2", "sqrt(3)/2"), ("\\pi", "π"), ("x^{10}", "x^10"),
    ("\\binom{5}{2}", "10"), ("|x|", "|-x|"), ("abc", "cba"), ("1000\\cdot 1.06^{5}", "1000 \\times 1.06^5"),
]  # fmt: skip
WORKER_DIFFERENT = [
    ("\\sqrt{2}", "1.4142"), ("\\sqrt{2}", "1.414215"), ("\\sqrt{2}", "\\sqrt{3}"), ("x^2+2x+1", "(x+1)^3"),
    ("x", "y"), ("2x", "3x"), ("x<5", "x \\le 5"), ("x<5", "x>5"),
    ("\\sqrt{2} \\cdot 10^{-20}", "2\\sqrt{2} \\cdot 10^{-20}"), ("y=2x+3", "y=2x+4"),
    ("(0, \\sqrt{2})", "(\\sqrt{2}, 0)"), ("\\pi", "\\frac{22}{7}"), ("2 m", "2 h"), ("x^2", "x^3"), ("3+2i", "3-2i"),
    ("\\frac{\\pi}{2}", "90"), ("2^{1000}", "2^{1000}+1"), ("\\sqrt{x^2+1}", "x+1"), ("x^2+y^2=4", "x+y=2"),
    ("10\\pi", "31.4"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), QUICK_EQUAL)
def test_equal_without_a_worker(gold: str, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "shared", None)  # a question would be an error
    assert grade(f"So it is $\\boxed{{{answer}}}$.", gold).outcome == "correct"


@pytest.mark.parametrize(("gold", "answer"), QUICK_DIFFERENT + WORKER_DIFFERENT)
def test_different(gold: str, answer: str) -> None:
    verdict = grade(f"So it is $\\boxed{{{answer}}}$.", gold)
    assert verdict.outcome in ("incorrect", "no_answer")
    assert verdict.reward == 0.0


@pytest.mark.parametrize(("gold", "answer"), WORKER_EQUAL)
def test_equal_by_a_worker(gold: str, answer: str) -> None:
    verdict = grade(f"So it is $\\boxed{{{answer}}}$.", gold)
    assert (verdict.outcome, verdict.reward, verdict.extracted) == ("correct", 1.0, answer)


@pytest.mark.parametrize(("gold", "answer"), QUICK_EQUAL + WORKER_EQUAL + QUICK_DIFFERENT + WORKER_DIFFERENT)
def test_a_gold_grades_itself_correct(gold: str, answer: str) -> None:
    assert grade(f"\\boxed{{{gold}}}", gold).correct


@pytest.mark.parametrize(
    ("response", "gold", "outcome"),
    [
        ("42", "42", "correct"),
        ("The answer is 42 clips.", "42", "correct"),
        ("x\n#### 1,234", "1234", "correct"),
        ("\\boxed{1/2} that is \\boxed{0.5}", "0.5", "correct"),
        ("\\boxed{42} or \\boxed{43}", "42", "incorrect"),
        ("-\\boxed{42}", "42", "incorrect"),
        ("The answer is not 42.", "42", "incorrect"),
        ("<think>\\boxed{42}</think>\\boxed{41}", "42", "incorrect"),
        ("<think>\\boxed{42}</think>", "42", "no_answer"),
        ("I would say that it may well be about 42 or so in the end", "42", "no_answer"),
        ("\\boxed{" + "9" * 1500 + "}", "42", "incorrect"),
        ("\\boxed{42}", "", "error"),
    ],
)
def test_responses(response: str, gold: str, outcome: str) -> None:
    assert grade(response, gold).outcome == outcome


HOSTILE = [
    "9^{9^{9^{9}}}", "9**9**9**9", "((9^{99})^{99})^{99}", "99999999!", "\\binom{99999}{500}", "(x+y+z+w)^{9999}",
    "\\sqrt{" * 60 + "2" + "}" * 60, "(" * 300, "1+" * 400 + "1", "e^{e^{e^{e^{9}}}}", "\\frac{1}{0}", "\\infty-\\infty",
    "0^0", "\\log(0)", "\\tan(\\frac{\\pi}{2})", "__import__('os').system('true')", "().__class__", "\\input{/etc/passwd}",
    "\\exp(\\exp(\\exp(9)))", "\\lfloor 10^{9999}\\pi\\rfloor", "x!" * 30, "1e999999", "0.\\overline{" + "9" * 190 + "}",
]  # fmt: skip


@pytest.mark.parametrize("answer", HOSTILE)
@pytest.mark.parametrize("gold", ["42", "\\sqrt{2}", "x^2+1"])
def test_hostile_answers_are_graded(answer: str, gold: str) -> None:
    verdict = grade(f"\\boxed{{{answer}}}", gold)
    assert verdict.outcome in ("incorrect", "no_answer", "timeout")


def test_one_spelling() -> None:
    assert clean("\\left(\\dfrac12,\\ \\tfrac{3}{4}\\right)") == "(\\frac{1}{2}, \\frac{3}{4})"
    assert clean("$\\displaystyle x^2$.") == "x^{2}"
    assert clean("\\frac ab + \\frac{\\sqrt6}2") == "\\frac{a}{b} + \\frac{\\sqrt{6}}{2}"
    assert clean("x^(n+1) * sqrt(2)") == "x^{n+1} * \\sqrt{2}"
    assert key(clean("1 2")) != key(clean("12"))
    assert key(clean("\\text{ x }")) == "x"


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("f(x)=x,f(x)=-x", "f(x)=-x", False),
        ("f(x)=x,f(x)=-x", "f(x)=-x,f(x)=x", True),
        ("a=2, a=-6", "a=-6", False),
        ("a=2, a=-6", "-6, 2", True),
        ("x+1", "f(x)=-1, f(x)=x+1", False),
        ("x=1,2", "x = 2, 1", True),
        ("2, 3, \\text{ and } 4", "2,3,{}4", True),
    ],
)
def test_several_equations_are_not_one(gold: str, answer: str, correct: bool) -> None:
    assert grade(f"\\boxed{{{answer}}}", gold).correct is correct
    assert grade(f"The answer is {answer}.", gold).correct is correct


@pytest.mark.parametrize(
    ("response", "correct"),
    [
        ("2 + 3 = <<2+3=5>>5\nThe answer is <<5=5>>5.\n#### 5", True),
        ("The answer is therefore 5.\n#### 5", True),
        ("The answer is thus, 5.", True),
        ("The answer is <<5=5>>6.", False),
        ("The answer is therefore 6.\n#### 5", False),
    ],
)
def test_calculator_marks_and_connectives(response: str, correct: bool) -> None:
    assert grade(response, "5").correct is correct


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("0.003", "0.003^{\\prime \\prime}", True),
        ("0.003", "0.003''", True),
        ("5''", "5'", False),
        ("15000", "15000 \\text{ kcal m}^{-2} \\text{yr}^{-1}", True),
        ("5 \\text{ m}^{2}", "5 \\text{ m}^{-2}", False),
        ("5 \\text{ m}^{2}", "5 \\text{ m}^2", True),
        ("x^{\\prime}+\\frac{r}{V} x-r c=0", "x' + \\frac{r}{V}x - rc = 0", True),
        ("f''(x)", "f^{\\prime}(x)", False),
        ("x", "x'", False),
        ("12", "12^{-2}", False),
    ],
)
def test_primes_and_negative_powers_of_units(gold: str, answer: str, correct: bool) -> None:
    assert grade(f"\\boxed{{{answer}}}", gold).correct is correct


def test_a_unit_behind_the_box() -> None:
    assert grade("so $\\boxed{0.003}^{\\prime \\prime}$", "0.003").correct
    assert grade("so $\\boxed{30}^\\circ$", "30").correct
    assert not grade("so $\\boxed{30}^2$", "30").correct
