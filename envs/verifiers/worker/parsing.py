r"""Admitted LaTeX as sympy expressions. It is imported in a worker alone, which knows nothing of simko.

latex2sympy builds a tree that is not evaluated. `evaluated` computes it from the leaves up, and so sees what sympy would
pass over: `0^0` and `1/0` have no value, `i` is the imaginary unit, and `\sqrt[3]{-8}` is -2.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any


class UndefinedError(ArithmeticError):
    """The text has no value: it divides by zero, or raises zero to the power zero."""


@lru_cache(maxsize=256)
def parse(text: str) -> Any:
    """The sympy expression or relation of an admitted text, in real variables; None if it cannot be read.

    Raises `UndefinedError`.
    """
    for is_quick in (True, False):
        try:
            tree = _reader(is_quick).parse(text)
        except Exception:  # the parser raises whatever it likes
            continue
        return evaluated(tree)
    return None


def _reader(is_quick: bool) -> Any:
    """A reader of LaTeX. The quick one fails on some texts; where it does not, it reads what the other one would.

    Source: antlr's two-stage parsing (`PredictionMode.SLL`, then `LL`).
    """
    from latex2sympy2_extended.latex2sympy2 import _Latex2Sympy

    reader = _Latex2Sympy(is_real=True, convert_degrees=False)
    if is_quick:
        create = reader.create_parser

        def create_quick(text: str) -> Any:
            parser = create(text)
            modes = type(parser._interp.predictionMode)
            parser._interp.predictionMode = modes.SLL
            return parser

        reader.create_parser = create_quick
    return reader


def evaluated(tree: Any) -> Any:
    """The value of a tree that was built without evaluation. Raises `UndefinedError`."""
    import sympy

    if not getattr(tree, "args", ()):
        return sympy.I if getattr(tree, "name", "") == "i" else tree
    if isinstance(tree, sympy.core.relational.Relational):
        return tree.func(*(evaluated(side) for side in tree.args), evaluate=False)
    parts = [evaluated(part) for part in tree.args]
    if not isinstance(tree, sympy.Pow):
        return tree.func(*parts)
    base, exponent = parts
    if base.is_zero and (exponent.is_zero or exponent.is_negative):
        raise UndefinedError
    if isinstance(tree.exp, sympy.Rational) and tree.exp.p == 1 and tree.exp.q % 2 and tree.exp.q > 1:
        return _odd_root(base, exponent)  # the parser makes such an exponent of \sqrt[3]{} alone
    return base**exponent


def _odd_root(base: Any, exponent: Any) -> Any:
    """The real root of a real base: sympy takes a complex one of a negative number."""
    import sympy

    if isinstance(base, sympy.Pow) and (base.exp * exponent).is_integer:
        return base.base ** (base.exp * exponent)
    if base.is_nonnegative or not base.is_real:
        return base**exponent
    return -((-base) ** exponent) if base.is_negative else sympy.sign(base) * sympy.Abs(base) ** exponent
