"""Training methods by name. A new method is one file in this folder and one entry in `_METHODS`."""

from __future__ import annotations

import typing
from dataclasses import fields
from typing import Any

from simko.algorithms.base import Algorithm, Loss, TokenStats
from simko.algorithms.grpo import GRPO
from simko.algorithms.simko import SimKO
from simko.config import check_bounds, coerce
from simko.errors import UserError, nearest

_METHODS: dict[str, type[Algorithm]] = {method.name: method for method in (GRPO, SimKO)}

__all__ = ["GRPO", "Algorithm", "Loss", "SimKO", "TokenStats", "describe", "get", "names", "settings"]


def names() -> list[str]:
    """Return the names of all methods."""
    return list(_METHODS)


def get(name: str, **given: Any) -> Algorithm:
    """The method called `name`, with its defaults where `given` has no other.

    Raises:
        UserError: an unknown method or setting (with the nearest name), a wrong type, a value out of bounds.
    """
    hints = typing.get_type_hints(_class(name))
    own = settings(name)
    values = {}
    for key, value in given.items():
        if key not in own:
            raise UserError(f"{name}: unknown setting '{key}'{nearest(key, own)}")
        values[key] = coerce(f"{name}: {key}", value, hints[key])
        check_bounds(f"{name}: {key}", values[key], own[key]["bounds"])
    return _class(name)(**values)


def settings(name: str) -> dict[str, dict[str, Any]]:
    """Default, help and bounds of each setting of a method."""
    return {
        f.name: {
            "default": f.default,
            "help": f.metadata.get("help", ""),
            "bounds": {key: bound for key, bound in f.metadata.items() if key != "help"},
        }
        for f in fields(_class(name))
    }


def describe() -> list[dict[str, Any]]:
    """Return name, title and defaults of each method, for `simko algorithms`."""
    return [
        {
            "name": name,
            "title": method.title,
            "settings": {key: entry["default"] for key, entry in settings(name).items()},
        }
        for name, method in _METHODS.items()
    ]


def _class(name: str) -> type[Algorithm]:
    if name not in _METHODS:
        raise UserError(f"unknown algorithm '{name}'{nearest(str(name), _METHODS)}; known: {', '.join(_METHODS)}")
    return _METHODS[name]
