"""The child process that runs math-verify. It imports nothing of simko and is run by path, not as a module.

(`python -m simko.envs.verifiers.worker` would import Gymnasium and register every environment first. By path it needs
`-P`: without it this folder, with its `math.py` and `numbers.py`, would be first on `sys.path`.)

It speaks JSON lines: once `{"ready": true}`, then for each `{"gold", "answer", "digits"}` on stdin one `{"equal": bool}`
on stdout. `gold` and `answer` have passed `allowlist.admit`. `digits` is not null where the answer was a plain decimal:
the number of its decimals. It limits its own memory, and its CPU time afresh for each request, so that a child whose
parent has died in the middle of a request ends by itself; otherwise it ends at the end of stdin.
"""

from __future__ import annotations

import json
import os
import sys
from functools import lru_cache
from typing import Any, TextIO

MEMORY_BYTES = 1 << 30
SPARE_CPU_SECONDS = 10  # beyond what was used when a request came in; the parent's limit is far below
PRECISION = 30  # digits
SPARE_DIGITS = 100  # beyond those before the point, when a difference is computed
TOLERANCE_DIGITS = 50  # two constants nearer than 1e-50, relative to the smaller of 1 and themselves, are equal


def limit_memory() -> None:
    """Cap the address space, where the platform can."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        pass


def limit_cpu() -> None:
    """Allow `SPARE_CPU_SECONDS` more CPU seconds from now: beyond them the kernel ends this process."""
    try:
        import resource

        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        resource.setrlimit(resource.RLIMIT_CPU, (int(used) + SPARE_CPU_SECONDS, resource.RLIM_INFINITY))
    except (ImportError, ValueError, OSError):
        pass


@lru_cache(maxsize=512)
def parse(text: str, is_real: bool) -> Any:
    """The sympy expression of an admitted text, with real variables or complex ones; None where it has none."""
    from latex2sympy2_extended import latex2sympy  # type: ignore[import-untyped]

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


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answer requests until there are no more."""
    import logging

    logging.disable(logging.CRITICAL)
    import latex2sympy2_extended  # noqa: F401  - the import is the slow part: have it behind us when we say ready
    import math_verify  # noqa: F401

    limit_memory()
    compare("( x + 1 ) ^ { 2 }", "x ^ { 2 } + 2 x + 1", None)  # the first comparison builds tables
    compare(r"\sin ( x ) ^ { 2 } + \sqrt { 3 }", r"\sqrt { 3 } + 1 - \cos ( x ) ^ { 2 }", None)
    replies.write('{"ready": true}\n')
    replies.flush()
    for line in requests:
        limit_cpu()
        request = json.loads(line)
        try:
            equal = compare(request["gold"], request["answer"], request["digits"])
        except Exception:  # sympy raises whatever it likes: what it cannot compare is not equal
            equal = False
        replies.write(json.dumps({"equal": equal}) + "\n")
        replies.flush()


if __name__ == "__main__":
    sys.setrecursionlimit(3000)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # whatever a library prints does not get into the replies
        serve(sys.stdin, out)
