"""What the docstring of a method's file says: a paragraph begins with "When to use it:", or with the method's name for "it"."""

from __future__ import annotations

import inspect
import re
import sys

_WHEN = re.compile(r"^When to use (?:it|`(\w+)`): (.+?)(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


def docstring_of(module: str) -> str:
    """The docstring of a module that is imported; empty where Python has left it out (-OO)."""
    return inspect.cleandoc(getattr(sys.modules.get(module), "__doc__", None) or "")


def when_to_use(docstring: str, name: str) -> str:
    """What a docstring says about when to use the method `name`, in one line; empty where it says nothing."""
    texts = {method or name: " ".join(text.split()) for method, text in _WHEN.findall(docstring)}
    text = texts.get(name, "")
    return text[:1].upper() + text[1:]
