"""Tables of settings: a row for each field of a settings class, from what the field says of itself."""

from __future__ import annotations

import re
import typing
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field
from typing import Any, Literal, get_args, get_origin

from simko.console import markdown
from simko.fields import entries, kind_of

MARKER = "<!-- written by python -m studies.pages; do not edit -->"
"""The line below the heading of a generated page."""
HEADER = ("flag", "kind", "default", "meaning")
_KINDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def setting_rows(
    settings: type, defaults: Mapping[str, Any] | None = None, only: Collection[str] | None = None
) -> list[list[str]]:
    """A row for each field, in the order of a file: its flag, its kind with its bounds, its default, its meaning."""
    hints = typing.get_type_hints(settings)
    rows = []
    for entry in entries(settings):
        if only is None or entry.name in only:
            default = (defaults or {}).get(entry.name, default_of(entry))
            kind = kind_of(hints[entry.name])
            rows.append(
                [f"`{flag(entry.name)}`", kind_shown(kind, entry), default_shown(default), cell(entry.metadata["help"])]
            )
    return rows


def table(rows: list[list[str]], header: tuple[str, ...] = HEADER) -> str:
    """The rows as Markdown; a sentence where there are none."""
    return markdown(header, rows) if rows else "It has no settings."


def default_of(entry: Field[Any]) -> Any:
    """The default of a field."""
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def kind_shown(kind: Any, entry: Field[Any]) -> str:
    """A kind with its bounds, as `number, 0 to 1`; or the values among which one chooses."""
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    about = entry.metadata
    low, high, above = about["minimum"], about["maximum"], about["above"]
    bounds = [f"above {shown(above)}"] if above is not None else []
    if low is not None and high is not None:
        bounds = [f"{shown(low)} to {shown(high)}"]
    else:
        bounds += [f"at least {shown(low)}"] if low is not None else []
        bounds += [f"at most {shown(high)}"] if high is not None else []
    name = (
        "size"
        if about["size"]
        else "names"
        if about["names"]
        else "path"
        if about["path"]
        else _KINDS.get(kind, "mapping")
    )
    return ", ".join([name, *bounds])


def shown(value: Any) -> str:
    """A value as one would type it: `0.0001`, `true`, `2^64 - 1`."""
    if isinstance(value, bool):
        return str(value).lower()
    if value == 2**64 - 1:
        return "2^64 - 1"
    return f"{value:g}" if isinstance(value, float) else str(value)


def default_shown(value: Any) -> str:
    """A default as code, or an empty text."""
    return "" if value is None or value == "" or value == {} else f"`{shown(value)}`"


def cell(text: str) -> str:
    """Text of a cell of a table: no bar that would end it, no mark of HTML, and no {braces} that name an attribute."""
    return re.sub(r"\{\w+\}", r"`\g<0>`", text.replace("|", "\\|").replace("<", "&lt;"))


def flag(name: str) -> str:
    """A setting's name as its flag: `group_size` is `--group-size`, and `n` is `--n`."""
    return "--" + name.replace("_", "-")
