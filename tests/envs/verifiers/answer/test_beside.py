r"""What stands beside a value: one spelling of each bond on either side, in every spacing, and what is no bond."""

from __future__ import annotations

import time
from itertools import product

import pytest

from simko.envs import grade
from simko.envs.verifiers.answer.beside import formula_at, whole_value
from simko.envs.verifiers.answer.boxes import last_answer, read_boxes

SPACES = ["", " ", "\t", "\n", "\\,", "\\;", "\\ ", "~", "\\quad ", "{}", "\\left", "\\!", "\\hspace{2mm}", " \\, "]
DOLLARS = [
    ("$", "$"),
    ("$$", "$$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("$$\n", "\n$$"),
    ("\\begin{align*}x &", "\\end{align*}"),
]
BOX = "\\boxed{7}"
LEFT = ["3 -", "2\\cdot", "3 +", "\\sqrt", "\\log", "\\sin", "\\pm", "2 \\times", "x^", "5/", "\\lambda", "f(2) \\div"]
RIGHT = [
    "+ 1",
    "- 1",
    "/3",
    "\\cdot 2",
    "\\times 10",
    "\\log 2",
    "\\pm 1",
    "\\frac{1}{2}",
    "\\sin x",
    "\\div 2",
]


def read(text: str) -> str | None:
    start = text.index(BOX)
    return whole_value(text, start, start + len(BOX), "7")


@pytest.mark.parametrize(("space", "dollars"), list(product(SPACES, DOLLARS)))
def test_a_minus_sign_is_read_in_any_spacing(space: str, dollars: tuple[str, str]) -> None:
    assert read(f"{dollars[0]}x = -{space}{BOX}{dollars[1]}") == "-7"


@pytest.mark.parametrize(("space", "dollars"), list(product(SPACES, DOLLARS)))
def test_factors_bind_in_any_spacing(space: str, dollars: tuple[str, str]) -> None:
    for left in LEFT:
        assert read(f"{dollars[0]}y = {left}{space}{BOX}{dollars[1]}") is None, left
    for right in RIGHT:
        assert read(f"{dollars[0]}y = {BOX}{space}{right}{dollars[1]}") is None, right


@pytest.mark.parametrize("gap", ["", " ", "$ $", "$$", "\\) \\("])
@pytest.mark.parametrize("right", ["\\pi", "\\sqrt{3}", "\\cdot 2", "^2"])
def test_factors_bind_across_dollar_signs(gap: str, right: str) -> None:
    marks = ("\\(", "\\)") if gap == "\\) \\(" else ("$", "$") if gap in ("$ $", "$$") else ("", "")
    assert read(f"{marks[0]}{BOX}{gap}{right}{marks[1]}") is None


@pytest.mark.parametrize(
    "text",
    [
        "$x = -\\mathbf{\\boxed{7}}$", "$x = {-}\\boxed{7}$", "$x = \\text{-}\\boxed{7}$", "$x = −\\boxed{7}$",
        "$x=-$ $\\boxed{7}$", "$x = -(\\boxed{7})$", "$x=-\\left(\\boxed{7}\\right)$", "We get - $\\boxed{7}$.",
        "minus \\boxed{7}", "-\\boxed{7}", "It is negative $\\boxed{7}$.", "$\\therefore -\\boxed{7}$",
        "So x = - \\boxed{7}", "-**\\boxed{7}**",
    ],
)  # fmt: skip
def test_other_ways_to_write_the_sign(text: str) -> None:
    assert read(text) == "-7"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$\\boxed{7}\\pi$", "7\\pi"),
        ("$-\\boxed{7}\\pi$", "-7\\pi"),
        ("$\\boxed{7}\\,\\sqrt{2}.$", "7\\,\\sqrt{2}"),
        ("$\\boxed{7}x^3$", "7x^3"),
        ("$\\boxed{7}_8$", "7_8"),
        ("$\\boxed{7}!$", "7!"),
        ("$\\boxed{7}\\%$", "7\\%"),
        ("\\boxed{7} %", "7\\%"),
        ("\\boxed{7} million people", "7 million"),
        ("$\\boxed{7}$ **million**", "7 million"),
        ("$\\boxed{7}\\text{ Billion}$", None),
        ("$\\boxed{7}\\text{ billion}$", "7 billion"),
        ("\\boxed{7} lakh", "7 lakh"),
        ("\\boxed{7} percent of the class", "7\\%"),
        ("$N = \\boxed{7}\\times 10^{6}$", "7\\times 10^{6}"),
        ("$-\\boxed{7}\\cdot 10^6.$", "-(7\\cdot 10^6)"),
    ],
)
def test_factors_that_are_read(text: str, value: str | None) -> None:
    assert read(text) in (value, "7 billion" if value is None else value)


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{7}万", "\\boxed{7}千", "\\boxed{7} dozen", "$\\boxed{7}$ hundred", "\\boxed{7}k", "\\boxed{7} k",
        "\\boxed{7} bn", "$\\boxed{7}$ squared", "\\boxed{7}²", "π \\boxed{7}", "\\boxed{7} π", "twice \\boxed{7}",
        "half of $\\boxed{7}$", "$\\pi$ $\\boxed{7}$", "log \\boxed{7}", "sqrt(\\boxed{7})", "0.\\boxed{7}",
        "\\boxed{7},000", "$\\boxed{7}$/2", "\\boxed{7} - 3", "$(\\boxed{7})^2$", "$f(\\boxed{7})$",
        "$\\frac{1}{2}\\boxed{7}$", "$(1, \\boxed{7})$", "$3:\\boxed{7}$", "\\boxed{7} or 8",
        "\\boxed{7}, or possibly 8", "$\\boxed{7}$ (or maybe $8$)", "2 * \\boxed{7}", "$2$ × $\\boxed{7}$",
        "$\\boxed{7}\\mathrm{i}$", "\\boxed{7} and a half", "\\boxed{7}% of 10", "$$x = -$$ 3 - \\boxed{7}",
        "$3$ - $\\boxed{7}$", "$\\boxed{7}^\\circ + 5^\\circ$", "$\\boxed{7}^\\circ/2$", "\\boxed{7}^\\circ 30'",
        "$\\boxed{7}^\\circ$ or $12^\\circ$", "$x = \\boxed{7}$ or $x = -3$", "$\\boxed{7}$ and $8$.",
    ],
)  # fmt: skip
def test_what_binds_and_is_not_read(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "- \\boxed{7}", "Then:\n- $\\boxed{7}$", "Answer - \\boxed{7}", "**Final answer** - $\\boxed{7}$",
        "final answer – \\boxed{7}", "So we get — $\\boxed{7}$", "We get: — \\boxed{7}", "2. \\boxed{7}",
        "(b) \\boxed{7}", "(b) - \\boxed{7}", "Step 2 - \\boxed{7}", "* \\boxed{7}", "+ \\boxed{7}", "*\\boxed{7}*",
        "so _\\boxed{7}_", "It is 3 \\boxed{7}", "$= +\\boxed{7}$", "\\boxed{7}!", "\\boxed{7} - which is odd",
        "\\boxed{7} — as expected", "\\boxed{7}\n- 3 is prime", "\\boxed{7}\n\n\\pi is irrational",
        "$\\boxed{7}$ $x$-intercepts", "$\\boxed{7}$ times 4 is 28", "$x_1 = \\boxed{7},$ $x_2 = 3$", "\\boxed{7}千米",
        "$\\boxed{7}$ km", "$\\boxed{7}$ millimeters", "$\\boxed{7}^\\circ$", "a root of $\\boxed{7}$",
        "$n+1$ $\\Rightarrow{\\boxed{7}}$", "$f(1) \\stackrel{(1)}{=} \\boxed{7}$",
        "\\renewcommand{\\a}{1.5} \\boxed{7}", "For $x > 0$ \\boxed{7}", "$x=3$\n$\\boxed{7}$",
        "$$x = 3$$ $$\\boxed{7}$$", "\\[\\boxed{7}\\] \\[3+4\\]", "$\\boxed{7}$ $\\checkmark$",
        "\\boxed{7}, or $7.0$", "\\$\\boxed{7}",
        "\\begin{itemize}\\item It is \\boxed{7} since 3+4 is.\\end{itemize}", "\\boxed{7}\\\\ So",
        "\\boxed{7} \\text{ units}", "\\begin{align} x &= \\boxed{7} & y &= 3 \\end{align}", "\\boxed{7} i think",
        "$\\implies{x=\\boxed{7}}$", "\\boxed{7}\\,^\\circ", "\\boxed{7}{}^\\circ", "$\\boxed{7}^\\circ C$",
        "$\\boxed{7}^{\\text{th}}$", "$\\boxed{7}\\ (\\text{since } 3 + 4 = 7)$", "__\\boxed{7}__", "$\\bold{\\boxed{7}}$",
        "\\boxed{7} or 700%", "$\\boxed{7}$ and 6 more", "$\\boxed{7}$ and $7$.", "$x = \\boxed{7}$ or $x = 7.0$",
    ],
)  # fmt: skip
def test_what_binds_nothing(text: str) -> None:
    assert read(text) == "7"


