"""Flags of a command from the fields of its config dataclass, so that nothing is listed twice.

Every flag's value travels as text and the config itself parses it: a mistake gets the same line from a flag as from YAML.
"""

from __future__ import annotations

import copy
import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field
from typing import Any, Literal, get_args, get_origin

import typer

from simko.cli.panels import EXPERT, Panels, panel_of, place_of
from simko.errors import UserError
from simko.fields import entries, kind_of

Command = Callable[..., None]

_METAVARS = {int: "N", float: "X", str: "TEXT"}


def config_flags(
    config_class: type, *, only: Collection[str] | None = None, skip: Collection[str] = (), panels: Panels | None = None
) -> Callable[[Command], Command]:
    """A decorator: give a command one flag for each field of `config_class`, or for those in `only`, but not in `skip`.

    The command gets what was typed, and nothing else, as the mapping `flags` (field name to text or bool). With `panels` all
    its flags stand under these headings, in their order.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        generated = _parameters(config_class, only, skip)
        names = [parameter.name for parameter in generated]

        def run(**values: Any) -> None:
            typed = {name: values.pop(name) for name in names}
            command(flags={name: value for name, value in typed.items() if value is not None}, **values)

        declared = [parameter for parameter in signature.parameters.values() if parameter.name != "flags"]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*declared, *generated]]
        if panels is not None:
            parameters = _in_panels(parameters, panels, names)
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # what typer reads
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return decorate


def extra_settings(arguments: Sequence[str]) -> dict[str, Any]:
    """`--alpha 0.3 --top-k=3 --no-x`, which no declared flag took, as `{"alpha": "0.3", "top_k": "3", "x": False}`.

    Raises:
        UserError: an argument that does not have the form `--name value`.
    """
    settings: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        name, equals, value = flag.removeprefix("--").partition("=")
        if not flag.startswith("--") or not name:
            raise UserError(f"unexpected '{flag}'; settings are given as --name value")
        if equals:
            settings[_key(name)] = value
        elif rest and not rest[0].startswith("--"):
            settings[_key(name)] = rest.pop(0)
        elif name.startswith("no-"):
            settings[_key(name.removeprefix("no-"))] = False
        else:
            settings[_key(name)] = True
    return settings


def as_arguments(flags: Mapping[str, Any]) -> list[str]:
    """What was typed, as arguments of another process: `{"steps": "3", "x": False}` is `["--steps=3", "--no-x"]`."""
    return [
        flag(name if value else f"no_{name}") if isinstance(value, bool) else f"{flag(name)}={value}"
        for name, value in flags.items()
    ]


def flag(name: str) -> str:
    """A setting's name as its flag: `group_size` is `--group-size`."""
    return "--" + name.replace("_", "-")


def _key(name: str) -> str:
    return name.replace("-", "_")


def _in_panels(
    parameters: Sequence[inspect.Parameter], panels: Panels, generated: Collection[str]
) -> list[inspect.Parameter]:
    """The same parameters in the order of `panels`, each option with its panel. Arguments come first."""
    placed = []
    for parameter in parameters:
        if isinstance(info := parameter.default, typer.models.OptionInfo):
            info = copy.copy(info)  # commands share some of them
            info.rich_help_panel = panel_of(panels, parameter.name) or (EXPERT if parameter.name in generated else None)
            placed.append((place_of(panels, parameter.name), parameter.replace(default=info)))
        else:
            placed.append((-1, parameter))
    return [parameter for _, parameter in sorted(placed, key=lambda pair: pair[0])]


def _parameters(config_class: type, only: Collection[str] | None, skip: Collection[str]) -> list[inspect.Parameter]:
    """A parameter for each field; a mapping (the method's settings) has no flag of its own."""
    hints = typing.get_type_hints(config_class)
    chosen = [f for f in entries(config_class) if f.name not in skip and (only is None or f.name in only)]
    kinds = [(entry, kind_of(hints[entry.name])) for entry in chosen]
    return [_parameter(entry, kind) for entry, kind in kinds if get_origin(kind) is not Mapping]


def _parameter(entry: Field[Any], kind: Any) -> inspect.Parameter:
    help_text = entry.metadata.get("help", "")
    if entry.default not in (None, "", MISSING) and entry.default is not False:
        shown = "on" if entry.default is True else entry.default
        help_text += f" [{shown:g}]" if isinstance(shown, float) else f" [{shown}]"
    long = flag(entry.name)
    if kind is bool:
        option = typer.Option(None, f"{long}/{flag('no_' + entry.name)}", help=help_text, show_default=False)
        return _keyword(entry.name, option, bool | None)
    metavar = "|".join(map(str, get_args(kind))) if get_origin(kind) is Literal else _METAVARS[kind]
    names = (f"-{entry.name}", long) if len(entry.name) == 1 else (long,)
    option = typer.Option(None, *names, help=help_text, metavar=metavar, show_default=False)
    return _keyword(entry.name, option, str | None)


def _keyword(name: str, option: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=annotation)
