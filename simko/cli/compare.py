"""`compare`, `sweep`: methods held against each other, by the same seeds, problems and effort."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import typer

from simko.cli import panels
from simko.cli.flags import config_flags, extra_settings
from simko.cli.output import print_json, terminal
from simko.compare.study import RESERVED, Sizes, Study, flat, joined, read_study, seeds_of
from simko.config import TrainConfig, names
from simko.console import note, say, table
from simko.errors import UserError
from simko.fields import checked
from simko.run.signals import Stopped

if TYPE_CHECKING:
    from simko.compare.session import Session

EPILOG = (
    "Settings of `simko train` are flags here, too, and hold for all arms; those of a method hold for the arms that have them. "
    "`simko compare FOLDER` goes on with a comparison, and prints the table of a finished one. `simko compare RUN RUN ...` "
    "compares runs or results that exist already."
)
SWEEP_EPILOG = "The study is a YAML file; an arm's settings to try stand under `grid`. See docs/guides/compare.md."


@dataclass(frozen=True, kw_only=True)
class _Flags(Sizes, TrainConfig):
    """The settings that both commands take as flags."""


REFERENCE = "grpo"
_PLAN = "plan.yaml"  # as in simko.compare.plan, which loads torch
_SKIPPED = {"seed", "out", "algorithm", "method"}
_OUT = typer.Option(None, "--out", metavar="FOLDER", help="folder of the comparison; it goes on where it was")
_SEEDS = typer.Option(None, "--seeds", metavar="N", help="number of training seeds, or the seeds as 0,1,2")
_BUDGET = typer.Option(None, "--budget", metavar="HOURS", min=0.0, help="begin no run after so many hours of this call")
_JOBS = typer.Option(1, "--jobs", metavar="N", min=1, help="runs at once")
_DRY_RUN = typer.Option(False, "--dry-run", help="print what would be run, and stop")
_JSON = typer.Option(False, "--json", help="print one JSON object")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    takes_more = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=takes_more, epilog=EPILOG)(compare)
    app.command(context_settings=takes_more, epilog=SWEEP_EPILOG)(sweep)


@config_flags(_Flags, skip=_SKIPPED, panels=panels.COMPARE)
def compare(
    context: typer.Context,
    flags: Mapping[str, Any],
    algorithms: str | None = typer.Option(None, "--algorithms", metavar="NAMES", help="methods, with commas between"),
    seeds: str | None = _SEEDS,
    config: str | None = typer.Option(None, "--config", metavar="FILE", help="YAML file of a study; flags go over it"),
    out: str | None = _OUT,
    random_control: bool | None = typer.Option(
        None, "--random-control/--no-random-control", help="add an arm with random rewards [on with 2 methods or more]"
    ),
    reference: str = typer.Option(
        REFERENCE, "--reference", metavar="ARM", help="arm that all others are compared with"
    ),
    jobs: int = _JOBS,
    budget: float | None = _BUDGET,
    dry_run: bool = _DRY_RUN,
    as_json: bool = _JSON,
) -> None:
    """Compare training methods over seeds, beside the base model.

    The table has pass@K of each. Every arm is trained and evaluated in a folder, which can be extended by an arm, a seed
    or more samples.
    """
    places, more = _places(context.args)
    asked = Study(_common({**flags, **more}), {}, {}, seeds_of(seeds) if seeds else (), _sizes(flags), random_control)
    if len(places) == 1 and (Path(places[0]) / _PLAN).is_file() and out is None:
        out = places.pop()
    if places:
        if config or algorithms or dry_run or budget is not None or jobs > 1 or asked != Study():
            raise UserError(
                f"compare: {places[0]} is compared as it is, and nothing is trained; leave the settings of training out"
            )
        _compare_results(places, out, reference, as_json)
        return
    study = _over(read_study(config), asked) if config else asked
    session = _session("compare", out, study, jobs, budget, algorithms)
    _run(replace(session, reference=reference), "compare", dry_run, as_json)


@config_flags(_Flags, skip=_SKIPPED, panels=panels.COMPARE)
def sweep(
    context: typer.Context,
    flags: Mapping[str, Any],
    seeds: str | None = _SEEDS,
    out: str | None = _OUT,
    jobs: int = _JOBS,
    budget: float | None = _BUDGET,
    dry_run: bool = _DRY_RUN,
    as_json: bool = _JSON,
) -> None:
    """Tune the arms of a study with equal effort.

    It tries their settings on tuning problems: `simko sweep STUDY.yaml --out FOLDER`. The best setting of each arm is
    written to FOLDER/tuned.yaml, a study for `simko compare --config`.
    """
    places, more = _places(context.args)
    if len(places) > 1:
        raise UserError(f"sweep: {', '.join(places)} are {len(places)} studies; give one at a time")
    asked = Study(_common({**flags, **more}), {}, {}, seeds_of(seeds) if seeds else (), _sizes(flags))
    study = _over(read_study(places[0]), asked) if places else asked
    session = _session("sweep", out, study, jobs, budget)
    _run(replace(session, sweeps=True), "sweep", dry_run, as_json)


def _over(file: Study, asked: Study) -> Study:
    """The study of a file with what was asked for by flags over it; seeds by a flag replace those of the file."""
    return joined(replace(file, seeds=()) if asked.seeds else file, asked)


def _session(
    command: str, out: str | None, study: Study, jobs: int, budget: float | None, methods: str | None = None
) -> Session:
    from simko.compare.plan import named_arms
    from simko.compare.session import Session

    if not out:
        raise UserError(f"{command}: --out is empty; give the folder of the comparison, which may be a new one")
    arms = named_arms(methods) if methods else {}
    return Session(Path(out).expanduser(), study, arms, jobs, budget)


def _run(session: Session, command: str, dry_run: bool, as_json: bool) -> None:
    """Run a session, and say what is missing. Exits with 1 if a cell failed."""
    from simko.compare.sweep import sweep_table
    from simko.report.comparison_table import comparison_table

    folder = session.folder
    if dry_run:
        _print_plan(session, as_json)
        return
    if (processes := os.environ.get("WORLD_SIZE", "1")) != "1":
        raise UserError(
            f"{command}: its runs are processes of their own, and this one was started with WORLD_SIZE={processes}; start it "
            "without torchrun, or unset WORLD_SIZE"
        )
    console = terminal(stderr=as_json)
    how = f"simko {command} {'' if command == 'compare' else '--out '}{quote(str(folder))}"
    how += "" if session.reference == REFERENCE else f" --reference {quote(session.reference)}"
    try:
        board, outcome, result = session.run(lambda line: say(console, line))
    except Stopped as stopped:
        note(f"stopped by {stopped}; go on with: {how}")
        raise typer.Exit(stopped.code) from stopped
    console.print("")
    if board.plan.is_sweep:
        say(console, sweep_table(board))
    else:
        console.print(comparison_table(result)) if result else say(console, "no final result yet")
    for line in outcome.failed.values():
        note(line)
    if outcome.missing:
        why = "the budget is spent" if outcome.out_of_budget else "they need one that failed"
        note(f"{len(outcome.missing)} runs and evaluations are missing ({why}), the first: {outcome.missing[0].name}")
    if outcome.failed or outcome.missing:
        note(f"go on with: {how}")
    say(console, f"folder: {folder}")
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "failed": list(outcome.failed.values()),
                "missing": len(outcome.missing),
                "arms": list(board.plan.arms),
                "seeds": list(board.plan.seeds),
                "results": None if result is None else str(folder / "results.json"),
            }
        )
    if outcome.failed:
        raise typer.Exit(1)


def _print_plan(session: Session, as_json: bool) -> None:
    from simko.compare.board import Board
    from simko.compare.costs import measured, summary
    from simko.compare.runner import plan_lines

    board = Board(session.folder, session.planned())
    rows, entries = plan_lines(board), board.entries()
    line = summary(board, entries, measured(board, entries), session.jobs)
    if as_json:
        print_json(
            {"cells": [dict(zip(("cell", "state", "answers"), row, strict=True)) for row in rows], "summary": line}
        )
        return
    typer.echo(table(["run or evaluation", "state", "answers"], rows) if rows else "all is done")
    typer.echo(f"{line}; {sum(int(row[2].replace(',', '')) for row in rows):,} answers to sample")


def _compare_results(places: Sequence[str], out: str | None, reference: str, as_json: bool) -> None:
    """Results that exist: the table of each set that can be drawn together; with `out`, the files too."""
    from simko.report.arms import load
    from simko.report.comparable import comparisons, why_apart
    from simko.report.comparison import results_of
    from simko.report.comparison_folder import write_all
    from simko.report.comparison_table import comparison_table
    from simko.run.folder import RunFolder

    found = comparisons(load(places))
    if out:
        out = str(Path(out).expanduser())
        if RunFolder.is_run(out) or (Path(out) / _PLAN).is_file():
            kind = "a run folder" if RunFolder.is_run(out) else "the folder of a comparison, which has its own results"
            raise UserError(f"compare: {out} is {kind}; give another --out")
        results = write_all(out, found, reference=reference, commands=[f"simko {' '.join(map(quote, sys.argv[1:]))}"])
    else:
        results = [results_of(comparison, reference) for comparison in found]
        if len(found) > 1:
            note(f"not drawn together: {why_apart(found)}")
    if as_json:
        print_json(results[0] if len(results) == 1 else results)
        return
    console = terminal()
    for result in results:
        console.print(comparison_table(result))
    if out:
        say(console, f"folder: {out}")


def _places(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The folders and files at the front, and the settings of methods behind them."""
    count = next((i for i, word in enumerate(arguments) if word.startswith("--")), len(arguments))
    return list(arguments[:count]), extra_settings(arguments[count:])


def _common(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that all arms share, of the types that they should have."""
    settings = {key: value for key, value in flags.items() if key not in {entry.name for entry in fields(Sizes)}}
    of_config = {key: value for key, value in settings.items() if key in names(TrainConfig) and key not in RESERVED}
    return flat({**settings, **checked(TrainConfig, of_config, "config")}, "the command line")


def _sizes(flags: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in flags.items() if key in {entry.name for entry in fields(Sizes)}}
    sizes = Sizes(**given)
    return {key: getattr(sizes, key) for key in given}
