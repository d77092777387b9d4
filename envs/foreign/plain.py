"""What comes from a foreign process or server is checked here before anything else reads it: type, size, depth, numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from simko.console import clean, one_line
from simko.errors import UserError

MAX_PROBLEM = 100_000  # characters
MAX_DEPTH = 50
MAX_REWARD = 1e6


class ForeignError(Exception):
    """The foreign side said something that is not what it should be. The message is one short line."""


def parsed(line: str | bytes) -> dict[str, Any]:
    """An object of JSON: no NaN, no deeper than `MAX_DEPTH`. Raises `ForeignError`."""
    try:
        value = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ForeignError(f"it sent no JSON ({one_line(str(error))[:60]})") from error
    if not isinstance(value, dict):
        raise ForeignError(f"it sent a {type(value).__name__}, not an object")
    layer: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return value
    raise ForeignError(f"its JSON is nested deeper than {MAX_DEPTH}")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def text(value: Any, what: str, limit: int = MAX_PROBLEM) -> str:
    """A text without control characters but for tabs and line breaks. Numbers become text. Raises `ForeignError`."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ForeignError(f"{what} is of type {type(value).__name__}, not text")
    plain = clean(str(value).replace("\r\n", "\n"))
    if len(plain) > limit:
        raise ForeignError(f"{what} has {len(plain)} characters, and {limit} are taken")
    return plain


def number(value: Any, what: str) -> float:
    """A finite number of at most `MAX_REWARD`. Raises `ForeignError`."""
    sound = (
        isinstance(value, int | float) and abs(value) <= MAX_REWARD
    )  # NaN is not; a whole number may not fit a float
    if not sound:
        raise ForeignError(f"{what} is {str(value)[:20]!r}, not a number from {-MAX_REWARD:g} to {MAX_REWARD:g}")
    return float(value)


def mark(*parts: Any) -> str:
    """A short name of these values, the same in every process. Gold answers name a world by it, and not what would start one."""
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).hexdigest()


def gold_of(gold: str, *keys: str) -> dict[str, Any]:
    """The object that a gold answer is. Raises `ValueError` if it is none, or lacks one of `keys`."""
    value = json.loads(gold)
    if not isinstance(value, dict) or any(key not in value for key in keys):
        raise ValueError("the gold answer is not of this environment")
    return value


def own_verifier(own: str, verifier: str) -> None:
    """Raise `UserError` unless `verifier` is the one of the environment itself."""
    if verifier != own:
        raise UserError(f"verifier is '{verifier}', but this environment is graded by '{own}' alone; leave it out")


def whole(name: str, value: Any, least: int, most: int) -> int:
    """An option that is a whole number. Raises `UserError`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UserError(f"option {name} is {value!r}; give a whole number from {least} to {most}")
    return value


def real(name: str, value: Any, above: float, most: float) -> float:
    """An option that is a number. Raises `UserError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not above < value <= most:
        raise UserError(f"option {name} is {value!r}; give a number above {above:g}, at most {most:g}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """An option that is true or false. Raises `UserError`."""
    if not isinstance(value, bool):
        raise UserError(f"option {name} is {value!r}; give true or false")
    return value


def plain_mapping(name: str, value: Any) -> dict[str, Any]:
    """An option that is an object of JSON. Raises `UserError`."""
    try:
        return parsed(json.dumps(dict(value))) if isinstance(value, Mapping) else parsed(str(value))
    except (ForeignError, TypeError, ValueError) as error:
        raise UserError(f'option {name} is {str(value)[:60]!r}; give an object, as {{"key": "value"}}') from error
