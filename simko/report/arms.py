"""Arms from what is on disk: results of evaluations, run folders, comparison folders, and what other programs wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from simko.config import read_yaml
from simko.console import note
from simko.errors import UserError
from simko.report.arm_files import (
    counts_of,
    integer,
    is_comparison,
    is_evaluation,
    is_run,
    of_comparison,
    of_evaluation,
    read_json,
    run_of,
)
from simko.report.arm_names import BASE
from simko.report.foreign import read as read_foreign
from simko.report.measured import Measured

Say = Callable[[str], None]
Reader = Callable[[Path], list[Measured]]
_PLAN = "plan.yaml"


def load(paths: Iterable[str | Path], say: Say = note, read_others: Reader = read_foreign) -> list[Measured]:
    """Read every arm and seed that the paths hold, in the order of the paths.

    A path is a result of `simko eval` (`RUN/eval/*.json`), a run folder, a folder that `simko compare` wrote, its
    `results.json`, or what `read_others` reads: a file or folder of another program. The base model in a result becomes the
    arm `base` of that seed. `say` gets a line for each file that was chosen among several, and for each damaged one inside
    a folder: the others go on. `comparable.comparisons` makes names distinct.

    Raises:
        UserError: a path does not exist, a file that was named is damaged, or a folder holds no result.
    """
    measured: list[Measured] = []
    for path in (Path(path).expanduser() for path in paths):
        if not path.exists():
            raise UserError(f"compare: {path}: no such file or folder; give a run folder or a result of `simko eval`")
        measured += _read_folder(path, say, read_others) if path.is_dir() else read_file(path, read_others)
    return measured


def read_file(path: Path, read_others: Reader = read_foreign) -> list[Measured]:
    """The arms of one file. Raises `UserError` if nobody knows the file, or it is damaged."""
    content = read_json(path) if path.suffix == ".json" else None
    if is_evaluation(content):
        return of_evaluation(content, path)
    return of_comparison(content, path) if is_comparison(content) else read_others(path)


def read_cell(path: Path, arm: str, seed: int | None, variant: str = "", tuned: str | None = None) -> list[Measured]:
    """An evaluation of a comparison: of `arm`, shown as `variant` where its `tuned` fact was chosen on tuning problems.

    A base model beside it in the file is a measurement, too, but not at another prompt or temperature.

    Raises:
        UserError: the file is damaged.
    """
    content = read_json(path)
    if not is_evaluation(content):
        raise UserError(f"compare: {path}: not a result of `simko eval`; measure it again, or leave it out")
    sides = of_evaluation(content, path, arm, seed)
    if tuned is None:
        return sides
    facts = {**sides[0].facts, "tuned": [tuned], "arm": arm}
    return [replace(sides[0], arm=variant or arm, facts=facts)]


def _read_folder(folder: Path, say: Say, read_others: Reader) -> list[Measured]:
    if is_run(folder) or folder.name == "eval":
        return _read_run(folder, say)
    places = [(BASE, place) for place in sorted(folder.glob("base/seed-*")) if place.is_dir()]
    places += [(place.parent.name, place) for place in sorted(folder.glob("runs/*/seed-*")) if place.is_dir()]
    if not places:
        file = folder / "results.json"
        return read_file(file, read_others) if file.is_file() else read_others(folder)
    plan = read_yaml(folder / _PLAN) if (folder / _PLAN).is_file() else {}
    measured: list[Measured] = []
    for arm, place in places:
        try:
            measured += _read_cells(arm, place, plan, say)
        except UserError as error:
            say(f"{error}; left out")
    if not measured:
        raise UserError(
            f"compare: {folder}: no seed of any arm has a result yet; go on with `simko compare --out {folder}`"
        )
    return measured


def _read_cells(arm: str, place: Path, plan: Mapping[str, Any], say: Say) -> list[Measured]:
    """The final evaluations of an arm and a seed: as trained, and at the temperature or prompt that was chosen for it."""
    name = place.name.removeprefix("seed-")
    seed = int(name) if name.isdecimal() else None
    every = [(path, result) for path, result in _evaluations(place, say) if result.get("part") != "tuning"]
    if not every:
        raise UserError(f"compare: {place}: it has no evaluation on final problems yet; go on with the comparison")
    temperature = plan.get("eval_temperature", 1.0)
    common = plan.get("common")
    template = common.get("template", "chat") if isinstance(common, Mapping) else "chat"
    plain = [
        entry for entry in every if entry[1].get("temperature") == temperature and entry[1].get("template") == template
    ]
    path, result = max(plain or every, key=lambda entry: _rank(entry[1], entry[0]))
    measured = read_cell(path, arm, seed)
    others: dict[str, tuple[Path, dict[str, Any], str]] = {}
    for other, content in sorted(every, key=lambda entry: _rank(entry[1], entry[0])):
        same_n = content.get("n") == result.get("n") and content.get("step") == result.get("step")
        if same_n and content.get("template") != result.get("template"):
            others[f"{arm} with prompt {content.get('template')}"] = other, content, "template"
        elif same_n and content.get("temperature") != result.get("temperature"):
            others[f"{arm} at T {content.get('temperature')}"] = other, content, "temperature"
    for variant, (other, _, tuned) in sorted(others.items()):
        measured += read_cell(other, arm, seed, variant, tuned)
    return measured


def _read_run(folder: Path, say: Say) -> list[Measured]:
    """The evaluation of a run: of its own environment, of final problems, the most samples, the newest step and file."""
    usable = list(_evaluations(folder, say))
    if not usable:
        raise UserError(f"compare: {folder}: no result of an evaluation; write one with `simko eval {folder}`")
    path, result = max(usable, key=lambda entry: _rank(entry[1], entry[0]))
    if len(usable) > 1:
        say(
            f"{folder}: {len(usable)} evaluations; {path.name} is compared (most samples, then newest); name a file to take it"
        )
    return of_evaluation(result, path)


def _evaluations(folder: Path, say: Say) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Results in a run folder or in a folder of results; `say` gets a line for each that is damaged."""
    for path in sorted({*folder.glob("eval/*.json"), *folder.glob("*-n*.json")}):
        try:
            result = read_json(path)
            if is_evaluation(result):
                counts_of(result, path)
                yield path, result
        except UserError as error:
            say(f"{error}; left out")


def _rank(result: Mapping[str, Any], path: Path) -> tuple[Any, ...]:
    run = run_of(path)
    env = read_yaml(run / "config.yaml").get("env") if run else None
    is_own = env in (None, result["env"])
    part = {"final": 2, "tuning": 0}.get(str(result.get("part")), 1)
    step = integer(result.get("step"), -1)
    return is_own, part, integer(result.get("n"), 0), step, path.stat().st_mtime_ns, path.name
