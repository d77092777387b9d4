r"""Two equations, or two inequalities, in the same variables: do they say the same?

They do where one side minus the other is the same but for a constant factor (a positive one between inequalities). They do
not where a point is found that satisfies one and not the other: exactly, by solving for a variable that an equation is
linear in; else in floating point, between two points where the sign changes, with bounds on every error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from simko.envs.verifiers.math import polynomial, sample
from simko.envs.verifiers.math.formula import Node, letters, number
from simko.envs.verifiers.math.polynomial import Polynomial, TooMuchError, UndefinedError
from simko.envs.verifiers.math.trees import exact, tree

MAX_VARIABLES = 8
_SIGN = re.compile(r"=|<|>|\\le(?![A-Za-z])|\\ge(?![A-Za-z])")
_STARTS = (0.4142, 1.7321)  # the values of the variables that are not solved for; they follow in steps
_STEP = 0.5477
_GRID = [-7.91 + 0.431 * i for i in range(38)]  # where a sign change is looked for
_HALVINGS = 45
_SMALL, _LARGE = 1e-7, 1e-4  # what counts as zero at a sign change, and as clearly something else


def is_relation(text: str) -> bool:
    """Whether an admitted text has a sign of equality or order."""
    return _SIGN.search(text) is not None


def is_variable(name: str) -> bool:
    """Whether a generator is a variable."""
    return name not in ("e", "i", "\\pi") and name[0] != "√" and not polynomial.is_opaque(name)


def same(gold: str, answer: str) -> bool | None:
    """Whether two relations of one sign each say the same; None where that is not known for sure."""
    signs = [_SIGN.findall(text) for text in (gold, answer)]
    if any(len(found) != 1 for found in signs):
        return None
    strict = [{"=": "=", "<": "<", ">": "<", "\\le": "<=", "\\ge": "<="}[found[0]] for found in signs]
    if strict[0] != strict[1]:
        return False
    a, b = (_sides(text, found[0]) for text, found in zip((gold, answer), signs, strict=True))
    try:
        p, q = difference(*a), difference(*b)
    except UndefinedError:
        return False
    equation = strict[0] == "="
    if p is not None and q is not None:
        factor = polynomial.ratio(p[0], q[0])
        if factor is not None and (equation or (factor > 0 and not p[1] and not q[1])):
            return True if any(is_variable(name) or polynomial.is_opaque(name) for name in _names(p[0])) else None
        if equation and not p[1] and not q[1] and (_separated(p[0], q[0]) or _separated(q[0], p[0])):
            return False
    f, g = _minus(*a), _minus(*b)
    if f is None or g is None:
        return None
    return False if (_zeros_apart(f, g) or _zeros_apart(g, f) if equation else _signs_apart(f, g)) else None


def difference(left: str, right: str) -> tuple[Polynomial, bool] | None:
    """The numerator of `left - right`, and whether there is a denominator with a variable; None where they are not exact.

    Raises `UndefinedError`.
    """
    a, b = exact(left), exact(right)
    if a is None or b is None:
        return None
    try:
        above = polynomial.difference(a, b)
    except TooMuchError:
        return None
    below = _names(a.below) | _names(b.below)
    if any(is_variable(name) and all(name in dict(monomial) for monomial in above) for name in below):
        return None  # x = y/y: its numerator is zero where it has no value
    return above, any(not polynomial.is_root(name) for name in below)


def _names(found: Polynomial) -> set[str]:
    return {name for monomial in found for name, _ in monomial}


def _sides(text: str, sign: str) -> tuple[str, str]:
    """Both sides, the lower one first."""
    left, _, right = text.partition(sign)
    return (right.strip(), left.strip()) if sign in (">", "\\ge") else (left.strip(), right.strip())


def _minus(left: str, right: str) -> Node | None:
    a, b = tree(left), tree(right)
    return None if a is None or b is None else Node("sum", (a, Node("product", (number(-1), b))))


def _separated(a: Polynomial, b: Polynomial) -> bool:
    """Whether a point is found where `a` is zero and `b` is not, by solving `a` for a variable that it is linear in."""
    names = sorted(_names(a) | _names(b))
    if len(names) > MAX_VARIABLES or not all(is_variable(name) for name in names):
        return False
    if any(exponent % 1 for part in (a, b) for monomial in part for _, exponent in monomial):
        return False
    for solved in names:
        if max(dict(monomial).get(solved, 0) for monomial in a) != 1:
            continue
        point = {name: Fraction(3 + 2 * i, 5 + i) for i, name in enumerate(names)}
        point[solved] = Fraction(0)
        constant = polynomial.substitute(a, point)
        point[solved] = Fraction(1)
        slope = polynomial.substitute(a, point) - constant
        if slope:
            point[solved] = -constant / slope
            return polynomial.substitute(b, point) != 0
    return False


def _value(node: Node, point: dict[str, float]) -> tuple[float, float] | None:
    try:
        found, error = sample.value(node, point)
    except sample.NoValueError:
        return None
    return found, 8 * error


def _zeros_apart(f: Node, g: Node) -> bool:
    """Whether `f` has a zero, between two points where its sign differs, at which `g` is clearly something else."""
    names = sorted(letters(f) | letters(g))
    if len(names) > MAX_VARIABLES:
        return False
    for start in _STARTS:
        for solved in names[:3]:
            point = {name: start + i * _STEP for i, name in enumerate(names)}
            for low, high in _sign_changes(f, point, solved):
                values = [_value(g, {**point, solved: at}) for at in (low, high)]
                first, last = values
                if first is None or last is None or first[0] * last[0] <= 0:
                    continue
                if all(abs(v[0]) > v[1] + _LARGE for v in (first, last)):
                    return True
    return False


def _sign_changes(f: Node, point: dict[str, float], solved: str) -> Iterator[tuple[float, float]]:
    """Narrow brackets about zeros of `f`, at most three; poles, where the sign changes too, are left out."""
    values = [(at, _value(f, {**point, solved: at})) for at in _GRID]
    known = [(at, v[0]) for at, v in values if v is not None and abs(v[0]) > v[1]]
    found = 0
    for (low, a), (high, b) in pairwise(known):
        if a * b > 0 or found >= 3:
            continue
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            v = _value(f, {**point, solved: middle})
            if v is None or abs(v[0]) <= v[1]:
                break
            low, high = (middle, high) if v[0] * a > 0 else (low, middle)
        ends = [_value(f, {**point, solved: at}) for at in (low, high)]
        if high - low < _SMALL and all(v is not None and abs(v[0]) < _SMALL * 100 for v in ends):
            found += 1
            yield low, high


def _signs_apart(f: Node, g: Node) -> bool:
    """Whether a point is found where one is clearly negative and the other clearly positive."""
    names = sorted(letters(f) | letters(g))
    if not names or len(names) > MAX_VARIABLES:
        return False
    for i, at in enumerate(_GRID):
        point = {name: _GRID[(i * (2 * j + 1) + 5 * j) % len(_GRID)] if j else at for j, name in enumerate(names)}
        a, b = _value(f, point), _value(g, point)
        if a is not None and b is not None and a[0] * b[0] < 0 and abs(a[0]) > a[1] and abs(b[0]) > b[1]:
            return True
    return False
