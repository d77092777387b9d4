r"""Formulas of numbers and letters as trees: sums, products, fractions, powers, factorials, binomials and square roots.

It reads the tokens of `allowlist.tokenize`. A text that could be read in two ways is not read: `2\frac{1}{3}` may be a mixed
number, `1/2x` a product or a quotient, `2^{3}!` a factorial or an exponent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simko.envs.verifiers.reading.allowlist import GREEK, MAX_NESTING

_PAIRS = {"(": ")", "{": "}", "[": "]"}
_PRODUCTS = frozenset(("*", "\\cdot", "\\times"))
_QUOTIENTS = frozenset(("/", "\\div"))


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a formula. `kind` is `number` or `name`, which have a `text`, or one of `+ - * / ^ ! binom sqrt`.

    `-` has one part, whose sign it changes.
    """

    kind: str
    parts: tuple[Node, ...] = ()
    text: str = ""

    @property
    def number(self) -> str:
        """The digits of a number; empty for anything else."""
        return self.text if self.kind == "number" else ""


class _UnreadError(Exception):
    """The tokens are no formula of this form."""


def parse(tokens: Sequence[str]) -> Node | None:
    """The tree of tokens, or None. Groups may be nested `MAX_NESTING` deep."""
    rest = ["", *reversed(tokens)]  # the next token is the last item
    try:
        node = _sum(rest, 0)
    except _UnreadError:
        return None
    return None if rest[-1] else node


def _sum(rest: list[str], depth: int) -> Node:
    if depth > MAX_NESTING:
        raise _UnreadError
    node = _signed(rest, depth)
    while rest[-1] in ("+", "-"):
        node = Node("+", (node, _signed(rest, depth)))
    return node


def _signed(rest: list[str], depth: int) -> Node:
    negative = False
    while rest[-1] in ("+", "-"):
        negative ^= rest.pop() == "-"
    node = _product(rest, depth)
    return Node("-", (node,)) if negative else node


def _product(rest: list[str], depth: int) -> Node:
    node = last = _power(rest, depth)
    divided = False
    while True:
        sign = rest[-1]
        if sign in _PRODUCTS or sign in _QUOTIENTS:
            rest.pop()
            negative = rest[-1] == "-"
            if negative:
                rest.pop()
            last = _power(rest, depth)
            divided = sign in _QUOTIENTS
            node = Node("/" if divided else "*", (node, Node("-", (last,)) if negative else last))
        elif _is_start(sign):
            bare = last.number != ""
            if divided or (bare and (sign[0].isdigit() or sign in ("{", "."))):
                raise _UnreadError
            factor = _power(rest, depth)
            if bare and sign == "\\frac" and all(part.number for part in factor.parts):
                raise _UnreadError
            last = factor
            node = Node("*", (node, factor))
        else:
            return node


def _is_start(token: str) -> bool:
    return token in _PAIRS or token in ("\\frac", "\\binom", "\\sqrt") or _is_atom(token)


def _is_atom(token: str) -> bool:
    return token[:1].isdigit() or token[:1] == "." or token.isalpha() or token == "\\pi" or token[1:] in GREEK


def _power(rest: list[str], depth: int) -> Node:
    node = _atom(rest, depth)
    if rest[-1] == "!":
        rest.pop()
        node = Node("!", (node,))
    if rest[-1] == "^":
        rest.pop()
        node = Node("^", (node, _atom(rest, depth)))
    if rest[-1] in ("!", "^", "_"):
        raise _UnreadError
    return node


def _atom(rest: list[str], depth: int) -> Node:
    token = rest.pop() if rest[-1] else ""
    if token in _PAIRS:
        node = _sum(rest, depth + 1)
        if rest.pop() != _PAIRS[token]:
            raise _UnreadError
        # A number in brackets is no bare number: it may have a factor behind it.
        return Node("+", (node,)) if node.number else node
    if token in ("\\frac", "\\binom"):
        above, below = _group(rest, depth), _group(rest, depth)
        return Node("/" if token == "\\frac" else "binom", (above, below))
    if token == "\\sqrt":
        return Node("sqrt", (_group(rest, depth),))
    if not _is_atom(token):
        raise _UnreadError
    return Node("number" if token[0].isdigit() or token[0] == "." else "name", text=token)


def _group(rest: list[str], depth: int) -> Node:
    """The argument of a command, in braces."""
    if rest[-1] != "{":
        raise _UnreadError
    rest.pop()
    node = _sum(rest, depth + 1)
    if rest[-1] != "}":
        raise _UnreadError
    rest.pop()
    return node
