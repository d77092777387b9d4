"""The reader of arithmetic beside a reference that computes from the tree, not from its text."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs.verifiers.reading.arithmetic import MalformedError, compute

Tree = int | tuple[str, "Tree", "Tree"]
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2}


def trees() -> st.SearchStrategy[Tree]:
    return st.recursive(st.integers(0, 99), lambda part: st.tuples(st.sampled_from("+-*/%"), part, part), max_leaves=12)


def value(tree: Tree) -> Fraction:
    if isinstance(tree, int):
        return Fraction(tree)
    a, b = value(tree[1]), value(tree[2])
    if tree[0] in "+-*":
        return {"+": a + b, "-": a - b, "*": a * b}[tree[0]]
    return a / b if tree[0] == "/" else a % b


def written(tree: Tree, within: int = 0) -> str:
    """With no more parentheses than the order of operations needs."""
    if isinstance(tree, int):
        return str(tree)
    own = PRECEDENCE[tree[0]]
    text = f"{written(tree[1], own)}{tree[0]}{written(tree[2], own + 1)}"
    return f"({text})" if own < within else text


def tokens(text: str) -> list[str]:
    return re.findall(r"\d+|\S", text)


def read(text: str, max_depth: int = 30, products: str = "*/%") -> Fraction:
    return compute(tokens(text), int, max_depth, products)


@given(trees())
def test_it_computes_as_the_reference(tree: Tree) -> None:
    text = written(tree)
    try:
        expected = value(tree)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            read(text)
    else:
        assert read(text) == expected
        assert read(f"-({text})") == read(f"---({text})") == -expected


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1+2*3", "7"), ("8-3-2", "3"), ("8/4/2", "1"), ("2--3", "5"), ("-2*-3", "6"), ("(0-4)%3", "2"), ("-7%3", "2"),
        ("1/3", "1/3"),
    ],
)  # fmt: skip
def test_order_and_signs(text: str, result: str) -> None:
    assert read(text) == Fraction(result)


@pytest.mark.parametrize(
    "text", ["", "1+", "+1", "(1", "1)", "1 2", "()", "(1)(2)", "2**3", "*2", "1+)", "x", "1(2)", "-"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


def test_products_are_those_that_are_allowed() -> None:
    assert read("7%3", products="*/%") == 1
    with pytest.raises(MalformedError):
        read("7%3", products="*/")


def test_numbers_are_what_the_caller_says() -> None:
    assert compute(["0.5", "+", "x"], lambda token: {"0.5": Fraction(1, 2), "x": Fraction(3)}[token], 1) == Fraction(
        7, 2
    )


@pytest.mark.parametrize("around", [("(", ")"), ("-", ""), ("-(", ")")])
def test_depth_is_capped(around: tuple[str, str]) -> None:
    opening, ending = around
    depth = len(opening) * 10
    text = opening * 10 + "1" + ending * 10
    assert read(text, max_depth=depth) in (1, -1)
    with pytest.raises(MalformedError, match="nested"):
        read(text, max_depth=depth - 1)


@given(st.text("0123456789+-*/%() ", max_size=40))
def test_it_raises_nothing_else(text: str) -> None:
    try:
        assert isinstance(read(text), Fraction)
    except (ValueError, ZeroDivisionError):
        return
