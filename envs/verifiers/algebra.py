r"""The fast path: what can be told of two admitted texts in this process, for sure and at once.

Most answers of mathematics are quotients of polynomials, with a few roots and `\pi`: those are compared exactly
(`polynomial`), whatever form they are written in. Others that differ mostly differ somewhere by more than the error of
floating point (`sample`). `decide` says `None` to what is left; that is for math-verify, in a worker.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from simko.envs.verifiers import polynomial, sample
from simko.envs.verifiers.formula import Node, letters, read
from simko.envs.verifiers.polynomial import Quotient, TooMuchError

MAX_VARIABLES = 8
_POINTS = (0.4142, 2.2361)  # the values of the first variable; the others follow in steps
_STEP = 0.1319
_APART = 1e-9  # relative


def decide(gold: str, answer: str, digits: int | None = None) -> bool | None:
    """Whether two admitted texts, two relations included, are equal; None where that takes more than this.

    `digits`: the answer was a decimal with so many of them, and is right where the gold value rounds to it or is cut to it.
    """
    if gold == answer and "=" not in gold:
        return True
    if any(sign in text for text in (gold, answer) for sign in ("<", ">", "\\le", "\\ge")):
        return None
    if "=" in gold or "=" in answer:
        return _same_equation(gold, answer)
    ours, theirs = _read(gold), _read(answer)
    if ours is None or theirs is None:
        return None
    said = _exactly(gold, answer)
    if digits is not None and not said and not letters(ours):
        return _rounds_to(ours, theirs, digits)
    return _differ_somewhere(ours, theirs) if said is None else said


@lru_cache(maxsize=4096)
def _read(text: str) -> Node | None:
    return read(text)


@lru_cache(maxsize=4096)
def _quotient(text: str) -> Quotient | None:
    node = _read(text)
    try:
        return None if node is None else polynomial.quotient(node)
    except TooMuchError:
        return None


def _exactly(gold: str, answer: str) -> bool | None:
    a, b = _quotient(gold), _quotient(answer)
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


def _same_equation(gold: str, answer: str) -> bool | None:
    """Whether two equations in the same variables say the same: one side minus the other is the same but for a factor."""
    a, b = _zero(gold), _zero(answer)
    if a is None or b is None:
        return None
    if polynomial.ratio(a, b) is not None:
        return True
    return False if _separated(a, b) or _separated(b, a) else None


@lru_cache(maxsize=4096)
def _zero(text: str) -> polynomial.Polynomial | None:
    """The polynomial that an equation says to be zero; None where there is none, or it has no variable or odd ones."""
    sides = text.split("=")
    if len(sides) != 2:
        return None
    left, right = _quotient(sides[0].strip()), _quotient(sides[1].strip())
    if left is None or right is None or left.below is not polynomial.ONE or right.below is not polynomial.ONE:
        return None
    try:
        found = polynomial.difference(left, right)
    except TooMuchError:
        return None
    names = {name for monomial in found for name, _ in monomial}
    return found if names and all(_is_variable(name) for name in names) else None


def _is_variable(name: str) -> bool:
    return name not in ("e", "i", "\\pi") and name[0] != "√" and not polynomial.is_opaque(name)


def _separated(a: polynomial.Polynomial, b: polynomial.Polynomial) -> bool:
    """Whether a point is found where `a` is zero and `b` is not, by solving `a` for a variable that it is linear in."""
    names = sorted({name for part in (a, b) for monomial in part for name, _ in monomial})
    if len(names) > MAX_VARIABLES:
        return False
    for solved in names:
        exponents = [dict(monomial).get(solved, 0) for monomial in a]
        if max(exponents) != 1:
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
