"""A field of a settings class: its help, its bounds, what it decides; and the pydantic model that checks the values.

A settings class is a frozen dataclass whose fields are made by `setting`: a stage's config (`simko.config`) or a training
method (`simko.algorithms`). Its pydantic model is made of the same fields, so nothing is written twice.
"""

from __future__ import annotations

import operator
import os
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from simko.errors import UserError, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Decides = bool | Literal["run"]

_PYDANTIC_NAMES = {"minimum": "ge", "maximum": "le", "above": "gt"}
_WANTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Mapping: "a mapping"}
_UNITS = {"": 1e9, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def setting(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    size: bool = False,
    names: bool = False,
    later: bool = False,
    path: bool = False,
    decides: Decides = True,
    after: str | None = None,
) -> Any:
    """A field of a settings class.

    Args:
        default: its value if none is given; a mapping is copied for each instance.
        help: what it is, for `--help` and for editors.
        minimum: least value allowed.
        maximum: largest value allowed.
        above: bound that the value must exceed.
        size: it is a size in bytes, as text like `8GB`; see `parse_bytes`.
        names: it is names with commas between; a list of names is taken, too.
        later: it is younger than the first run folders, which mean its default: files leave it out where it has that.
        path: it may name a file or a folder; a leading `~` is the home folder.
        decides: whether another value gives other numbers. If False, a resumed run may change it. "run" decides a run, but not
            the numbers of an evaluation.
        after: the setting that it follows in a file and in `--help`; by default the order is that of the classes.
    """
    bounds = {"minimum": minimum, "maximum": maximum, "above": above}
    metadata = {
        "help": help,
        **bounds,
        "size": size,
        "names": names,
        "later": later,
        "path": path,
        "decides": decides,
        "after": after,
    }
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def again(part: type, name: str, default: Any) -> Any:
    """The setting `name` of a settings class with another default: its help and its bounds stay."""
    (entry,) = (entry for entry in fields(part) if entry.name == name)
    return field(default=default, metadata=entry.metadata)


def entries(settings: type) -> list[Field[Any]]:
    """The fields of a settings class, in the order of a file and of `--help`."""
    every = fields(settings)
    names = {entry.name for entry in every}
    followers: dict[str | None, list[Field[Any]]] = {}
    for entry in every:
        after = entry.metadata.get("after")
        followers.setdefault(after if after in names else None, []).append(entry)

    def walk(after: str | None) -> typing.Iterator[Field[Any]]:
        for entry in followers.get(after, ()):
            yield entry
            yield from walk(entry.name)

    return list(walk(None))


def kind_of(hint: Any) -> Any:
    """The type of a hint without its None."""
    options = get_args(hint) if get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    options = tuple(option for option in options if option is not type(None))
    return options[0] if len(options) == 1 else hint


@cache
def model_of(settings: type) -> type[BaseModel]:
    """The pydantic model of a settings class: types, bounds, literals, and no other key."""
    from pydantic import (
        BeforeValidator,
        ConfigDict,
        create_model,
    )  # here: its import takes 0.1 s, and --help needs none
    from pydantic import Field as Member

    hints = typing.get_type_hints(settings)
    members: dict[str, Any] = {}
    for entry in entries(settings):
        about = entry.metadata
        bounds = {new: about[old] for old, new in _PYDANTIC_NAMES.items() if about.get(old) is not None}
        flag = "--" + entry.name.replace("_", "-")
        before = partial(
            _plain,
            kind_of(hints[entry.name]),
            flag if about.get("size") else None,
            bool(about.get("names")),
            bool(about.get("path")),
        )
        default: dict[str, Any] = {"default": entry.default} if entry.default is not MISSING else {}
        if entry.default_factory is not MISSING:
            default = {"default_factory": entry.default_factory}
        members[entry.name] = (
            Annotated[hints[entry.name], Member(**bounds), BeforeValidator(before)],
            Member(description=about.get("help"), **default),
        )
    rules = ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True, protected_namespaces=())
    model: type[BaseModel] = create_model(settings.__name__, __config__=rules, __doc__=settings.__doc__, **members)
    return model


