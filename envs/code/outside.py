"""What a test says about values that came out: a small language of literals, comparisons and a few functions on plain data.

`take_apart` splits a Python expression. What is in the language stays outside; each part that is not, such as the call of the
program's function, becomes a hole, whose source runs inside. `evaluate` fills the holes with the values that came out.

Nothing here calls a method of a value or looks a name up, and every result is bounded, so a test cannot be made expensive by the
value that it compares.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simko.envs.code.values import MAX_MEMBERS, check_hashes

MAX_SIZE = 1_000_000
"""Items of a sequence, or bits of a number, that an operator may make."""
MAX_DIVIDED = 100_000


@dataclass(frozen=True, slots=True)
class Literal:
    """A value of the test itself."""

    value: Any


@dataclass(frozen=True, slots=True)
class Hole:
    """A value that comes out of the sandbox: the index of its source. `of_program`: it is a call of the program's own name."""

    index: int
    of_program: bool


@dataclass(frozen=True, slots=True)
class Node:
    """An operation on values: `apply` gets those of `parts`."""

    kind: str
    apply: Callable[..., Any]
    parts: tuple[Expression, ...]


Expression = Literal | Hole | Node

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_SINGLETONS = (None, True, False)
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_NAMED: dict[str, Any] = {"math.inf": math.inf, "math.nan": math.nan, "math.pi": math.pi, "math.e": math.e}


def _size(value: Any) -> int:
    if isinstance(value, int):
        return value.bit_length()
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def _add(a: Any, b: Any) -> Any:
    if _size(a) + _size(b) > MAX_SIZE:
        raise OverflowError
    return a + b


def _multiply(a: Any, b: Any) -> Any:
    numbers = isinstance(a, int) and isinstance(b, int)
    if (
        not numbers
        and max(_size(a) * (b if isinstance(b, int) else 1), _size(b) * (a if isinstance(a, int) else 1)) > MAX_SIZE
    ):
        raise OverflowError
    if numbers and _size(a) + _size(b) > MAX_SIZE:
        raise OverflowError
    return a * b


