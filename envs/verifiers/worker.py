"""The child processes that run math-verify. It imports nothing of simko and is run by path, not as a module.

(`python -m simko.envs.verifiers.worker` would import Gymnasium and register every environment first. By path it needs
`-P`: without it this folder, with its `math.py` and `numbers.py`, would be first on `sys.path`.)

The process that is started is a **fork server**: it imports sympy once, then makes a worker of itself for every socket
that the parent sends over stdin (a Unix socket), in milliseconds. A worker takes JSON lines from its socket: it sends
`{"pid"}`, then for each `{"gold", "answer", "digits", "seconds"}` one of `{"equal": bool}`, `{"error": why}` and
`{"forbidden": event}`; after the last two it ends. `gold` and `answer` have passed `allowlist.admit`. `digits` is not null
where the answer was a plain decimal: the number of its decimals. Both processes end when the parent's end of their socket
closes, and the kernel ends a worker that is still computing long after its limit of CPU `seconds`.

A worker may do arithmetic and nothing else: `guard` refuses every audit event that is not on a short list, so it can open
no file, import no module, start no process, make no socket and compile nothing but the monomial arithmetic of sympy's
polynomials. Such an event is an execution: the worker reports it and ends. Besides, it has no network where the kernel
lets it give it up, no memory beyond `MEMORY_BYTES`, no new files or processes, and nothing of the parent's environment.
No answer leaves anything behind for the next one: caches that sympy keeps are dropped, random numbers start anew.
"""

from __future__ import annotations

import gc
import json
import os
import random
import re
import signal
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, NoReturn

MEMORY_BYTES = 1 << 30
SPARE_SECONDS = 1.0  # CPU beyond the limit of a request, until the kernel ends the worker; the parent is to be first
OPEN_FILES = 16
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
HARMLESS = frozenset((
    "object.__getattr__", "object.__setattr__", "object.__delattr__", "sys._getframe", "sys._getframemodulename",
    "array.__new__", "builtins.id", "gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys.unraisablehook",
))  # fmt: skip
"""The audit events that a worker may cause."""
NAMES = re.compile(r"def|return|if|else|None|monomial_(?:mul|pow|mulpow|ldiv|div|lcm|gcd)|[ABk]|[abr]\d{1,3}")
"""The names in source that a worker may compile: those of sympy's generated monomial arithmetic."""


class ForbiddenError(BaseException):
    """Raised where an answer makes the worker do something that is not arithmetic."""


class Guard:
    """The audit hook: `event` is the first forbidden thing that happened, None where none did."""

    def __init__(self) -> None:
        self.event: str | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise `ForbiddenError` for an event that is not on the list."""
        if event in HARMLESS or (event in ("compile", "exec") and arguments and _is_monomials(arguments[0])):
            return
        self.event = self.event or f"{event} {arguments!r}"[:100] + _place()[:200]
        raise ForbiddenError(event)


def _place() -> str:
    """Where it happened: the innermost lines outside this file."""
    frame: FrameType | None = sys._getframe(2)
    lines: list[str] = []
    while frame is not None and len(lines) < 8:
        lines.append(f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}")
        frame = frame.f_back
    return " at " + " ".join(lines)


def _is_monomials(source: Any) -> bool:
    """Whether source or compiled code names nothing that is not in `NAMES`."""
    if isinstance(source, CodeType):
        inner = [c for c in source.co_consts if isinstance(c, CodeType)]
        names = {name for c in (source, *inner) for name in (*c.co_names, *c.co_varnames, *c.co_freevars, c.co_name)}
        return bool(inner) and names <= {"<module>"} | set(filter(NAMES.fullmatch, names))
    text = source.decode("ascii", "replace") if isinstance(source, bytes) else source
    if not isinstance(text, str) or not re.fullmatch(r"def monomial_[\w\s(),+*<>=:\-]*", text, re.ASCII):
        return False
    return all(NAMES.fullmatch(name) for name in re.findall(r"[A-Za-z_]\w*", text))


def confine() -> None:
    """Give up memory, files, child processes and core dumps, where the platform can."""
    try:
        import resource
    except ImportError:
        return
    limits = {
        "RLIMIT_AS": MEMORY_BYTES,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_NPROC": 0,
    }
    for name, value in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (AttributeError, ValueError, OSError):
            continue


def leave_network() -> None:
    """Go into a network of our own with nothing in it, where the kernel lets an ordinary process do so."""
    new_user, new_network = 0x10000000, 0x40000000  # from linux/sched.h
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes

        unshare: Callable[[int], Any] = getattr(os, "unshare", None) or ctypes.CDLL(None).unshare
        unshare(new_user | new_network)
    except (ImportError, OSError, AttributeError):
        pass


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


def answer_request(request: dict[str, Any], guard: Guard) -> dict[str, Any]:
    """The reply to one request, whatever the comparison does; nothing of the request stays behind."""
    from sympy.core.cache import clear_cache
    from sympy.core.random import seed

    random.seed(0)
    seed(0)
    try:
        reply: dict[str, Any] = {"equal": compare(request["gold"], request["answer"], request["digits"])}
    except MemoryError:
        reply = {"error": "memory"}
    except (Exception, ForbiddenError):  # sympy raises whatever it likes: what it cannot compare is not equal
        reply = {"equal": False}
    clear_cache()
    return {"forbidden": guard.event} if guard.event is not None else reply


def lines(channel: int) -> Iterator[bytes]:
    """The lines that come over a socket, until it closes."""
    pending = b""
    while chunk := os.read(channel, 65536):
        *whole, pending = (pending + chunk).split(b"\n")
        yield from whole


def serve(channel: int) -> None:
    """Be a worker: answer the requests that come over a socket until it closes, or until one went wrong."""
    confine()
    guard = Guard()
    os.write(channel, json.dumps({"pid": os.getpid()}).encode() + b"\n")
    sys.addaudithook(guard)
    for line in lines(channel):
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, request["seconds"] + SPARE_SECONDS)  # its signal ends the process
        reply = answer_request(request, guard)
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(channel, json.dumps(reply).encode() + b"\n")
        if "equal" not in reply:
            return


def main() -> NoReturn:
    """Be the fork server: warm up, then make a worker for each socket that comes over stdin, until that closes."""
    import socket

    sys.setrecursionlimit(3000)
    os.umask(0o077)
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    warm_up()
    leave_network()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the workers
    gc.collect()
    gc.freeze()
    while True:
        message, channels, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            os._exit(0)
        try:
            child = os.fork() if channels else None
        except OSError:  # no process to be had: the parent sees the socket close
            child = None
        if child == 0:
            control.close()
            try:
                serve(channels[0])
            finally:
                os._exit(0)
        for channel in channels:
            os.close(channel)


if __name__ == "__main__":
    main()
