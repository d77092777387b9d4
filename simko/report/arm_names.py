"""Names of arms: two that are trained in different ways never share one, and the base model is there once a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simko.config import TrainConfig, names
from simko.report.measured import Measured

BASE = "base"
OF_A_BASE = ("model", "quantization", "template")
"""Facts that make two base models two: whoever was trained from one is not compared with the other."""
_NOT_A_NAME = frozenset(names(TrainConfig, False)) - {"steps"} | {"seed", "threads", "device"}
_MOST_SETTINGS = 3  # that a name tells; with more, the run's folder is the name


def named_apart(measured: Sequence[Measured], say: Callable[[str], None]) -> list[Measured]:
    """Return each arm and seed once. Arms of one name whose settings differ get the settings that differ as a name.

    A file that was given twice counts once. Of several measurements of one base model at one seed, that with the most samples
    stays, also where they are of other problems. `say` gets a line for each that is left out. Base models that differ in
    model, quantization or prompt are arms of their own.
    """
    once: dict[tuple[str, str, int | None], Measured] = {}
    for entry in measured:
        once.setdefault((entry.place, entry.arm, entry.seed), entry)
    arms = _by_setting([entry for entry in once.values() if not is_base(entry)])
    return _numbered(arms) + _one_base_a_seed([entry for entry in once.values() if is_base(entry)], say)


def is_base(entry: Measured) -> bool:
    """Whether this is a model before training at the training prompt, as a result holds it beside a trained one."""
    return entry.arm == BASE


def _by_setting(measured: Sequence[Measured]) -> list[Measured]:
    result: list[Measured] = []
    for arm in dict.fromkeys(entry.arm for entry in measured):
        group = [entry for entry in measured if entry.arm == arm]
        flat = [_flat(entry.facts.get("settings") or {}) for entry in group]
        different = [key for key in dict.fromkeys(key for row in flat for key in row) if _differs(key, flat)]
        for entry, row in zip(group, flat, strict=True):
            parts = ", ".join(f"{key.removeprefix('method.')} {_short(row.get(key))}" for key in different)
            if len(different) > _MOST_SETTINGS:
                parts = f"({_run_name(entry.place)})"
            result.append(replace(entry, arm=f"{arm} {parts}".strip()))
    return result


def _differs(key: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a setting differs. A method's setting that an older version did not have is not known there."""
    is_method = key.startswith("method.")
    return len({repr(row.get(key)) for row in rows if row and (key in row or not is_method)}) > 1


def _run_name(place: str) -> str:
    folder = Path(place).parent
    return (folder.parent if folder.name == "eval" else folder).name


def _numbered(measured: Sequence[Measured]) -> list[Measured]:
    """Runs of one arm and one seed, all settings equal: the second is named `arm #2`, and so on."""
    seen: dict[tuple[str, int | None], int] = {}
    result = []
    for entry in measured:
        number = seen[entry.arm, entry.seed] = seen.get((entry.arm, entry.seed), 0) + 1
        result.append(entry if number == 1 else replace(entry, arm=f"{entry.arm} #{number}"))
    return result


def _one_base_a_seed(bases: Sequence[Measured], say: Callable[[str], None]) -> list[Measured]:
    values = {name: {repr(entry.facts.get(name)) for entry in bases} - {"None"} for name in OF_A_BASE}
    kept: dict[tuple[str, int | None], Measured] = {}
    for entry in bases:
        parts = [_short(entry.facts[name]) for name in OF_A_BASE if len(values[name]) > 1 and entry.facts.get(name)]
        entry = replace(entry, arm=" ".join([BASE, *parts]), facts={**entry.facts, "trained": False})
        other = kept.setdefault((entry.arm, entry.seed), entry)
        if other.counts != entry.counts:
            more, fewer = (entry, other) if _samples(entry) > _samples(other) else (other, entry)
            kept[entry.arm, entry.seed] = more
            say(f"base, seed {entry.seed}: {more.place} is taken, {fewer.place} is left out")
    return list(kept.values())


def _samples(entry: Measured) -> int:
    return sum(samples for samples, _ in entry.counts.values())


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if key == "method" and isinstance(value, Mapping):
            flat |= {f"method.{inner}": setting for inner, setting in value.items()}
        elif key not in _NOT_A_NAME:
            flat[key] = value
    return flat


def _short(value: Any) -> str:
    text = str(value)
    return text.rstrip("/").rsplit("/", 1)[-1][:24]