def _power(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and _size(a) * b > MAX_SIZE:
        raise OverflowError
    return a**b


def _small(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A division, whose time is quadratic in the digits of whole numbers, with those of at most `MAX_DIVIDED` bits."""

    def apply(a: Any, b: Any) -> Any:
        if isinstance(a, str | bytes) or max(_size(a), _size(b)) > MAX_DIVIDED:
            raise OverflowError
        return operation(a, b)

    return apply


def _hashed(make: Callable[..., Any]) -> Callable[..., Any]:
    """`set` and the like, of few members: equal hashes of many whole numbers can be made on purpose."""

    def apply(*values: Any) -> Any:
        for value in values:
            if len(value) > MAX_MEMBERS:
                raise OverflowError
            check_hashes(value if make is not dict or isinstance(value, dict) else [key for key, _ in value])
        return make(*values)

    return apply


def _float(value: Any) -> float:
    if isinstance(value, str) and len(value) > 100:
        raise OverflowError
    return float(value)


def _round(value: Any, digits: int | None = None) -> Any:
    if digits is not None and abs(digits) > 400:
        raise OverflowError
    return round(value, digits)


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: _add,
    ast.Sub: operator.sub,
    ast.Mult: _multiply,
    ast.Div: _small(operator.truediv),
    ast.FloorDiv: _small(operator.floordiv),
    ast.Mod: _small(operator.mod),
    ast.Pow: _power,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "all": all,
    "any": any,
    "bool": bool,
    "dict": _hashed(dict),
    "float": _float,
    "frozenset": _hashed(frozenset),
    "len": len,
    "list": list,
    "max": max,
    "math.fabs": math.fabs,
    "math.isclose": math.isclose,
    "min": min,
    "round": _round,
    "set": _hashed(set),
    "sorted": sorted,
    "sum": sum,
    "tuple": tuple,
}
_KEYWORDS = {"math.isclose": ("rel_tol", "abs_tol"), "sorted": ("reverse",)}


class Splitter:
    """Splits the expressions of one test, and collects the source of each hole in `holes`.

    `literals` are names that the test bound to literals, `foreign` those that are not the program's.
    """

    def __init__(self, literals: Mapping[str, Any], foreign: frozenset[str]) -> None:
        self.literals = literals
        self.foreign = foreign
        self.holes: list[str] = []

    def take_apart(self, node: ast.expr) -> Expression:
        """The expression with holes for what must run inside."""
        before = len(self.holes)
        made = self._node(node)
        if made is None:
            del self.holes[before:]
            return self._hole(node)
        return made

    def _hole(self, node: ast.expr) -> Hole:
        self.holes.append(ast.unparse(node))
        root: ast.expr = node
        while isinstance(root, ast.Call | ast.Attribute | ast.Subscript):
            root = root.func if isinstance(root, ast.Call) else root.value
        return Hole(len(self.holes) - 1, isinstance(root, ast.Name) and root.id not in self.foreign)

    def _node(self, node: ast.expr) -> Expression | None:
        """The node as an expression of the language; None if it is not of it."""
        match node:
            case ast.Constant(value=value):
                return Literal(value) if value is not ... else None
            case ast.Name(id=name) if name in self.literals:
                return Literal(self.literals[name])
            case ast.Attribute() if (name := dotted(node)) in _NAMED and "math" in self.foreign:
                return Literal(_NAMED[name])
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                make = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
                if any(isinstance(part, ast.Starred) for part in parts):
                    return None
                return self._apply(type(node).__name__, lambda *values: make(values), parts)
            case ast.Dict(keys=keys, values=values) if None not in keys:
                count = len(keys)
                parts = [*(key for key in keys if key is not None), *values]
                return self._apply("Dict", lambda *items: dict(zip(items[:count], items[count:], strict=True)), parts)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return self._apply(type(op).__name__, _UNARY[type(op)], [operand])
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._apply(type(op).__name__, _BINARY[type(op)], [left, right])
            case ast.BoolOp(op=op, values=values):
                every = isinstance(op, ast.And)
                return self._apply(type(op).__name__, lambda *parts: all(parts) if every else any(parts), values)
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._comparison(left, ops, others)
            case ast.Call(func=func, args=args, keywords=keywords):
                return self._call(dotted(func), args, keywords)
        return None

    def _apply(self, kind: str, apply: Callable[..., Any], parts: Sequence[ast.expr]) -> Expression:
        node = Node(kind, apply, tuple(self.take_apart(part) for part in parts))
        if not all(isinstance(part, Literal) for part in node.parts):
            return node
        try:
            return Literal(evaluate(node, ()))
        except Exception:  # it raises each time it is compared, and that fails the test
            return node

    def _comparison(self, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr]) -> Expression | None:
        singleton = next((o for o in others if isinstance(o, ast.Constant) and _is_singleton(o.value)), None)
        if len(ops) == 1 and isinstance(ops[0], ast.Is | ast.IsNot) and singleton is not None:
            wanted, positive = singleton.value, isinstance(ops[0], ast.Is)
            return self._apply("Is", lambda value, _: (value is wanted) == positive, [left, singleton])
        if not all(type(op) in _COMPARISONS for op in ops):
            return None
        compare = [_COMPARISONS[type(op)] for op in ops]

        def apply(*values: Any) -> bool:
            return all(operation(a, b) for operation, a, b in zip(compare, values[:-1], values[1:], strict=True))

        return self._apply("Compare", apply, [left, *others])

    def _call(self, name: str, args: list[ast.expr], keywords: list[ast.keyword]) -> Expression | None:
        known = name.partition(".")[0] in self.foreign and name in _FUNCTIONS
        names = [keyword.arg for keyword in keywords]
        if (
            not known
            or any(isinstance(arg, ast.Starred) for arg in args)
            or not set(names) <= set(_KEYWORDS.get(name, ()))
        ):
            return None
        count, function = len(args), _FUNCTIONS[name]

        def apply(*values: Any) -> Any:
            return function(*values[:count], **dict(zip(map(str, names), values[count:], strict=True)))

        return self._apply(name, apply, [*args, *(keyword.value for keyword in keywords)])


def _is_singleton(value: Any) -> bool:
    return any(value is one for one in _SINGLETONS)


def dotted(node: ast.expr) -> str:
    """`math.isclose` for an attribute of a name, the name itself for a name, and the empty string for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def evaluate(expression: Expression, values: Sequence[Any]) -> Any:
    """The value of an expression with the holes filled. Raises what the operation raises on such values."""
    match expression:
        case Literal(value=value):
            return value
        case Hole(index=index):
            return values[index]
        case Node(apply=apply, parts=parts):
            return apply(*(evaluate(part, values) for part in parts))


def literal(expression: Expression) -> Any:
    """The value of an expression without a hole. Raises `ValueError` if it has one, or has no value."""
    if has_hole(expression):
        raise ValueError("it has to be run")
    try:
        return evaluate(expression, ())
    except Exception as error:
        raise ValueError(str(error)[:80]) from error


def has_hole(expression: Expression) -> bool:
    """Whether a part of it runs inside."""
    return isinstance(expression, Hole) or (isinstance(expression, Node) and any(map(has_hole, expression.parts)))


def is_pinned(expression: Expression) -> bool:
    """Whether the test itself says what must come out, so that a forged value does not help.

    A comparison has a side without holes. All parts of an `and`, an `or` or a `not` are pinned. Where no comparison is, as in
    `assert f(x)`, the value is that of the program's own name.
    """
    match expression:
        case Literal():
            return True
        case Hole(of_program=of_program):
            return of_program
        case Node(kind="Compare" | "Is" | "math.isclose", parts=parts):
            return not all(map(has_hole, parts))
        case Node(parts=parts):
            return all(map(is_pinned, parts))