def test_more_of_both() -> None:
    bound = [
        "½ \\boxed{7}",
        "\\boxed{7} 1/2",
        "(-1)\\boxed{7}",
        "√(\\boxed{7})",
        "\\boxed{7} % 5",
        "\\boxed{7} [dozen]",
    ]
    assert [text for text in bound if read(text) is not None] == []
    signs = [
        "$x=-\\textcolor{blue}{\\boxed{7}}$",
        "x = -\n\\boxed{7}",
        "negative\\ \\boxed{7}",
        "$-{\\color{red}\\boxed{7}}$",
    ]
    assert [text for text in signs if read(text) != "-7"] == []
    free = [
        "$(D)\\ \\boxed{7}$",
        "\\begin{array}{c}\\boxed{7}\\end{array}",
        "\\boxed{7} $= 3 + 4$",
        "\\centerline{\\boxed{7}}",
    ]
    assert [text for text in free if read(text) != "7"] == []


def test_the_sign_is_that_of_the_whole_value() -> None:
    for gold, content, right in [
        ("-\\frac{1}{2}", "\\dfrac12", True), ("5", "-5", True), ("-5", "-5", False), ("-5", "5", True), ("5", "5", False),
        ("-1-\\sqrt{2}", "1+\\sqrt{2}", True), ("-1+\\sqrt{2}", "1+\\sqrt{2}", False),
    ]:  # fmt: skip
        assert grade(f"Hence $x = - \\boxed{{{content}}}$.", gold).correct is right, (gold, content)
    assert read_boxes("$x = -\\boxed{(1, 2)}$").conflict
    assert read_boxes("$x = -\\boxed{y = 2}$").conflict


