"""The tables of parts and of methods, and how a file adds itself to them.

A method of your own is one file, in this folder or anywhere else:

    @part
    @dataclass(frozen=True)
    class Mine(LossPart):
        name: ClassVar[str] = "mine"
        ...

    method("mine", loss="mine", title="...", source="...")

A package that is installed beside simko names its module in the entry-point group `simko.algorithms`. `module:mine` reaches a
module that is no package.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, get_args

from simko.algorithms.base import Evidence, Kind, Part
from simko.config import TrainConfig
from simko.errors import UserError, nearest

KINDS: tuple[Kind, ...] = get_args(Kind)
PARTS: dict[tuple[Kind, str], type[Part]] = {}
METHODS: dict[str, Method] = {}
P = TypeVar("P", bound=type[Part])


@dataclass(frozen=True)
class Method:
    """A named choice of parts, with defaults of its own."""

    name: str
    title: str
    parts: Mapping[Kind, str]
    source: str
    evidence: Evidence = "verified"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    module: str = ""  # the file that registered it, whose docstring describes it


def part(cls: P) -> P:
    """Register a part under its kind and name.

    Raises:
        ValueError: it has no name, another class has its place, or a run has a setting of the same name as one of its own.
    """
    if taken := sorted({entry.name for entry in fields(cls)} & {entry.name for entry in fields(TrainConfig)}):
        raise ValueError(f"{cls.__qualname__}: a run has a setting '{taken[0]}' already; give the part's another name")
    before = PARTS.get((cls.kind, cls.name), cls)
    scripts = ("__main__", "<run_path>")  # a file that is run, and imported too, defines its classes twice
    same_module = before.__module__ == cls.__module__ or {before.__module__, cls.__module__} & {*scripts}
    if not cls.name or before.__qualname__ != cls.__qualname__ or not same_module:
        raise ValueError(
            f"{cls.__qualname__}: the {cls.kind} '{cls.name}' is {before.__module__}.{before.__qualname__}"
        )
    PARTS[cls.kind, cls.name] = cls
    return cls


def method(
    name: str,
    *,
    title: str,
    source: str,
    advantage: str = "grpo",
    loss: str = "grpo",
    sampling: str = "plain",
    auxiliary: str = "none",
    evidence: Evidence = "verified",
    defaults: Mapping[str, Any] | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Register a method: parts by name, and defaults that differ from theirs.

    A preset holds settings, and parts by kind.

    `evidence` says whether the formula was read in the paper or its code, or put together from what others write about it.
    """
    parts: dict[Kind, str] = {"advantage": advantage, "loss": loss, "sampling": sampling, "auxiliary": auxiliary}
    METHODS[name] = Method(name, title, parts, source, evidence, defaults or {}, presets or {}, _calling_file())


def _calling_file() -> str:
    """The module from whose top level this is called; a decorator may stand between."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return str(frame.f_globals["__name__"]) if frame else ""


@cache
def load() -> None:
    """Import every file of this folder, and what other packages name in the entry-point group `simko.algorithms`.

    Raises:
        UserError: a module of another package cannot be imported.
    """
    package = importlib.import_module("simko.algorithms")
    for module in sorted(found.name for found in pkgutil.iter_modules(package.__path__)):
        importlib.import_module(f"simko.algorithms.{module}")
    for entry in sorted(entry_points(group="simko.algorithms"), key=lambda entry: entry.name):
        try:
            entry.load()
        except (Exception, SystemExit) as error:
            message = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(
                f"algorithm plug-in {entry.name} = {entry.value}: {message}; mend or uninstall it"
            ) from error


def find(name: str) -> tuple[Method, Mapping[str, Any]]:
    """The method of that name and the values of its preset: `simko`, `simko:logic`, or `module:mine`.

    Raises:
        UserError: unknown method or preset, with the nearest name; a module that cannot be imported.
    """
    load()
    head, colon, tail = str(name).partition(":")
    if colon and head not in METHODS:
        _import(name, head)
        head, tail = tail, ""
    if head not in METHODS:
        raise UserError(f"unknown algorithm '{name}'{nearest(head, METHODS)}; known: {', '.join(sorted(METHODS))}")
    chosen = METHODS[head]
    if tail and tail not in chosen.presets:
        known = ", ".join(chosen.presets) or "none"
        raise UserError(
            f"algorithm '{name}': {head} has no preset '{tail}'{nearest(tail, chosen.presets)}; known: {known}"
        )
    return chosen, chosen.presets[tail] if tail else {}


def _import(name: str, module: str) -> None:
    """Import a module, from the working folder where it is installed nowhere."""
    top = module.partition(".")[0]
    here = Path.cwd()
    try:
        is_here = (here / f"{top}.py").is_file() or (here / top / "__init__.py").is_file()
        if is_here and importlib.util.find_spec(top) is None:
            sys.path.append(str(here))  # at the end: nothing in it can stand in for an installed package
            importlib.invalidate_caches()
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == top:
            raise UserError(f"algorithm '{name}': {error}; put the module's folder on PYTHONPATH") from error
        raise UserError(f"algorithm '{name}': its module needs another package: {error}; install it") from error
    except (Exception, SystemExit) as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"algorithm '{name}': its module raised {message}; mend it (--debug shows where)") from error


def part_class(kind: Kind, name: str) -> type[Part]:
    """The part of that kind and name.

    Raises:
        UserError: there is none; the message names the nearest.
    """
    load()
    if (kind, name) not in PARTS:
        known = [known for of_kind, known in PARTS if of_kind == kind]
        raise UserError(f"unknown {kind} '{name}'{nearest(str(name), known)}; known: {', '.join(sorted(known))}")
    return PARTS[kind, name]


def own_settings(cls: type[Part]) -> dict[str, Any]:
    """The fields of a part, by name."""
    return {entry.name: entry for entry in fields(cls)}
