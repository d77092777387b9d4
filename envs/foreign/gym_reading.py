"""What reasoning-gym's scorers read an answer with, in place of Python's `eval` and sympy's `parse_expr`.

Nine of its scorers put the answer through one of these two, which run it. Here the text becomes a syntax tree, and the tree is
walked: numbers, lists, the arithmetic of a few operators and a few functions by name. Anything else raises `ValueError`.
It is imported in a worker alone, which knows nothing of simko.
"""

from __future__ import annotations

import ast
import operator
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

MAX_TEXT = 4_000  # characters
MAX_BITS = 4_096  # of a whole number
MAX_POWER = 64
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,20}")
_FUNCTIONS = ("sin", "cos", "tan", "exp", "log", "ln", "sqrt", "asin", "acos", "atan", "sinh", "cosh", "tanh", "Abs")
_CONSTANTS = ("pi", "E")
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
Parse = Callable[[str], ast.expr]


def tree(text: str) -> ast.expr:
    """The syntax tree of an expression. Nothing is compiled to code. Raises `ValueError` or `SyntaxError`."""
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise ValueError("no text, or too long")
    return ast.parse(text.strip(), mode="eval").body


def literal(text: str, parse: Parse = tree) -> Any:
    """The value of a text of numbers, texts, lists and the arithmetic of whole numbers. It replaces `eval`."""
    return _literal(parse(text))


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        return node.value
    if isinstance(node, ast.List | ast.Tuple):
        items = [_literal(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd | ast.Invert):
        value = _number(_literal(node.operand))
        return -value if isinstance(node.op, ast.USub) else ~value if isinstance(node.op, ast.Invert) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _number(_literal(node.left)), _number(_literal(node.right))
        if isinstance(node.op, ast.LShift) and not 0 <= right <= MAX_BITS:
            raise ValueError("a shift too far")
        return _number(_OPERATORS[type(node.op)](left, right))
    raise ValueError(f"{type(node).__name__} is not read")


def _number(value: Any) -> Any:
    if not isinstance(value, int | float) or (isinstance(value, int) and value.bit_length() > MAX_BITS):
        raise ValueError("no number, or too large")
    return value


def expression(text: str, names: Mapping[str, Any] | None = None, parse: Parse = tree) -> Any:
    """The sympy expression that a text states. It replaces `parse_expr`. `names` are its `local_dict`."""
    return _expression(parse(text), names or {})


def _expression(node: ast.expr, names: Mapping[str, Any]) -> Any:
    import sympy

    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return sympy.Integer(_number(node.value)) if isinstance(node.value, int) else sympy.Float(node.value)
    if isinstance(node, ast.Name) and _NAME.fullmatch(node.id):
        if node.id in names:
            return names[node.id]
        return getattr(sympy, node.id) if node.id in _CONSTANTS else sympy.Symbol(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _expression(node.operand, names)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        left, right = _expression(node.left, names), _expression(node.right, names)
        if isinstance(node.op, ast.Pow):
            return _power(left, right)
        if isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
            return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        function = node.func.id if isinstance(node.func, ast.Name) else ""
        if function in _FUNCTIONS:
            return getattr(sympy, function)(_expression(node.args[0], names))
    raise ValueError(f"{type(node).__name__} is not read")


def _power(base: Any, exponent: Any) -> Any:
    if exponent.is_number and not (exponent.is_Rational and abs(exponent) <= MAX_POWER):
        raise ValueError("the exponent is too large")
    if exponent.is_number and base.is_number and len(str(base)) > 20:
        raise ValueError("the power is too large")
    return base**exponent


@contextmanager
def in_place(parse: Parse) -> Iterator[None]:
    """Inside `with`, the two readers stand in place of `eval` and `parse_expr` in reasoning-gym and sympy."""
    parser = sys.modules.get("sympy.parsing.sympy_parser")
    whole = None if parser is None else vars(parser)["parse_expr"]

    def read(text: str, local_dict: Any = None, *more: Any, **named: Any) -> Any:
        return expression(text, local_dict, parse)

    scopes = [vars(module) for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
    parsing = [scope for scope in scopes if whole is not None and scope.get("parse_expr") is whole]
    running = [scope for scope in scopes if str(scope.get("__name__", "")).startswith("reasoning_gym")]
    try:
        for scope in parsing:
            scope["parse_expr"] = read
        for scope in running:  # a global of this name comes before the builtin
            scope["eval"] = lambda source, *_: literal(source, parse)
        yield
    finally:
        for scope in parsing:
            scope["parse_expr"] = whole
        for scope in running:
            scope.pop("eval", None)