def test_other_statements_are_read_with_what_stands_beside_them() -> None:
    wrong = [
        "<answer>42</answer> million", "-<answer>42</answer>", "<answer>42</answer>\\pi", "<answer>42</answer> or 43",
        "not <answer>42</answer>", "2 * <answer>42</answer>", "<answer>42</answer> - 3", "#### 42 lakh", "The answer is 42 lakh.",
        "The answer is - $42$.", "The answer is **42** crore.", "\\boxed{42 lakh}", "\\boxed{42\\text{ k}}", "**42** million",
    ]  # fmt: skip
    assert [text for text in wrong if grade(text, "42").correct] == []
    right = [
        "- <answer>42</answer>",
        "<answer>42</answer>.",
        "Answer: <answer>42</answer>",
        "<answer>42</answer> - done",
    ]
    assert [text for text in right if not grade(text, "42").correct] == []
    assert grade("The answer is 42 lakh.", "4200000").correct
    assert grade("<answer>42</answer> million", "42000000").correct


def test_the_last_answer_of_a_worked_solution() -> None:
    assert last_answer("$\\boxed{1}$, then $x=-\\boxed{6}$.").answers == ("-6",)
    assert last_answer("$x$ is $\\boxed{2}$ or $\\boxed{3}$.").answers == ("2", "3")
    assert last_answer("$a = \\boxed{-1}$ and $a = \\boxed{2}$").answers == ("-1", "2")
    assert last_answer("$3\\cdot\\boxed{2} = 6$, so $\\boxed{2}$").answers == ("2",)
    assert last_answer("$\\boxed{2}$, as $6 = 3\\cdot\\boxed{2}$").conflict
    assert last_answer("It is \\boxed{2").conflict
    assert last_answer("none").answers == last_answer("\\boxed{}").answers == ()


def test_formulas() -> None:
    for text in ("$a", "$$a", "\\[a", "\\(a", "\\begin{align*}a", "$a$$b", "cost \\$5, $a", "$a$ $b"):
        assert formula_at(text, len(text)), text
    for text in ("a", "$a$", "$$a$$", "\\[a\\]", "$a\n\n", "\\begin{center}a", "\\begin{align}a\\end{align}", "\\$5"):
        assert formula_at(text, len(text)) is None, text


@pytest.mark.parametrize(
    "piece", ["-", "\\,", "{", "}", "$", "(", "\\frac{1}{2}", "\\text{", "x ", "*", "$ $", "\\hspace{", " or "]
)
def test_no_pattern_is_slow(piece: str) -> None:
    text = (piece * 5_000)[:5_000]
    begun = time.process_time()
    for _ in range(20):
        read(text + BOX + text)
    assert time.process_time() - begun < 1.0
