"""Training methods: parts by name, and methods as named choices of parts. Each file of this folder holds one method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from simko.algorithms import registry
from simko.algorithms.base import Advantage, Auxiliary, Evidence, Kind, LossPart, Part, RolloutContext, Sampling
from simko.algorithms.compose import Algorithm
from simko.algorithms.docstrings import docstring_of, when_to_use
from simko.algorithms.registry import KINDS, method, part
from simko.algorithms.rules import refusal
from simko.algorithms.stats import Loss, Prepared, StepStats, TokenStats
from simko.errors import UserError, nearest
from simko.fields import checked, schema_of
from simko.group_view import GroupView

if TYPE_CHECKING:
    from simko.config import UpdateSettings

__all__ = [
    "KINDS", "Advantage", "Algorithm", "Auxiliary", "Evidence", "GroupView", "Kind", "Loss", "LossPart", "Part", "Prepared",
    "RolloutContext", "Sampling", "StepStats", "TokenStats", "describe", "description", "get", "has_preset", "method", "names",
    "of", "own_parts", "part", "part_names", "schema", "settings",
]  # fmt: skip


def names() -> list[str]:
    """Return the names of all methods, in the order of the alphabet: that of imports depends on who imports first."""
    registry.load()
    return sorted(registry.METHODS)


def part_names(kind: Kind) -> list[str]:
    """Return the names of all parts of a kind."""
    registry.load()
    return sorted(name for of_kind, name in registry.PARTS if of_kind == kind)


def get(name: str, /, **values: Any) -> Algorithm:
    """The method called `name`, with these settings and its own for the rest.

    The names of the four kinds of parts are settings, too: `get("simko", advantage="pass_at_k", pass_k=4)`.

    Raises:
        UserError: an unknown method, part or setting (with the nearest name), a wrong type, a value out of bounds, or parts that
            make no sense together.
    """
    chosen = _parts(name, values)
    if message := refusal({kind: cls.name if cls else "none" for kind, cls in chosen.items()}):
        raise UserError(f"{name}: {message}")
    known = settings(name, values)
    for key in values:
        if key not in known and key not in KINDS:
            raise UserError(f"{name}: unknown setting '{key}'{nearest(key, [*known, *KINDS])}")
    values = {**_defaults(name, known), **values}
    made = {}
    for kind, cls in chosen.items():
        own = registry.own_settings(cls) if cls else {}
        mine = {key: value for key, value in values.items() if key in own}
        made[kind] = cls(**checked(cls, mine, name, noun="setting")) if cls else None
    return Algorithm(name, *(cast(Any, made[kind]) for kind in KINDS))


def of(config: UpdateSettings) -> Algorithm:
    """The method that a config names."""
    return get(config.algorithm, **config.method)


def own_parts(name: str) -> dict[Kind, str]:
    """The parts of a method and its preset, by kind."""
    chosen, preset = registry.find(name)
    return {kind: preset.get(kind, own) for kind, own in chosen.parts.items()}


def has_preset(name: str) -> bool:
    """Whether a name says which published settings to take, as `simko:math` does."""
    return str(name).partition(":")[2] in registry.find(name)[0].presets


def settings(name: str, values: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """Default and help of each setting of a method, with the parts that `values` puts in place of its own.

    Raises:
        UserError: an unknown method or part, or two parts with a setting of the same name.
    """
    found: dict[str, dict[str, Any]] = {}
    owners: dict[str, str] = {}
    for kind, cls in _parts(name, values or {}).items():
        for key, entry in (registry.own_settings(cls) if cls else {}).items():
            if key in found:
                raise UserError(f"{name}: {owners[key]} and {kind} both have a setting '{key}'; choose another {kind}")
            owners[key] = kind
            found[key] = {"default": entry.default, "help": entry.metadata.get("help", "")}
    for key, value in _defaults(name, found).items():
        found[key]["default"] = value
    return found


def describe() -> list[dict[str, Any]]:
    """Return what `simko algorithms --json` prints: an object for each method."""
    return [description(name) for name in names()]


def description(name: str) -> dict[str, Any]:
    """One object of `describe`. The name may have a preset, whose values are then among the defaults.

    Raises:
        UserError: an unknown method or preset.
    """
    chosen, algorithm = registry.find(name)[0], get(name)
    return {
        "name": name,
        "title": chosen.title,
        "parts": dict(chosen.parts),
        "needs": sorted(
            {f"old:{stat}" for stat in algorithm.needs_old} | {f"new:{stat}" for stat in algorithm.needs_new}
        ),
        "defaults": algorithm.settings,
        "settings": algorithm.settings,
        "inert": list(algorithm.inert(1)),
        "presets": {key: dict(values) for key, values in chosen.presets.items()},
        "source": chosen.source,
        "evidence": chosen.evidence,
        "when": when_to_use(docstring_of(chosen.module), chosen.name),
    }


def schema() -> dict[str, Any]:
    """The JSON schema of each setting of any part, by its name."""
    registry.load()
    return {
        key: about
        for _, cls in sorted(registry.PARTS.items())
        for key, about in schema_of(cls).get("properties", {}).items()
    }


def _parts(name: str, values: Mapping[str, Any]) -> dict[Kind, type[Part] | None]:
    """The part of each kind: those that `values` names, else the method's own; None for "none"."""
    chosen = {kind: str(values.get(kind) or own) for kind, own in own_parts(name).items()}
    for kind in ("advantage", "loss", "sampling"):
        if chosen[kind] == "none":
            raise UserError(f"{name}: {kind} is none; name one, as only auxiliary may be none")
    return {kind: None if chosen[kind] == "none" else registry.part_class(kind, chosen[kind]) for kind in KINDS}


def _defaults(name: str, known: dict[str, Any]) -> dict[str, Any]:
    """What the method and its preset set differently from the parts; a part put in place of another may lack a setting."""
    chosen, preset = registry.find(name)
    return {key: value for key, value in {**chosen.defaults, **preset}.items() if key in known}
