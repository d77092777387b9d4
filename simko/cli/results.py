"""`results`: the counts of an evaluation, ours or another program's, shown or written in another format."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from simko.cli.audit import UNSAFE
from simko.cli.modules import reach
from simko.cli.output import print_json, print_table
from simko.console import clean, note
from simko.errors import UserError, nearest
from simko.files import write_atomically

if TYPE_CHECKING:
    from simko.report.measured import Measured
    from simko.types import Task

FORMATS = ("counts", "csv", "every-eval-ever")
WRITE, GRADE, RECORDS = "Write", "Grade what another program's model answered", "Names in every-eval-ever"
EPILOG = (
    "Reads results of `simko eval`, and of other programs: counts, completions, lm-evaluation-harness samples, inspect logs, "
    "verifiers runs. With --env or --verifier our verifiers grade what these answered. Without --format the arms are listed."
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog=EPILOG)(results)


def results(
    target: str = typer.Argument(metavar="RESULT", help="run folder, result of an evaluation, or another program's"),
    format: str | None = typer.Option(
        None, "--format", rich_help_panel=WRITE, metavar="|".join(FORMATS), help="write the counts in this format"
    ),
    out: str | None = typer.Option(
        None, "-o", "--out", rich_help_panel=WRITE, metavar="PATH", help="file, or folder of every-eval-ever [stdout]"
    ),
    arm: str | None = typer.Option(None, "--arm", rich_help_panel=WRITE, metavar="NAME", help="this arm alone"),
    env: str | None = typer.Option(
        None, "--env", rich_help_panel=GRADE, metavar="TEXT", help="grade on the held-out problems of this environment"
    ),
    data: str | None = typer.Option(
        None, "--data", rich_help_panel=GRADE, metavar="PATH", help="the environment's data"
    ),
    level: int | None = typer.Option(
        None, "--level", rich_help_panel=GRADE, metavar="N", help="the environment's level"
    ),
    verifier: str | None = typer.Option(
        None, "--verifier", rich_help_panel=GRADE, metavar="TEXT", help="grade by this verifier"
    ),
    filter: str | None = typer.Option(
        None, "--filter", rich_help_panel=GRADE, metavar="TEXT", help="filter of lm-eval, or agent of verifiers"
    ),
    metric: str | None = typer.Option(
        None, "--metric", rich_help_panel=GRADE, metavar="TEXT", help="metric of lm-eval, or scorer of inspect"
    ),
    model_id: str | None = typer.Option(
        None, "--model-id", rich_help_panel=RECORDS, metavar="ORG/NAME", help="of every-eval-ever: the model's name"
    ),
    organization: str = typer.Option(
        "unknown", "--organization", rich_help_panel=RECORDS, metavar="TEXT", help="of every-eval-ever: who measured"
    ),
    unsafe: bool = UNSAFE,
    as_json: bool = typer.Option(False, "--json", help="list the arms as JSON"),
) -> None:
    """Show the counts of an evaluation, or write them for others."""
    if format is not None and format not in FORMATS:
        raise UserError(f"results: --format is '{format}'{nearest(format, FORMATS)}; use {', '.join(FORMATS)}")
    if format is None and out is not None:
        raise UserError(f"results: --out {out}: say in which format, with --format {'|'.join(FORMATS)}")
    reach(env)
    path = Path(os.path.expanduser(target))
    options = {"env": env, "data": data and os.path.expanduser(data), "level": level, "verifier": verifier,
               "filter": filter, "metric": metric}  # fmt: skip
    arms = _chosen(_arms(path, options), arm, target)
    if format is None:
        _show(arms, as_json)
    elif format == "every-eval-ever":
        _write_records(arms, out, model_id, organization, options)
    else:
        _write_text(_text(arms, format, target), out)


def _arms(path: Path, options: Mapping[str, Any]) -> list[Measured]:
    from simko.report.arms import load
    from simko.report.foreign import read

    chosen = {name: value for name, value in options.items() if value is not None}

    def others(place: Path) -> list[Measured]:
        graded.append(place)
        return read(place, **options)

    graded: list[Path] = []
    arms = load([path], note, others)
    if chosen and not graded:
        raise UserError(f"results: {path} is a result of ours, which is graded; leave --{next(iter(chosen))} out")
    return arms


def _chosen(arms: list[Measured], arm: str | None, target: str) -> list[Measured]:
    names = [measured.arm for measured in arms]
    if arm is not None and arm not in names:
        raise UserError(f"results: {target} has no arm '{arm}'{nearest(arm, names)}; it has: {', '.join(names)[:200]}")
    return [measured for measured in arms if arm in (None, measured.arm)]


def _show(arms: Sequence[Measured], as_json: bool) -> None:
    rows = []
    for measured in arms:
        judged = {task: (n, c) for task, (n, c) in measured.counts.items() if n}
        mean = sum(c / n for n, c in judged.values()) / len(judged) if judged else None
        facts = {name: measured.facts.get(name) for name in ("env", "verifier", "temperature", "n")}
        rows.append(
            {"arm": measured.arm, "seed": measured.seed, "source": measured.source, "foreign": measured.foreign}
            | facts
            | {"problems": len(judged), "pass_at_1": mean, "partial": measured.facts.get("partial") or 0}
        )
    if as_json:
        print_json(rows)
        return
    columns = ("arm", "seed", "source", "env", "verifier", "problems", "n")
    cells = [[*(_cell(row[name]) for name in columns), _percent(row["pass_at_1"])] for row in rows]
    print_table(cells, [*(name.upper() for name in columns), "PASS@1 %"])
    for row in rows:
        if row["foreign"]:
            note(f"arm {row['arm']}: its verdicts are of '{row['source']}'; our verifiers have not seen these answers")
        if row["partial"]:
            note(f"arm {row['arm']}: {row['partial']} scores are neither 0 nor 1; they count as wrong")


def _cell(value: Any) -> str:
    return "-" if value is None else clean(str(value))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _text(arms: Sequence[Measured], format: str, target: str) -> str:
    from simko.report.foreign import count_files, csv_file

    if format == "csv":
        return csv_file.write(arms)
    if len(arms) > 1:
        names = ", ".join(dict.fromkeys(measured.arm for measured in arms))
        if names == arms[0].arm:
            raise UserError(
                f"results: {target} has {len(arms)} seeds of arm '{names}', and a file of counts holds one; name the result "
                f"of one seed, as {arms[0].place}"
            )
        raise UserError(
            f"results: {target} has several arms, and a file of counts holds one; choose with --arm: {names[:200]}"
        )
    return count_files.write(arms[0])


def _write_text(text: str, out: str | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    _write(Path(os.path.expanduser(out)), text)


def _write_records(
    arms: Sequence[Measured], out: str | None, model_id: str | None, organization: str, options: Mapping[str, Any]
) -> None:
    from simko.report.foreign.every_eval_ever import default_model_id, record
    from simko.report.hub_results import data_set

    if out is None:
        raise UserError("results: --format every-eval-ever writes several files; give a folder with --out")
    if model_id is not None and len(arms) > 1:
        names = ", ".join(dict.fromkeys(measured.arm for measured in arms))
        mend = f"name the result of one seed, as {arms[0].place}" if names == arms[0].arm else "choose with --arm"
        raise UserError(f"results: --model-id names one model, and there are {len(arms)}, of {names[:200]}; {mend}")
    for measured in arms:
        env = measured.facts.get("env")
        hub = None if env is None else data_set(env)
        tasks = _tasks(measured, options)
        files = record(measured, time.time(), model_id or default_model_id(measured), organization, tasks, hub)
        root = Path(os.path.expanduser(out))
        for path, text in ((files.samples_path, files.samples), (files.path, files.aggregate)):
            _write(root / path, text, make_folder=True)
            typer.echo(root / path)


def _tasks(measured: Measured, options: Mapping[str, Any]) -> dict[str, Task]:
    """The problems of an arm by id, where an environment of simko's own, or the one that was named, has them.

    A result file says which environment it is from; no module and no file is opened because such a file names it.
    """
    from simko.envs.registry import BUNDLED, make

    env = measured.facts.get("env")
    named = options["env"] is not None
    if env is None or not (named or env in {info.id for info in BUNDLED}):
        note(
            f"arm {measured.arm}: the texts of its problems are left out; nobody says which environment of simko's has them"
        )
        return {}
    try:
        source = make(
            env, split="eval", data=options["data"], level=measured.facts.get("level"), max_prompt_tokens=1 << 20
        ).source
        return {task: source.get(task) for task in measured.counts}
    except UserError as error:
        note(f"arm {measured.arm}: the texts of its problems are left out: {error}")
        return {}


def _write(path: Path, text: str, make_folder: bool = False) -> None:
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise UserError(f"results: --out {path}: {error.strerror}; choose another place") from error
