"""Do two relations say the same? It is imported in a worker alone, which knows nothing of simko.

They do if one side minus the other is the same up to a constant factor (a positive one between inequalities). They do not
if a point satisfies one of them and not the other. For equations such a point is found by solving for one variable, exactly
where it occurs linearly, else between two points where the sign changes; for inequalities it is any point of a grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

MAX_VARIABLES = 8
_STARTS = (0.4142, 1.7321)  # the values of the variables that are not solved for; the next variable has one step more
_STEP = 0.5477
_GRID = [-7.91 + 0.431 * i for i in range(38)]  # where a change of sign is looked for
_HALVINGS = 30
_MAX_ZEROS = 3
_ZERO, _CLEARLY_NOT_ZERO = 1e-6, 1e-4
_DIGITS = 15


def is_relation(expression: Any) -> bool:
    """Whether a parsed text is an equation or an inequality with one sign."""
    import sympy

    return isinstance(
        expression, sympy.Eq | sympy.StrictLessThan | sympy.LessThan | sympy.GreaterThan | sympy.StrictGreaterThan
    )


def same_relation(gold: Any, answer: Any) -> bool | None:
    """Whether two relations of one sign each say the same; None if neither is shown."""
    import sympy

    if _kind(gold) != _kind(answer):
        return False
    is_equation = isinstance(gold, sympy.Eq)
    p, q = _difference(gold), _difference(answer)
    if _has_constant_ratio(p, q, is_equation):
        return True
    if len(p.free_symbols | q.free_symbols) > MAX_VARIABLES:
        return None
    apart = _zeros_apart(p, q) or _zeros_apart(q, p) if is_equation else _signs_apart(p, q)
    return False if apart else None


def _kind(relation: Any) -> str:
    import sympy

    if isinstance(relation, sympy.Eq):
        return "="
    return "<" if isinstance(relation, sympy.StrictLessThan | sympy.StrictGreaterThan) else "<="


def _difference(relation: Any) -> Any:
    """One side minus the other: of an inequality the one that is to be smaller comes first."""
    import sympy

    if isinstance(relation, sympy.Eq):
        return relation.lhs - relation.rhs
    return relation.lts - relation.gts


def _has_constant_ratio(p: Any, q: Any, is_equation: bool) -> bool:
    """Whether `p / q` is a number other than 0. Of equations only the numerators count: `y = 1/x`, `xy = 1`."""
    import sympy

    if is_equation:
        (p, below), (q, other) = sympy.fraction(sympy.together(p)), sympy.fraction(sympy.together(q))
        for above, names in ((p, below.free_symbols), (q, other.free_symbols)):
            if any(above.subs(name, 0) == 0 for name in names):
                return False  # x = y/y: its numerator is zero where it has no value
    ratio = sympy.cancel(sympy.expand(p) / sympy.expand(q)) if p != 0 and q != 0 else sympy.S.Zero
    if ratio.free_symbols or not p.free_symbols:
        return False
    return bool(ratio.is_nonzero if is_equation else ratio.is_positive)


def _value(expression: Any, point: dict[Any, Any]) -> float | None:
    """The value at a point; None unless it is a finite real number."""
    value = expression.subs(point).evalf(_DIGITS)
    return float(value) if value.is_Float or value.is_Rational else None


def _point(names: list[Any], start: float) -> dict[Any, float]:
    return {name: start + i * _STEP for i, name in enumerate(names)}


def _zeros_apart(p: Any, q: Any) -> bool:
    """Whether `p` has a zero at which `q` is clearly not zero."""
    names = sorted(p.free_symbols | q.free_symbols, key=str)
    for start in _STARTS:
        for solved in names[:3]:
            point = _point(names, start)
            del point[solved]
            for low, high in _zeros(p.subs(point), solved):
                values = [_value(q, {**point, solved: at}) for at in (low, high)]
                if all(v is not None and abs(v) > _CLEARLY_NOT_ZERO for v in values) and values[0] * values[1] > 0:  # type: ignore[operator]
                    return True
    return False


def _zeros(p: Any, solved: Any) -> Iterator[tuple[float, float]]:
    """Narrow brackets about zeros of `p`, at most three. Poles, where the sign changes too, are left out."""
    slope = p.diff(solved)
    if slope.is_number:
        at = None if slope == 0 else _value(-p.subs(solved, 0) / slope, {})
        if at is not None:
            yield at, at
        return
    signs = [(at, v) for at in _GRID if (v := _value(p, {solved: at})) is not None and abs(v) > _ZERO]
    brackets = [(low, high, a) for (low, a), (high, b) in pairwise(signs) if a * b < 0]
    for low, high, sign in brackets[:_MAX_ZEROS]:
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            value = _value(p, {solved: middle})
            if value is None or value == 0:
                break
            low, high = (middle, high) if value * sign > 0 else (low, middle)
        ends = [_value(p, {solved: at}) for at in (low, high)]
        if high - low < _ZERO and all(v is not None and abs(v) < _CLEARLY_NOT_ZERO / 10 for v in ends):
            yield low, high


def _signs_apart(p: Any, q: Any) -> bool:
    """Whether at some point one of the two is clearly negative and the other clearly positive."""
    names = sorted(p.free_symbols | q.free_symbols, key=str)
    for i, at in enumerate(_GRID):
        point = {name: _GRID[(i * (2 * j + 1) + 5 * j) % len(_GRID)] if j else at for j, name in enumerate(names)}
        a, b = _value(p, point), _value(q, point)
        if a is not None and b is not None and a * b < 0 and min(abs(a), abs(b)) > _ZERO:
            return True
    return False
