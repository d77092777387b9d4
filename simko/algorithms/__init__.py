"""Training methods by name. A new method is one file in this folder and one entry in `_METHODS`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from simko.algorithms.base import Algorithm, Loss, TokenStats
from simko.algorithms.grpo import GRPO
from simko.algorithms.simko import SimKO
from simko.errors import UserError, nearest
from simko.fields import checked, schema_of

_METHODS: dict[str, type[Algorithm]] = {method.name: method for method in (GRPO, SimKO)}

__all__ = ["GRPO", "Algorithm", "Loss", "SimKO", "TokenStats", "describe", "get", "names", "schema", "settings"]


def names() -> list[str]:
    """Return the names of all methods."""
    return list(_METHODS)


def get(name: str, **values: Any) -> Algorithm:
    """The method called `name`, with these settings and its defaults for the rest.

    Raises:
        UserError: an unknown method or setting (with the nearest name), a wrong type, a value out of bounds.
    """
    method = _class(name)
    return method(**checked(method, values, name, noun="setting"))


def settings(name: str) -> dict[str, dict[str, Any]]:
    """Default and help of each setting of a method."""
    return {
        entry.name: {"default": entry.default, "help": entry.metadata.get("help", "")} for entry in fields(_class(name))
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


def schema() -> dict[str, Any]:
    """The JSON schema of each setting of any method, by its name."""
    return {key: about for method in _METHODS.values() for key, about in schema_of(method)["properties"].items()}


def _class(name: str) -> type[Algorithm]:
    if name not in _METHODS:
        raise UserError(f"unknown algorithm '{name}'{nearest(str(name), _METHODS)}; known: {', '.join(_METHODS)}")
    return _METHODS[name]
