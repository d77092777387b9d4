"""Formulas as trees: the order of operations, and what may be read in two ways."""

from __future__ import annotations

import pytest

from simko.envs.verifiers.reading.allowlist import tokenize
from simko.envs.verifiers.reading.formula import Node, parse


def written(node: Node) -> str:
    """A tree with all its parentheses."""
    parts = [written(part) for part in node.parts]
    if node.kind in ("number", "name"):
        return node.text
    if node.kind == "+" and len(parts) == 1:  # a number in brackets
        return parts[0]
    return f"{node.kind}({','.join(parts)})" if len(parts) != 2 else f"({parts[0]}{node.kind}{parts[1]})"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1+2*3", "(1+(2*3))"), ("-2^{4}", "-((2^4))"), ("2x", "(2*x)"), ("12/3/2", "((12/3)/2)"),
        ("6-2-1", "((6+-(2))+-(1))"),
        ("\\frac{1}{2^{3}}", "(1/(2^3))"), ("5!", "!(5)"), ("3!^{2}", "(!(3)^2)"), ("\\binom{5}{2}", "(5binom2)"),
        ("\\sqrt{2}\\pi", "(sqrt(2)*\\pi)"), ("2 \\cdot -3", "(2*-(3))"), ("(1+2)(3)", "((1+2)*3)"),
        ("2^{3}4", "((2^3)*4)"),
        ("2^{2^{10}}", "(2^(2^10))"), ("--1", "1"),
    ],
)  # fmt: skip
def test_a_formula_has_one_tree(text: str, tree: str) -> None:
    node = parse(tokenize(text) or [])
    assert node is not None
    assert written(node) == tree


@pytest.mark.parametrize(
    "text",
    ["2\\frac{1}{3}", "1/2x", "2^{3}!", "3!!", "2 3", "2{3}", "2^{3}^{4}", "x_{1}", "|x|", "1+", "(1", "1)",
     "\\sqrt[3]{8}",
     "\\sin(1)", "x=1", "()", "(" * 20 + "1" + ")" * 20, "+", "\\frac12"],
)  # fmt: skip
def test_what_could_be_two_things_is_neither(text: str) -> None:
    assert parse(tokenize(text) or [""]) is None
