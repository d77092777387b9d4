"""Admitted texts as trees and as exact values, each read once."""

from __future__ import annotations

from functools import lru_cache

from simko.envs.verifiers.math import functions
from simko.envs.verifiers.math.formula import Node, read
from simko.envs.verifiers.math.polynomial import Quotient, TooMuchError, UndefinedError


@lru_cache(maxsize=4096)
def tree(text: str) -> Node | None:
    """The tree of an admitted text; None where there is more than one way to read it."""
    return read(text)


@lru_cache(maxsize=4096)
def exact(text: str) -> Quotient | None:
    """The exact value of an admitted text; None where it is too large or not of that kind. Raises `UndefinedError`."""
    node = tree(text)
    try:
        return None if node is None else functions.quotient(node)
    except UndefinedError:
        raise
    except TooMuchError:
        return None


def is_undefined(text: str) -> bool:
    """Whether a text is known to have no value: `1/0`, `0^0`."""
    try:
        exact(text)
    except UndefinedError:
        return True
    return False
