"""Options of a source as a person types them: `size=500,seed=3,reset={"game": "chess"}`."""

from __future__ import annotations

import json
import re
from typing import Any

from simko.errors import UserError

_NEXT = re.compile(r",(?=\s*[A-Za-z_]\w*\s*=)")
_NAME = re.compile(r"[A-Za-z_]\w*")


def read_options(options: str | None, python: str | None = None) -> dict[str, Any]:
    """The options by name. A value that reads as JSON is that value, any other is text. `python` is one of them, by flag alone.

    Raises `UserError` for anything else than `name=value` with commas between, and for a name that stands twice.
    """
    read: dict[str, Any] = {}
    for part in _NEXT.split(options) if options and options.strip() else ():
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not _NAME.fullmatch(name) or name in read:
            raise UserError(f"env_options: '{part.strip()[:60]}' is not one name=value; write size=500,seed=3")
        if name == "python":
            raise UserError("env_options: python is a setting of its own; give --python PATH")
        try:
            read[name] = json.loads(value)
        except (ValueError, RecursionError):
            read[name] = value
    return read if python is None else {**read, "python": python}
