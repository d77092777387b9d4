"""Values of a formula at a point, in floating point, each with a bound on its error.

Two formulas whose values differ by more than the bounds are different; nothing is concluded from values that agree. All
variables are positive reals. What is undefined, complex, or known too poorly has no value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce

from simko.envs.verifiers.math.formula import Node

UNIT = 2.0**-52
MAX_ANGLE = 1e6
MAX_LOG = 600.0

Value = tuple[float, float]  # the value, and how far it may be off


class NoValueError(Exception):
    """There is no real value here, or none that is known well."""


def value(node: Node, point: Mapping[str, float]) -> Value:
    """The value where the variables have the values of `point`. Raises `NoValueError`."""
    try:
        found, error = _value(node, point)
    except (OverflowError, ValueError, ZeroDivisionError) as none:
        raise NoValueError from none
    if not (math.isfinite(found) and math.isfinite(error)):
        raise NoValueError
    return found, error


def _value(node: Node, point: Mapping[str, float]) -> Value:
    kind = node.kind
    if kind == "number":
        found = float(node.value)
        return found, 0.0 if node.value.denominator == 1 and abs(found) < 2**53 else abs(found) * UNIT
    if kind == "pi":
        return math.pi, UNIT
    if kind == "letter":
        if node.name == "i":
            raise NoValueError
        return (math.e, UNIT) if node.name == "e" else (point[node.name], 0.0)
    parts = [value(part, point) for part in node.parts]
    if kind == "sum":
        found = math.fsum(x for x, _ in parts)
        return found, sum(e for _, e in parts) + sum(abs(x) for x, _ in parts) * UNIT
    if kind == "product":
        return reduce(_product, parts)
    if kind == "quotient":
        return _quotient(parts[0], parts[1])
    if kind == "power":
        return _power(parts[0], parts[1])
    if kind == "root":
        return _power(parts[0], (float(1 / node.value), UNIT))
    if kind == "binom":
        (n, dn), (k, dk) = parts
        return _quotient(_factorial(n, dn), _product(_factorial(k, dk), _factorial(n - k, dn + dk)))
    function = _FUNCTIONS.get(kind)
    if function is None:
        raise NoValueError
    return function(*parts[0])


def _product(a: Value, b: Value) -> Value:
    found = a[0] * b[0]
    return found, abs(a[0]) * b[1] + abs(b[0]) * a[1] + a[1] * b[1] + abs(found) * UNIT


def _quotient(a: Value, b: Value) -> Value:
    if abs(b[0]) <= 2 * b[1]:
        raise NoValueError
    found = a[0] / b[0]
    return found, (a[1] + abs(found) * b[1]) / (abs(b[0]) - b[1]) + abs(found) * UNIT


def _power(base: Value, exponent: Value) -> Value:
    x, dx = base
    n, dn = exponent
    if dn == 0.0 and n == int(n) and abs(n) < 1e4:
        if abs(x) <= 2 * dx or x == 0.0:
            raise NoValueError
        relative = abs(n) * dx / (abs(x) - dx)
    else:
        if x <= 2 * dx or x <= 0.0:
            raise NoValueError
        relative = abs(n) * dx / (x - dx) + (abs(math.log(x)) + 1.0) * dn
    if relative > 1e-3:
        raise NoValueError
    found = x**n
    return found, abs(found) * (2 * relative + (8 + abs(n)) * UNIT)


def _sqrt(x: float, e: float) -> Value:
    if x == 0.0 and e == 0.0:
        return 0.0, 0.0
    if x <= 2 * e:
        raise NoValueError
    return math.sqrt(x), e / (2 * math.sqrt(x - e)) + math.sqrt(x) * UNIT


def _sin(x: float, e: float) -> Value:
    return math.sin(_angle(x)), e + 4 * UNIT


def _cos(x: float, e: float) -> Value:
    return math.cos(_angle(x)), e + 4 * UNIT


def _angle(x: float) -> float:
    if abs(x) > MAX_ANGLE:
        raise NoValueError
    return x


def _arc(function: Callable[[float], float]) -> Callable[[float, float], Value]:
    def arc(x: float, e: float) -> Value:
        edge = abs(x) + e
        if edge >= 0.999999:
            raise NoValueError
        return function(x), e / math.sqrt(1 - edge * edge) + 8 * UNIT

    return arc


def _exp(x: float, e: float) -> Value:
    if abs(x) > MAX_LOG or e > 1e-3:
        raise NoValueError
    return math.exp(x), math.exp(x) * (2 * e + 8 * UNIT)


def _ln(x: float, e: float) -> Value:
    if x <= 2 * e or x <= 0.0:
        raise NoValueError
    return math.log(x), e / (x - e) + (abs(math.log(x)) + 1.0) * 4 * UNIT


def _hyperbolic(minus: bool) -> Callable[[float, float], Value]:
    def function(x: float, e: float) -> Value:
        (up, du), (down, dd) = _exp(x, e), _exp(-x, e)
        return (up - down if minus else up + down) / 2, (du + dd) + (up + down) * UNIT

    return function


_sinh, _cosh = _hyperbolic(minus=True), _hyperbolic(minus=False)


def _floor(x: float, e: float) -> Value:
    below = math.floor(x)
    if (e > 0.0 and min(x - below, below + 1 - x) <= 2 * e) or abs(x) > 1e9:
        raise NoValueError
    return float(below), 0.0


def _ceil(x: float, e: float) -> Value:
    above, error = _floor(-x, e)
    return -above, error


def _factorial(x: float, e: float) -> Value:
    if x <= -1.0 + 2 * e or e > 1e-6:
        raise NoValueError
    found = math.gamma(x + 1.0)
    return found, found * ((math.log(x + 2.0) + 2.0 + 1.0 / (x + 1.0)) * e + 64 * UNIT * (1.0 + abs(x)))


_FUNCTIONS: dict[str, Callable[[float, float], Value]] = {
    "sqrt": _sqrt,
    "abs": lambda x, e: (abs(x), e),
    "floor": _floor,
    "ceil": _ceil,
    "factorial": _factorial,
    "sin": _sin,
    "cos": _cos,
    "tan": lambda x, e: _quotient(_sin(x, e), _cos(x, e)),
    "cot": lambda x, e: _quotient(_cos(x, e), _sin(x, e)),
    "sec": lambda x, e: _quotient((1.0, 0.0), _cos(x, e)),
    "csc": lambda x, e: _quotient((1.0, 0.0), _sin(x, e)),
    "arcsin": _arc(math.asin),
    "arccos": _arc(math.acos),
    "arctan": lambda x, e: (math.atan(x), e + 4 * UNIT),
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": lambda x, e: _quotient(_sinh(x, e), _cosh(x, e)),
    "exp": _exp,
    "ln": _ln,
}