def schema_of(settings: type) -> dict[str, Any]:
    """The JSON schema of a settings class."""
    return model_of(settings).model_json_schema()


def checked(settings: type, values: Mapping[str, Any], where: str, noun: str = "key") -> dict[str, Any]:
    """`values` as the types that a settings class asks for, from text too (a command-line flag).

    Raises:
        UserError: naming `where`, the first wrong field, its value and what it must be; or an unknown key and the nearest name.
    """
    from pydantic import ValidationError

    try:
        model = model_of(settings).model_validate(dict(values))
    except ValidationError as error:
        raise UserError(f"{where}: {_mistake(settings, values, error, noun)}") from error
    return {name: getattr(model, name) for name in values}


def parse_bytes(text: str, where: str = "--memory") -> float:
    """`8GB` (10^9), `8GiB` (2^30), `7500MB`, or a bare number of GB; raises `UserError` for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b|[kmgt])?\s*", text.lower())
    unit = (match[2] or "") if match else "?"
    size = _UNITS.get(unit if unit in _UNITS else unit + "b")
    if match is None or size is None or not float(match[1]):
        raise UserError(f"{where} is '{text}'; give a size like 8GB or 7.5GiB")
    return float(match[1]) * size


def _plain(kind: Any, size_flag: str | None, names: bool, is_path: bool, value: Any) -> Any:
    """`value` as pydantic shall read it; raises `ValueError` for what pydantic would accept and we do not.

    Pydantic takes true for 1, 1 for true and bytes for text. `size_flag` is the flag of a size, else None.
    """
    if value is None:
        return None
    if names and isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        value = ",".join(value)
    if kind is bool:
        if str(value).lower() not in ("true", "false"):
            raise ValueError
        return str(value).lower() == "true"
    if kind in (int, float, str) and isinstance(value, bool):
        raise ValueError
    if kind is int and not isinstance(value, str) and hasattr(value, "__index__"):
        return operator.index(value)  # numpy's integers
    if size_flag:
        value = f"{value:g}" if isinstance(value, (int, float)) else value
        parse_bytes(str(value), size_flag)
    if kind is str and not isinstance(value, (str, Path)):
        raise ValueError
    if is_path:
        return os.path.expanduser(value)
    return str(value) if kind is str else value


def _mistake(settings: type, values: Mapping[str, Any], error: ValidationError, noun: str) -> str:
    """The first mistake in one line."""
    first = error.errors(include_url=False)[0]
    name, problem = str(first["loc"][0]), first["type"]
    about = {entry.name: entry.metadata for entry in fields(settings)}
    if problem == "extra_forbidden":
        return f"unknown {noun} '{name}'{nearest(name, about)}"
    value, kind = values[name], kind_of(typing.get_type_hints(settings)[name])
    if get_origin(kind) is Literal:
        allowed = get_args(kind)
        return f"{name} is {value!r}; it must be one of {', '.join(map(str, allowed))}{nearest(str(value), allowed)}"
    sign = {"greater_than_equal": ">=", "less_than_equal": "<=", "greater_than": ">"}.get(problem)
    if sign:
        (bound,) = (first["ctx"][key] for key in ("ge", "le", "gt") if key in first["ctx"])
        return f"{name} is {float(value):g}; it must be {sign} {bound:g}"
    if problem == "finite_number" and kind is float:
        least = about[name].get("minimum")
        return f"{name} is {float(value):g}; it must be {'a finite number' if least is None else f'>= {least:g}'}"
    wanted = _WANTED.get(get_origin(kind) or kind) or first["msg"].removeprefix("Input should be ")
    return f"{name} is {value!r}; it must be {wanted}"
