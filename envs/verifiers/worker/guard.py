"""A worker may do arithmetic and nothing else: an audit hook refuses every event that is not on a short list.

It is imported in a worker alone, which knows nothing of simko.
"""

from __future__ import annotations

import os
import re
import sys
from types import CodeType, FrameType
from typing import Any

HARMLESS = frozenset((
    "object.__getattr__", "object.__setattr__", "object.__delattr__", "sys._getframe", "sys._getframemodulename",
    "array.__new__", "builtins.id", "gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys.unraisablehook",
))  # fmt: skip
"""The audit events that a worker may cause."""
NAMES = re.compile(r"def|return|if|else|None|monomial_(?:mul|pow|mulpow|ldiv|div|lcm|gcd)|[ABk]|[abr]\d{1,3}")
"""The names in source that a worker may compile: those of sympy's generated monomial arithmetic."""


class ForbiddenError(BaseException):
    """An answer made the worker do something other than arithmetic."""


class Guard:
    """The audit hook. `event` is the first forbidden event; None if there was none."""

    def __init__(self) -> None:
        self.event: str | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise `ForbiddenError` for an event that is not on the list."""
        if event in HARMLESS or (event in ("compile", "exec") and arguments and _is_monomials(arguments[0])):
            return
        self.event = self.event or f"{event} {arguments!r}"[:100] + _place()[:200]
        raise ForbiddenError(event)


def _place() -> str:
    """The innermost lines of code outside this file."""
    frame: FrameType | None = sys._getframe(2)
    lines: list[str] = []
    while frame is not None and len(lines) < 8:
        lines.append(f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}")
        frame = frame.f_back
    return " at " + " ".join(lines)


def _is_monomials(source: Any) -> bool:
    """Whether all names in source or compiled code are in `NAMES`."""
    if isinstance(source, CodeType):
        inner = [c for c in source.co_consts if isinstance(c, CodeType)]
        names = {name for c in (source, *inner) for name in (*c.co_names, *c.co_varnames, *c.co_freevars, c.co_name)}
        return bool(inner) and names <= {"<module>"} | set(filter(NAMES.fullmatch, names))
    text = source.decode("ascii", "replace") if isinstance(source, bytes) else source
    if not isinstance(text, str) or not re.fullmatch(r"def monomial_[\w\s(),+*<>=:\-]*", text, re.ASCII):
        return False
    return all(NAMES.fullmatch(name) for name in re.findall(r"[A-Za-z_]\w*", text))
