"""What a fork server does before it makes the first worker, so that a worker neither waits nor imports anything.

It is imported in a worker alone, which knows nothing of simko.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from simko.envs.verifiers.worker.comparison import compare
from simko.envs.verifiers.worker.parsing import parse

PACKAGES = ("assumptions", "calculus", "concrete", "functions", "logic", "matrices", "ntheory", "polys", "series", "sets",
            "simplify", "solvers")  # fmt: skip
"""The parts of sympy that are imported whole, since a worker imports nothing later."""
MODULES = ("physics.units.util", "combinatorics.galois", "combinatorics.permutations", "discrete.recurrences", "abc",
           "tensor.array.expressions", "integrals.integrals", "strategies.util", "printing.latex")  # fmt: skip
"""What functions of sympy import besides when they are called."""
SKIPPED = re.compile(r"\.(?:tests?|benchmarks|.*_doc|smtlib.*|satask|lra_theory)(?:\.|$)")
EXERCISES = (
    ("( x + 1 ) ^ { 2 }", "x ^ { 2 } + 2 x + 1"),
    (r"\sin ( x ) ^ { 2 } + \sqrt { 3 }", r"\sqrt { 3 } + 1 - \cos ( x ) ^ { 2 }"),
    (r"\frac { 1 } { \log _ { 2 } ( 3 ) } + | x |", r"\frac { \ln 2 } { \ln 3 } + | - x | + \pi - \pi"),
    ("y = 2 x + 3", "2 x - y + 3 = 0"),
    ("x < 5", "5 > x"),
    (r"\lfloor x \rfloor + x !", r"\exp ( x ) + \binom { 5 } { 2 } \tan ( x )"),
    (r"\ln ( a b )", r"\ln a + \ln b"),
    (r"e ^ { i x }", r"\cos x + i \sin x"),
)
"""The first comparisons build tables of sympy: these build them before the first worker is made."""
FORMS = (
    r"\frac { 2 \sqrt { 3 } } { 3 } - \frac { 1 } { 2 } \cdot 5 x ^ { 2 } y",
    r"\frac { \omega _ { n } ^ { 2 } } { ( s + \sigma ) ^ { 2 } } e ^ { - t / ( R C ) }",
    r"( t + \frac { 1 } { 2 } \sin { 2 t } ) u ( t )",
    r"\sin 2 x \cos ( x ) \tan ^ { 2 } \theta + \log _ { 2 } 3 \ln x",
    r"- 2 ( n + 1 ) ! - \binom { n } { k } + \sqrt [ 3 ] { 2 } \pi - | x |",
    r"x ^ { 2 } + y ^ { 2 } = 2 x + 4",
)
"""The first texts of a form fill tables of the parser, too: a text of a known form is read in a third of the time."""


def warm_up() -> None:
    """Import all that comparing may need, put our reader of numbers in place of sympy's, and compare `EXERCISES`."""
    import contextlib
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
    with contextlib.suppress(ImportError):
        importlib.import_module("_pylong")  # Python 3.12 and later import it for the digits of a large integer
    vars(sympy_parser).update(parse_expr=rational)  # `sympy.Number("2")`, `S("3/2")`: other text is not read
    reader._Latex2Sympy.parse_number = lambda self, text: rational(text)
    # mpmath's `identify` makes text of a number, which `nsimplify` would evaluate.
    vars(sys.modules["mpmath"]).update(identify=lambda *_, **__: None)
    for gold, answer in EXERCISES:
        compare(gold, answer, None)
    for text in FORMS:
        parse(text)


def rational(text: str, *_: Any, **__: Any) -> Any:
    """The number that a text states. It replaces sympy's `parse_expr`, which evaluates any text as Python."""
    import sympy

    if not re.fullmatch(r"-?\d{1,300}(?:/\d{1,300})?", text, re.ASCII):
        raise sympy.SympifyError(text)
    return sympy.Rational(text)
