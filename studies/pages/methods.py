"""docs/methods/NAME.md: a page for each training method, from its docstring, its settings and what was measured."""

from __future__ import annotations


def pages() -> dict[str, str]:
    """The page of each method."""
    return {}
