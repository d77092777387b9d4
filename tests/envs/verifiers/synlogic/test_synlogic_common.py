"""What the rule checkers share: reading lists, grids and short answers, and exact arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs.verifiers.synlogic.arithmetic import value_of
from simko.envs.verifiers.synlogic.common import (
    answer_part,
    int_grid,
    last_boxed,
    last_double_brackets,
    last_grid,
    last_list,
    marked_or_last_line,
    parse_list,
    to_int,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1+2*3", 7), ("-(2-5)", 3), ("7%3*2", 2), ("(0-4)%3", 2), ("8/3*3", 8), ("--2", 2), ("2-3-4", -5)],
)
def test_arithmetic(text: str, value: int) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize(
    "text", ["", "1+", "(1", "1)", "1 2", "2**3", "7//2", "a", "1.5", "+", "()", "(" * 60 + "1" + ")" * 60, "1" * 301]
)
def test_arithmetic_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        value_of(text.replace(" ", "x"))


@given(st.text("0123456789+-*/%() ", max_size=40))
def test_arithmetic_raises_nothing_else(text: str) -> None:
    try:
        value_of(text)
    except (ValueError, ZeroDivisionError):
        return


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("[[1, 2], [3, 4]]", [["1", "2"], ["3", "4"]]),
        ("[[1 2,3 4]]", [["1", "2"], ["3", "4"]]),
        ("[[1 2]\n [3 4]]", [["1", "2"], ["3", "4"]]),
        ("((1, 2), (3, 4),)", [["1", "2"], ["3", "4"]]),
        ("[['X', X], [\"a\", '↑']]", [["X", "X"], ["a", "↑"]]),
        (r"[['\u2191', 'it\'s']]", [["↑", "it's"]]),
        ("[[[1, 2], [3, 4]]]", [["1", "2"], ["3", "4"]]),
        ("first [[0, 0]] then [[1, 2]]", [["1", "2"]]),
        ("```\n[[1, 2]]\n```\nnot [[0, 0]]", [["1", "2"]]),
        ("[[1, 2], 3]", None),
        ("[[1, 2]", None),
        ("none", None),
    ],
)
def test_grids(text: str, grid: list[list[str]] | None) -> None:
    assert last_grid(text) == grid


def test_readers() -> None:
    assert last_list("(('a','b'))") == [["a", "b"]]
    assert parse_list("[1, 2") is None
    assert parse_list("[" * 7 + "]" * 7) is None
    assert parse_list("['a' 'b']") is None
    assert last_boxed(r"\boxed{1} \boxed{a{b}}") == "a{b}"
    assert last_boxed(r"\boxed{1") is None
    assert last_double_brackets("[[a]] [[ b ]]") == "b"
    assert answer_part("<think>a</think> b <answer>c</answer>") == "c"
    assert (to_int("-12"), to_int("1.0"), to_int("٣"), to_int(True), to_int("9" * 30)) == (-12, None, None, None, None)
    assert int_grid([["1", "x"]]) is None


def test_where_the_short_answer_is() -> None:
    def read(text: str) -> str | None:
        return marked_or_last_line(text, str.isdigit)

    assert read("1\n```\n2\n```") == "2"
    assert read("```\n1\n```\n\\boxed{2}") == "2"
    assert read("```\n\\boxed{2}\n```") == "2"
    assert read("```\n1\n```\n**2**") == "2"
    assert read("```\n1\n```\nThat is all.") == "1"
    assert read("The final answer is: $2$.") == "2"
    assert read("that was it") is None
