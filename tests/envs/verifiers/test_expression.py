"""The expression verifier: right values, every number once, and nothing but arithmetic."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timing import cpu_seconds

from simko.envs.verifiers.expression import MAX_DEPTH, MAX_EXPRESSION, evaluate, expression, parse_gold

Tree = int | tuple[str, "Tree", "Tree"]
GOLD = json.dumps({"numbers": [2, 3, 5, 7], "target": 24})
RIGHT = "3*7+5-2"


def trees() -> st.SearchStrategy[Tree]:
    return st.recursive(st.integers(0, 999), lambda part: st.tuples(st.sampled_from("+-*/"), part, part), max_leaves=12)


def written(tree: Tree) -> str:
    return str(tree) if isinstance(tree, int) else f"({written(tree[1])} {tree[0]}{written(tree[2])})"


def leaves(tree: Tree) -> list[int]:
    return [tree] if isinstance(tree, int) else leaves(tree[1]) + leaves(tree[2])


def value(tree: Tree) -> Fraction:
    """The slow reference: from the tree, not from its text."""
    if isinstance(tree, int):
        return Fraction(tree)
    a, b = value(tree[1]), value(tree[2])
    return {"+": a + b, "-": a - b, "*": a * b}[tree[0]] if tree[0] != "/" else a / b


@given(trees())
def test_evaluates_as_the_reference(tree: Tree) -> None:
    text = written(tree)
    try:
        expected = value(tree)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            evaluate(text)
    else:
        assert evaluate(text) == (expected, sorted(leaves(tree)))


@pytest.mark.parametrize(
    ("text", "expected"), [("1+2*3", 7), ("8-3-2", 3), ("8/4/2", 1), ("-3+5", 2), ("2--3", 5), ("1/3*3", 1)]
)
def test_precedence_and_signs(text: str, expected: int) -> None:
    assert evaluate(text)[0] == expected


@given(trees())
def test_grades_by_value_and_numbers(tree: Tree) -> None:
    try:
        target = value(tree)
    except ZeroDivisionError:
        return
    numbers, text = leaves(tree), written(tree)
    if target.denominator == 1 and len(text) <= MAX_EXPRESSION:
        right = {"numbers": numbers, "target": int(target)}
        assert expression(text, json.dumps(right)).correct
        assert expression(f"{text} = {target}", json.dumps(right)).correct
        assert expression(f"{text} = {target + 1}", json.dumps(right)).outcome == "incorrect"
        assert expression(text, json.dumps(right | {"target": int(target) + 1})).outcome == "incorrect"
        assert expression(text, json.dumps(right | {"numbers": [*numbers, 1]})).outcome == "incorrect"
        assert expression(text, json.dumps(right | {"numbers": [numbers[0] + 1, *numbers[1:]]})).outcome == "incorrect"
        assert expression(f"{text}+0", json.dumps(right)).outcome == "incorrect"


@pytest.mark.parametrize(
    "response",
    [
        RIGHT,
        f"  {RIGHT}\n",
        f"{RIGHT} = 24",
        f"{RIGHT}.",
        f"`{RIGHT}`",
        "((3*7)+5)-2",
        "-2+5+3*7",
        r"\boxed{3 \times 7 + 5 - 2}",
        r"So $\boxed{3\cdot 7+(5-2)=24}$.",
        r"\boxed{\left(3\cdot7\right)+5-2}",
        r"$3 \times 7 + \left(5 - 2\right)$",
        "<answer>3×7+5−2</answer>",
        f"I tried 2*7+5+3, which is 22.\nAnswer: {RIGHT}",
        f"**Answer:** {RIGHT} = 24.",
        f"<think>Answer: 1+1</think>\n{RIGHT}",
    ],
)
def test_right_answers_in_many_forms(response: str) -> None:
    verdict = expression(response, GOLD)
    assert verdict.outcome == "correct"
    assert verdict.reward == 1.0
    assert verdict.extracted


def test_fractions_in_latex_and_by_division_sign() -> None:
    gold = json.dumps({"numbers": [8, 3, 8, 3], "target": 24})
    assert expression(r"\boxed{\frac{8}{3-\frac{8}{3}}}", gold).correct
    assert expression(r"Answer: $8 \div (3 - 8 \div 3)$", gold).correct
    assert expression("8÷(3−8/3)", gold).correct


@pytest.mark.parametrize(
    "response",
    [
        "3*7+5",  # a number left out
        "3*7+5-2+2-2",  # a number more than once
        "3*7+5-2*1",  # a number that was not given
        "37-5*2-3",  # digits put together: 24, too
        "3 7-5*2-3",
        "24",
        "3**7+5-2",
        "3*7//5-2",
        "3*7+5-2=24=24",
        "3*7+5-2=",
        "24=3*7+5-2",
        "3(7)+5-2",
        "(3*7+5-2",
        "3*7+5-2)",
        ")3*7+5-2(",
        "2/(5-3-2)*7",
        "03*7+5-2",
        r"\boxed{3.0*7+5-2}",
        r"\boxed{3^7+5-2}",
        r"\boxed{abs(3)*7+5-2}",
        r"\boxed{x}",
        r"\boxed{3*7+5-2 if 1 else 0}",
        r"\boxed{__import__('os').getpid()}",
        r"\boxed{0x3*7+5-2}",
        r"\boxed{3_0*7}",
        r"\boxed{[3*7,5-2]}",
        r"\boxed{3*7+5-2} or \boxed{7*3+5-3}",
        "Answer: 3*7+5-2\nAnswer: 7*5-3*2",
    ],
)
def test_wrong_answers(response: str) -> None:
    verdict = expression(response, GOLD)
    assert (verdict.outcome, verdict.reward) == ("incorrect", 0.0)


@pytest.mark.parametrize(
    "response", ["", "  ", "I do not know.", "Let me try 3*7+5-2", "<think>3*7+5-2", "=", "+-*/", "()"]
)
def test_no_answer(response: str) -> None:
    assert expression(response, GOLD).outcome == "no_answer"


@pytest.mark.parametrize(
    "gold",
    [
        "",
        "24",
        "null",
        "[]",
        "{}",
        '{"numbers": [], "target": 1}',
        '{"numbers": [1.5], "target": 1}',
        '{"numbers": [true], "target": 1}',
        '{"numbers": [-1], "target": 1}',
        '{"numbers": "12", "target": 3}',
        '{"numbers": [1], "target": "1"}',
        '{"numbers": [1]}',
        "[" * 100_000,
    ],
)
def test_a_bad_gold_is_an_error_and_not_a_wrong_answer(gold: str) -> None:
    with pytest.raises(ValueError, match=r"gold|Expecting"):
        parse_gold(gold)
    assert expression("1", gold).outcome == "error"


@pytest.mark.parametrize(
    "hostile",
    [
        "(" * 100_000 + "1" + ")" * 100_000,
        "(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1),
        "-" * 199 + "1",
        "1" * 200,
        "9" * 100_000,
        "*".join(["999999"] * 28),
        r"\boxed{" * 20_000,
        r"\boxed{" + r"\frac{" * 30_000,
        r"\boxed{" + r"\frac{1}{" * 100 + "1" + "}" * 101,
        "<answer>" * 20_000,
        "Answer: " * 20_000,
        "answer " + " " * 100_000 + "1",
        "1 " * 100_000,
        "\n" * 100_000,
        "\x00",
        "\ud800",
        "1+" * 99 + "1",
    ],
)
def test_hostile_text_is_quick_and_never_correct(hostile: str) -> None:
    assert expression(hostile, GOLD).outcome in ("incorrect", "no_answer")
    assert cpu_seconds(partial(expression, hostile, GOLD), times=1) < 1.0


@given(st.text(alphabet=r"0123456789+-*/()[]{}=. \$boxedfrac" + "\n×÷", max_size=60))
def test_any_text_gets_a_verdict(text: str) -> None:
    for response in (text, f"\\boxed{{{text}}}", f"Answer: {text}"):
        verdict = expression(response, GOLD)
        assert verdict.outcome in ("correct", "incorrect", "no_answer")
        assert verdict.reward == float(verdict.correct)


def test_length_and_depth_limits_are_reachable() -> None:
    assert evaluate("(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH)[0] == 1
    assert evaluate("1" + "+1" * ((MAX_EXPRESSION - 1) // 2))[0] == 100
    with pytest.raises(ValueError):
        evaluate("1" + "+1" * (MAX_EXPRESSION // 2))


def test_python_is_not_asked() -> None:
    """No answer makes Python compile anything, not even to a syntax tree: an audit hook would call that an execution."""
    program = (
        "import sys; from simko.envs import grade\n"
        'gold = \'{"numbers": [2, 3, 7], "target": 42}\'\n'
        "assert grade('2*3*7', gold, 'expression').correct\n"
        "def hook(event, arguments):\n    assert event not in ('compile', 'exec', 'import', 'open'), (event, arguments)\n"
        "sys.addaudithook(hook)\n"
        "for text in ('7*(2*3)', '9**9**9', '42', '(2+3', '+-+-42', '[[42]]', '{7*6}', '2*3*7 = 42', '1 2', '2//3'):\n"
        "    print(grade(text, gold, 'expression').outcome)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["correct", *["incorrect"] * 6, "correct", *["incorrect"] * 2], done.stderr
