r"""Admitted text as a tree, where there is one way to read it.

The reader is for the fast path (`algebra`): what it cannot read for sure (`1/2x`, `\sin xy`, `f(x)`,
`|a|b|c|`) is `None`, and is left to math-verify. It recurses as deep as the text nests, which `allowlist` has capped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from simko.envs.verifiers.reading.allowlist import FUNCTIONS, GREEK

_TOKEN = re.compile(r"\\[A-Za-z]+|\d+|\S")
_MIXED = re.compile(r"\\frac \{ (\d+) \} \{ (\d+) \}")
_TIMES = ("\\cdot", "\\times", "*")
_OVER = ("/", "\\div")
_ENDS = (")", "}", "]", "\\rfloor", "\\rceil", "")
_AFTER_BARE = (
    *_ENDS,
    "+",
    "-",
    "|",
    *_TIMES,
    *(f"\\{name}" for name in FUNCTIONS),
)  # what may follow the argument of a function without parentheses
_CALLED = frozenset("fghFGHPQ")  # letters that call what follows in parentheses


@dataclass(frozen=True, slots=True)
class Node:
    """`kind`: number, letter, pi, sum, product, quotient, power, or the name of a function."""

    kind: str
    parts: tuple[Node, ...] = ()
    value: Fraction = Fraction(0)
    name: str = ""


_INVERSE = Node("product", (Node("number", value=Fraction(-1)), Node("number", value=Fraction(1))))


class _UnclearError(Exception):
    """There is more than one way to read it, or none."""


def read(text: str) -> Node | None:
    """The tree of an admitted text; None where it cannot be read for sure, or is a relation."""
    reader = _Reader(_TOKEN.findall(text))
    if reader.tokens.count("|") > 2:
        return None
    try:
        node = reader.sum()
    except _UnclearError:
        return None
    return node if reader.at == len(reader.tokens) else None


def letters(node: Node) -> frozenset[str]:
    """The variables of a tree: its letters but for `e` and `i`."""
    own = {node.name} - {"", "e", "i"}
    return frozenset(own.union(*(letters(part) for part in node.parts)))


def number(value: int | Fraction) -> Node:
    """A node that is a number."""
    return Node("number", value=Fraction(value))


def _product(factors: list[Node]) -> Node:
    return factors[0] if len(factors) == 1 else Node("product", tuple(factors))


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self.in_bars = False

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise _UnclearError
        self.at += 1
        return token

    def sum(self) -> Node:
        parts = []
        sign = self.take() if self.peek() in ("+", "-") else "+"
        while True:
            term = self.product()
            parts.append(term if sign == "+" else Node("product", (number(-1), term)))
            if self.peek() not in ("+", "-"):
                return parts[0] if len(parts) == 1 else Node("sum", tuple(parts))
            sign = self.take()

    def product(self) -> Node:
        factors = [self.factor(first=True)]
        divisions = 0
        while (token := self.peek()) not in (*_ENDS, "+", "-") and not (token == "|" and self.in_bars):
            if token in _OVER:
                self.take()
                divisions += 1
                factors = [Node("quotient", (_product(factors), self.factor(first=True)))]
            elif token in _TIMES:
                self.take()
                factors.append(self.factor(first=True))
            else:
                factors.append(self.factor(first=False))
                divisions += 10 * (divisions > 0)
            if divisions > 4:  # 1/2x
                raise _UnclearError
        return _product(factors)

    def factor(self, first: bool) -> Node:
        """A power: its base, and where there is one its exponent. `first`: nothing is multiplied with it from the left."""
        token = self.peek()
        base = self.base(first)
        if self.peek() == "!":
            self.take()
            if self.peek() == "!" or (base.kind == "number" and not token.isdigit()) or token == "\\frac":
                raise _UnclearError
            base = Node("factorial", (base,))
        if self.peek() != "^":
            return base
        if (token[1:] in FUNCTIONS and self.tokens[self.at - 1] != ")") or token == "\\frac":
            raise _UnclearError
        self.take()
        if self.peek() == "{":
            exponent = self.group("{", "}")
        elif len(self.peek()) == 1 and self.peek().isalnum():
            exponent = self.base(first=True)
        else:
            raise _UnclearError
        if self.peek() in ("^", "!", "_"):
            raise _UnclearError
        return Node("power", (base, exponent))

    def base(self, first: bool) -> Node:
        token = self.take()
        if token.isdigit():
            if not first:
                raise _UnclearError
            fraction = _MIXED.match(" ".join(self.tokens[self.at : self.at + 7]))
            return (
                number(int(token)) if fraction is None else self.mixed(int(token), int(fraction[1]), int(fraction[2]))
            )
        if token.isalpha() or token[1:] in GREEK:
            return self.letter(token)
        if token in ("(", "{"):
            self.at -= 1
            return self.group(token, ")" if token == "(" else "}")
        if token == "|":
            if self.in_bars:
                raise _UnclearError
            self.in_bars = True
            inside = self.sum()
            self.in_bars = False
            self.take("|")
            return Node("abs", (inside,))
        if token == "\\pi":
            return Node("pi")
        if token == "\\lfloor":
            inside = self.sum()
            self.take("\\rfloor")
            return Node("floor", (inside,))
        if token == "\\lceil":
            inside = self.sum()
            self.take("\\rceil")
            return Node("ceil", (inside,))
        if token == "\\frac":
            return Node("quotient", (self.group("{", "}"), self.group("{", "}")))
        if token == "\\sqrt":
            return self.root()
        if token == "\\binom":
            return self.choose()
        if token[1:] in FUNCTIONS and (token != "\\log" or self.peek() != "_"):
            return self.call(token[1:])
        if token == "\\log" and self.peek() == "_":
            self.take()
            base = self.group("{", "}") if self.peek() == "{" else self.digit()
            return Node("quotient", (self.call("ln"), Node("ln", (base,))))
        raise _UnclearError

    def mixed(self, whole: int, above: int, below: int) -> Node:
        if above >= below:
            raise _UnclearError
        self.at += 7
        return number(whole + Fraction(above, below))

    def digit(self) -> Node:
        token = self.take()
        if len(token) != 1 or not token.isdigit():
            raise _UnclearError
        return number(int(token))

    def letter(self, token: str) -> Node:
        name = token
        if self.peek() == "_":
            self.take()
            name += "_"
            if self.peek() == "{":
                end = self.tokens.index("}", self.at) if "}" in self.tokens[self.at :] else 0
                inside = self.tokens[self.at + 1 : end]
                if not inside or not all(t.isalnum() and t.isascii() for t in inside):
                    raise _UnclearError
                name += "".join(inside)
                self.at = end + 1
            else:
                index = self.take()
                if not (len(index) == 1 and index.isalnum()):
                    raise _UnclearError
                name += index
        following = self.peek()
        if (following == "(" and (token in _CALLED or name != token)) or following == "_":
            raise _UnclearError
        if name == "d" and (following.isalpha() or following[1:] in GREEK):  # dx
            raise _UnclearError
        return Node("letter", name=name)

    def group(self, opening: str, closing: str) -> Node:
        self.take(opening)
        outside, self.in_bars = self.in_bars, False
        inside = self.sum()
        self.in_bars = outside
        self.take(closing)
        return inside

    def root(self) -> Node:
        if self.peek() != "[":
            return Node("sqrt", (self.group("{", "}"),))
        self.take()
        degree = self.take()
        self.take("]")
        if not degree.isdigit() or not 2 <= int(degree) <= 20:
            raise _UnclearError
        return Node("root", (self.group("{", "}"),), value=Fraction(int(degree)))

    def choose(self) -> Node:
        return Node("binom", (self.group("{", "}"), self.group("{", "}")))

    def call(self, name: str) -> Node:
        """A function with its argument, which stands in parentheses or braces, or is one sign with nothing behind it."""
        exponent: Node | None = None
        if self.peek() == "^":
            self.take()
            exponent = self.group("{", "}") if self.peek() == "{" else self.digit()
            if exponent.kind == "product" and name in ("sin", "cos", "tan") and exponent == _INVERSE:
                name, exponent = f"arc{name}", None
            elif exponent.kind != "number" or exponent.value < 1:
                raise _UnclearError
        if self.peek() in ("(", "{"):
            argument = self.group(self.peek(), ")" if self.peek() == "(" else "}")
            if self.peek() in ("(", "{", "_", "!", "/"):
                raise _UnclearError
        else:
            argument = self.bare_argument()
        node = Node(name, (argument,))
        return node if exponent is None else Node("power", (node, exponent))

    def bare_argument(self) -> Node:
        r"""The argument of a function that has no brackets: one sign, or a number and then one: `x`, `2x`, `\frac{\pi}{3}`."""
        factors = []
        if self.peek().isdigit() and (self.peek(1).isalpha() or self.peek(1)[1:] in GREEK or self.peek(1) == "\\pi"):
            factors.append(number(int(self.take())))
        token = self.peek()
        if not (
            token.isdigit() or token.isalpha() or token == "\\pi" or token[1:] in GREEK or token in ("\\frac", "\\sqrt")
        ):
            raise _UnclearError
        factors.append(self.base(first=True))
        if self.peek() not in _AFTER_BARE:
            raise _UnclearError
        return _product(factors)
