"""Whether two admitted texts are equal, by sympy and math-verify: what a worker is asked.

Read by `worker.py` by its path, in a process that knows nothing of simko. `warm_up` comes first: it imports all that
comparing may need, since a worker imports nothing later.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import Any

PRECISION = 30  # digits
SPARE_DIGITS = 100  # beyond those before the point, when a difference is computed
TOLERANCE_DIGITS = 50  # two constants nearer than 1e-50, relative to the smaller of 1 and themselves, are equal

PACKAGES = ("assumptions", "calculus", "concrete", "functions", "logic", "matrices", "ntheory", "polys", "series", "sets",
            "simplify", "solvers")  # fmt: skip
"""The parts of sympy that are imported whole, since a worker imports nothing later."""
MODULES = ("physics.units.util", "combinatorics.galois", "combinatorics.permutations", "discrete.recurrences", "abc",
           "tensor.array.expressions", "integrals.integrals", "strategies.util", "printing.latex")  # fmt: skip
"""What functions of sympy import besides when they are called."""
SKIPPED = re.compile(r"\.(?:tests?|benchmarks|.*_doc|smtlib.*|satask|lra_theory)(?:\.|$)")


def warm_up() -> None:
    """Import all that comparing may need, and build the tables that the first comparisons build."""
    import importlib
    import logging
    import pkgutil
    import warnings

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    import latex2sympy2_extended.latex2sympy2 as reader  # type: ignore[import-untyped]
    import math_verify.grader  # noqa: F401
    from sympy.parsing import sympy_parser

    for package in PACKAGES:
        path = importlib.import_module(f"sympy.{package}").__path__
        for module in pkgutil.walk_packages(path, f"sympy.{package}."):
            if not SKIPPED.search(module.name):
                importlib.import_module(module.name)
    for name in MODULES:
        importlib.import_module(f"sympy.{name}")
    vars(sympy_parser).update(parse_expr=rational)  # `sympy.Number("2")`, `S("3/2")`: what else is text is not read
    reader._Latex2Sympy.parse_number = lambda self, text: rational(text)
    vars(sys.modules["mpmath"]).update(
        identify=lambda *_, **__: None
    )  # it makes text of a number, for `nsimplify` to evaluate
    for gold, answer in _EXERCISES:
        compare(gold, answer, None)


_EXERCISES = (
    ("( x + 1 ) ^ { 2 }", "x ^ { 2 } + 2 x + 1"),
    (r"\sin ( x ) ^ { 2 } + \sqrt { 3 }", r"\sqrt { 3 } + 1 - \cos ( x ) ^ { 2 }"),
    (r"\frac { 1 } { \log _ { 2 } ( 3 ) } + | x |", r"\frac { \ln 2 } { \ln 3 } + | - x | + \pi - \pi"),
    ("y = 2 x + 3", "2 x - y + 3 = 0"),
    ("x < 5", "5 > x"),
    (r"\lfloor x \rfloor + x !", r"\exp ( x ) + \binom { 5 } { 2 } \tan ( x )"),
)


def rational(text: str, *_: Any, **__: Any) -> Any:
    """The number that a text says, in the place of sympy's `parse_expr`, which evaluates any text as Python."""
    import sympy

    if not re.fullmatch(r"-?\d{1,300}(?:/\d{1,300})?", text, re.ASCII):
        raise sympy.SympifyError(text)
    return sympy.Rational(text)


@lru_cache(maxsize=256)
def parse(text: str, is_real: bool) -> Any:
    """The sympy expression of an admitted text, with real variables or complex ones; None where it has none."""
    from latex2sympy2_extended import latex2sympy

    try:
        return latex2sympy(text, is_real=is_real, convert_degrees=False, normalization_config=None)
    except Exception:  # the parser raises whatever it likes
        return None


def constant(expression: Any) -> Any:
    """The value of an expression without variables, to `PRECISION` digits; None where there is none."""
    import sympy

    if not isinstance(expression, sympy.Expr) or expression.free_symbols:
        return None
    value = sympy.N(expression.doit(), PRECISION)
    return value if value.is_number and value.is_finite and value.is_comparable | value.is_complex else None


def distinct(gold: Any, answer: Any, scale: Any) -> bool:
    """Whether two constants differ: exactly for rationals, else by their difference, whatever cancels in it.

    (Comparing two values digit by digit would make 2^1000 and 2^1000 + 1 equal.)
    """
    import sympy

    difference = gold.doit() - answer.doit()
    if difference.is_Rational:
        return bool(difference != 0)
    digits = max(0, int(sympy.log(scale, 10)))
    value = abs(sympy.N(difference, PRECISION, maxn=digits + SPARE_DIGITS))
    return bool(value > sympy.Float(10) ** -TOLERANCE_DIGITS * min(scale, 1))


def differ_somewhere(gold: Any, answer: Any) -> bool:
    """Whether two expressions have different values at a point where all variables are positive.

    Most wrong answers are told here, without the minutes that `simplify` may take over them.
    """
    import sympy

    if not (isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr)):
        return False
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    for start in (7, 23):
        point = {s: sympy.Rational(start + 11 * i, 9 + 4 * i) for i, s in enumerate(symbols)}
        a, b = constant(gold.subs(point)), constant(answer.subs(point))
        if a is None or b is None:
            return False
        if abs(a - b) > 1e-10 * max(abs(a), abs(b), 1e-9):
            return True
    return False


def compare(gold_text: str, answer_text: str, digits: int | None) -> bool:
    """Whether the two are equal. `digits` decimals: equal where the gold value rounds or truncates to the answer."""
    import sympy
    from math_verify import verify

    is_real = "i" not in [*gold_text.split(), *answer_text.split()]
    gold, answer = parse(gold_text, is_real), parse(answer_text, is_real)
    if gold is None or answer is None:
        return False
    a, b = constant(gold), constant(answer)
    if a is not None and b is not None:
        distance, scale = abs(a - b), max(abs(a), abs(b))
        if digits is not None:
            unit = 10.0**-digits
            return bool(distance <= unit / 2 or (abs(b) <= abs(a) and distance < unit))
        if distance > 1e-15 * scale:
            return False
        if scale > 1e-9:
            return not distinct(gold, answer, scale)
    elif differ_somewhere(gold, answer):
        return False
    elif isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr) and sympy.expand(gold - answer) == 0:
        return True
    return bool(verify(gold, answer, float_rounding=15, numeric_precision=PRECISION, timeout_seconds=None))
