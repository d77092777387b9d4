"""What the docstring of a method's file says: a paragraph begins with "When to use it:", or with the method's name for "it"."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from functools import cache

_WHEN = re.compile(r"^When to use (?:it|`(\w+)`): (.+?)(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


@cache
def docstring_of(module: str) -> str:
    """The docstring of a module that is imported, or an empty text if it has none.

    It is read from the source: `python -OO` and import hooks leave `__doc__` out.
    """
    try:
        return ast.get_docstring(ast.parse(inspect.getsource(sys.modules[module]))) or ""
    except (KeyError, OSError, TypeError, SyntaxError):
        return ""


def when_to_use(docstring: str, name: str) -> str:
    """What a docstring says about when to use the method `name`, in one line; empty where it says nothing."""
    texts = {method or name: " ".join(text.split()) for method, text in _WHEN.findall(docstring)}
    text = texts.get(name, "")
    return text[:1].upper() + text[1:]
