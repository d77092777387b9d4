"""Whether two admitted texts are equal, by sympy and math-verify: the question that a worker answers.

It is imported in a worker alone, which knows nothing of simko, and may import nothing after `warming.warm_up`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simko.envs.verifiers.worker.parsing import UndefinedError, parse
from simko.envs.verifiers.worker.relations import is_relation, same_relation

PRECISION = 30  # digits
SPARE_DIGITS = 100  # beyond those before the point, when a difference is computed
TOLERANCE_DIGITS = 50  # two constants nearer than 1e-50, relative to the smaller of 1 and themselves, are equal
_STARTS = (7, 23)  # two positive points, the same in every comparison


def compare(gold_text: str, answer_text: str, digits: int | None) -> bool:
    """Whether the two are equal. `digits` decimals: equal if the gold value rounds or truncates to the answer."""
    import sympy

    try:
        gold, answer = parse(gold_text), parse(answer_text)
    except UndefinedError:
        return False
    if gold is None or answer is None:
        return False
    if is_relation(gold) and is_relation(answer):
        same = same_relation(gold, answer)
        return verified(gold, answer) if same is None else same
    if not (isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr)):
        return verified(gold, answer)
    if gold.free_symbols or answer.free_symbols:
        return digits is None and same_function(gold, answer)
    return same_constant(gold, answer, digits)


def verified(gold: Any, answer: Any) -> bool:
    """Whether math-verify finds two sympy expressions equal."""
    from math_verify import verify

    return bool(verify(gold, answer, float_rounding=15, numeric_precision=PRECISION, timeout_seconds=None))


def constant(expression: Any) -> Any:
    """The value of an expression without variables, to `PRECISION` digits; None if it has none."""
    import sympy

    value = sympy.N(expression, PRECISION)
    return value if value.is_number and value.is_finite and value.is_comparable | value.is_complex else None


def same_constant(gold: Any, answer: Any, digits: int | None) -> bool:
    """Whether two expressions without variables have the same value, or one that rounds to a decimal answer."""
    a, b = constant(gold), constant(answer)
    if a is None or b is None:
        return verified(gold, answer)
    distance, scale = abs(a - b), max(abs(a), abs(b))
    if digits is not None:
        unit = 10.0**-digits
        return bool(distance <= unit / 2 or (abs(b) <= abs(a) and distance < unit))
    if distance > 1e-15 * scale:
        return False
    if scale > 1e-9:
        return not distinct(gold, answer, scale)
    return verified(gold, answer)


def distinct(gold: Any, answer: Any, scale: Any) -> bool:
    """Whether two constants differ: exactly for rationals, else by their difference, whatever cancels in it.

    (Comparing two values digit by digit would make 2^1000 and 2^1000 + 1 equal.)
    """
    import sympy

    difference = gold - answer
    if difference.is_Rational:
        return bool(difference != 0)
    digits = max(0, int(sympy.log(scale, 10)))
    value = abs(sympy.N(difference, PRECISION, maxn=digits + SPARE_DIGITS))
    return bool(value > sympy.Float(10) ** -TOLERANCE_DIGITS * min(scale, 1))


def same_function(gold: Any, answer: Any) -> bool:
    """Whether two expressions are equal wherever both are real.

    Most wrong answers differ at the first point, or at one with negative variables (`|x|` and `x`): `simplify` may take
    minutes over them.
    """
    import sympy

    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    f, g = _with_known_functions(gold), _with_known_functions(answer)
    if any(_differ_at(point, f, g) for point in _positive_points(symbols)):
        return False
    if sympy.expand(gold - answer) == 0:
        return True
    if any(
        _differ_at(point, f, g) for point in _signed_points(symbols) if _is_real_at(point, f) and _is_real_at(point, g)
    ):
        return False
    if verified(gold, answer):
        return True
    restricted = _restricted(gold, answer)
    return bool(restricted) and bool(sympy.simplify(gold.subs(restricted) - answer.subs(restricted)) == 0)


def _with_known_functions(expression: Any) -> Any:
    """The expression with a sine in place of each function that it does not define: `u(t)` then has a value at a point."""
    import sympy
    from sympy.core.function import AppliedUndef

    def sine(call: Any) -> Any:
        return sympy.sin(sum(call.args, sympy.Integer(sum(map(ord, call.func.__name__)))))

    return expression.replace(lambda part: isinstance(part, AppliedUndef), sine)


def _restricted(gold: Any, answer: Any) -> dict[Any, Any]:
    """The variables that must be positive, or natural, for both to be real, each with a symbol that is.

    A variable is positive under a logarithm or an even root, also if it is to an odd power there; so `ln(ab)` is
    `ln a + ln b`. It is natural in a factorial.
    """
    import sympy

    restricted: dict[Any, Any] = {}
    for part in (part for side in (gold, answer) for part in sympy.preorder_traversal(side)):
        if isinstance(part, sympy.log) or (isinstance(part, sympy.Pow) and not part.exp.is_integer):
            factor, rest = part.args[0].as_coeff_Mul()
            name, exponent = rest.as_base_exp()
            if name.is_Symbol and exponent.is_odd and factor.is_positive:
                restricted.setdefault(name, sympy.Symbol(name.name, positive=True))
        elif isinstance(part, sympy.factorial | sympy.binomial):
            natural = {name: sympy.Symbol(name.name, positive=True, integer=True) for name in part.free_symbols}
            restricted.update(natural)
    return restricted


def _positive_points(symbols: list[Any]) -> Iterator[dict[Any, Any]]:
    import sympy

    for start in _STARTS:
        yield {symbol: sympy.Rational(start + 11 * i, 9 + 4 * i) for i, symbol in enumerate(symbols)}


def _signed_points(symbols: list[Any]) -> Iterator[dict[Any, Any]]:
    """The first positive point with one variable negative, for each of them, and with all."""
    point = next(_positive_points(symbols))
    for negative in symbols if len(symbols) > 1 else ():
        yield {**point, negative: -point[negative]}
    yield {symbol: -value for symbol, value in point.items()}


def _differ_at(point: dict[Any, Any], gold: Any, answer: Any) -> bool:
    """Whether both have a value at a point, and another one."""
    a, b = constant(gold.subs(point)), constant(answer.subs(point))
    return a is not None and b is not None and bool(abs(a - b) > 1e-10 * max(abs(a), abs(b), 1e-9))


def _is_real_at(point: dict[Any, Any], expression: Any) -> bool:
    """Whether no root and no logarithm of a negative number is taken at a point."""
    import sympy

    for part in sympy.preorder_traversal(expression):
        if isinstance(part, sympy.log) or (isinstance(part, sympy.Pow) and not part.exp.is_integer):
            base = constant(part.args[0].subs(point))
            if base is None or not base.is_nonnegative:
                return False
    return True
