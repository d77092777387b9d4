r"""The fast path: what can be told of two admitted texts in this process, for sure and at once.

Most answers of mathematics are quotients of polynomials, with a few roots, functions and `\pi`: those are compared exactly
(`functions`, `polynomial`), whatever form they are written in. Others that differ mostly differ somewhere by more than the
error of floating point (`sample`). `decide` says `None` to what is left; that is for math-verify, in a worker.
"""

from __future__ import annotations

from fractions import Fraction

from simko.envs.verifiers.math import polynomial, relations, sample
from simko.envs.verifiers.math.formula import Node, letters
from simko.envs.verifiers.math.polynomial import TooMuchError
from simko.envs.verifiers.math.trees import exact, is_undefined, tree

MAX_VARIABLES = 8
_POINTS = (0.4142, 2.2361, 7.3891)  # the values of the first variable; the others follow in steps
_STEP = 0.1319
_APART = 1e-9  # relative


def decide(gold: str, answer: str, digits: int | None = None) -> bool | None:
    """Whether two admitted texts, two relations included, are equal; None where that takes more than this.

    `digits`: the answer was a decimal with so many of them, and is right where the gold value rounds to it or is cut to it.
    """
    if relations.is_relation(gold) or relations.is_relation(answer):
        return relations.same(gold, answer)
    if gold == answer:
        return True
    if is_undefined(gold) or is_undefined(answer):
        return False
    ours, theirs = tree(gold), tree(answer)
    if ours is None or theirs is None:
        return None
    said = _exactly(gold, answer)
    if digits is not None and not said and not letters(ours):
        return _rounds_to(ours, theirs, digits)
    return _differ_somewhere(ours, theirs) if said is None else said


def order(a: str, b: str) -> int | None:
    """-1, 0 or 1 as the constant `a` is below, equal to or above `b`; None where that is not known for sure."""
    if is_undefined(a) or is_undefined(b):
        return None
    if a == b or _exactly(a, b):
        return 0
    ours, theirs = tree(a), tree(b)
    if ours is None or theirs is None or letters(ours) or letters(theirs):
        return None
    try:
        (x, dx), (y, dy) = sample.value(ours, {}), sample.value(theirs, {})
    except sample.NoValueError:
        return None
    if abs(x - y) <= 8 * (dx + dy) + _APART * max(abs(x), abs(y)):
        return None
    return -1 if x < y else 1


def line(left: str, right: str) -> tuple[str, Fraction, Fraction] | None:
    """Name, slope and constant of `left - right` where that is linear in one variable with rational numbers."""
    found = relations.difference(left, right)
    if found is None or found[1]:
        return None
    names = {name for monomial in found[0] for name, _ in monomial}
    if len(names) != 1 or not all(relations.is_variable(name) for name in names):
        return None
    name = names.pop()
    if not found[0].keys() <= {(), ((name, 1),)}:
        return None
    return name, found[0][((name, 1),)], found[0].get((), Fraction(0))


def _exactly(gold: str, answer: str) -> bool | None:
    a, b = exact(gold), exact(answer)
    if a is None or b is None:
        return None
    try:
        difference = polynomial.difference(a, b)
    except TooMuchError:
        return None
    if not difference:
        return True
    generators = a.generators() | b.generators()
    unclear = {"\\pi", "e"} <= generators or any(polynomial.is_opaque(g) for g in generators)
    return None if unclear else False


def _differ_somewhere(gold: Node, answer: Node) -> bool | None:
    """False where the values differ at a point; None otherwise."""
    names = sorted(letters(gold) | letters(answer))
    if len(names) > MAX_VARIABLES:
        return None
    for start in _POINTS:
        point = {name: start + i * _STEP for i, name in enumerate(names)}
        try:
            (a, da), (b, db) = sample.value(gold, point), sample.value(answer, point)
        except sample.NoValueError:
            continue
        if abs(a - b) > 8 * (da + db) + _APART * max(abs(a), abs(b)):
            return False
    return None


def _rounds_to(gold: Node, answer: Node, digits: int) -> bool | None:
    """Whether a constant rounds or is cut to a decimal; None where it is too near to the edge to tell."""
    try:
        (a, da), (b, db) = sample.value(gold, {}), sample.value(answer, {})
    except sample.NoValueError:
        return None
    unit, distance, error = 10.0**-digits, abs(a - b), 8 * (da + db)
    if error > unit * 1e-3:
        return None
    for edge in (unit / 2, unit):
        if abs(distance - edge) <= error + unit * 1e-6:
            return None
    if distance < unit / 2:
        return True
    return distance < unit and abs(b) <= abs(a)
