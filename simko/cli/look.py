"""`env look`: what an environment reads out of a data set, and which rows it refuses and why, before anything is trained."""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer

from simko.cli.modules import reach
from simko.cli.output import indent, print_json, print_table
from simko.console import clean
from simko.errors import UserError

SHOWN_ROWS = 20  # refused rows that are printed; --json has all


def look(
    id: str = typer.Argument("simko/JSONL-v0", metavar="[ID]", help="environment id; rows of your own where left out"),
    data: str | None = typer.Option(
        None, "--data", metavar="PATH", help="file, folder, or Hub id as ORG/NAME[:CONFIG]"
    ),
    columns: str | None = typer.Option(
        None, "--columns", metavar="TEXT", help="which column is what: problem=question,answer=final_answer"
    ),
    level: int | None = typer.Option(None, "--level", metavar="N", help="only rows of this level"),
    verifier: str | None = typer.Option(None, "--verifier", metavar="TEXT", help="the environment's own if left out"),
    tokenizer: str | None = typer.Option(None, "--tokenizer", metavar="MODEL", help="count prompts in its tokens"),
    env_options: str | None = typer.Option(
        None, "--env-options", metavar="TEXT", help="of its problems, as size=500,seed=3"
    ),
    python: str | None = typer.Option(
        None, "--python", metavar="PATH", help="interpreter that has its foreign package"
    ),
    show: int = typer.Option(3, "--show", metavar="N", min=0, help="problems to print"),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
) -> None:
    """Show what is read out of a data set, and which rows are refused and why.

    Exits 1 if a row is refused, as training would refuse the data set without --keep-good-rows.
    """
    reach(id)
    _refuse_generated(id)
    from simko.envs.foreign.options import read_options

    options: dict[str, Any] = {**read_options(env_options, python), "keep_good_rows": True}
    options |= {} if columns is None else {"columns": columns}
    settings = {"data": data, "level": level, "verifier": verifier, "tokenizer": tokenizer, "source_options": options}
    splits = {split: env for split in ("train", "eval") if (env := _made(id, split, settings)) is not None}
    if not splits:
        _made(id, "all", settings, must=True)
        raise UserError(f"{id}: no split can be read; try `simko env show {id}`")
    refused = list(dict.fromkeys(row for env in splits.values() for row in env.source.bad_rows))
    notes = list(dict.fromkeys(note for env in splits.values() for note in getattr(env.source, "notes", ())))
    about = {split: _about(env) for split, env in splits.items()}
    first = next(iter(splits.values()))
    examples = [
        {"id": task.id, "problem": task.problem, "system": task.system, "gold": task.gold, "level": task.level}
        for task in first.source.tasks(None, 0)[:show]
    ]
    if as_json:
        print_json({
            "env": id, "data": data, "columns": columns, "verifier": first.verifier_name, "splits": about,
            "refused": refused, "notes": notes, "examples": examples,
        })  # fmt: skip
    else:
        typer.echo(f"{id}, graded by '{first.verifier_name}'" + (f", from {clean(data)}" if data else ""))
        rows = [(split, str(part["rows"]), str(part["longest_prompt"]), _levels(part)) for split, part in about.items()]
        print_table(rows, ("SPLIT", "ROWS", "LONGEST PROMPT", "LEVELS"))
        for example in examples:
            typer.echo(
                f"\n{clean(example['id'])}\n{indent(clean(example['problem']))}\n  gold: {clean(example['gold'])}"
            )
        for note in notes:
            typer.echo(f"\nnote: {clean(note)}")
        _print_refused(refused)
    if refused:
        raise typer.Exit(1)


def _made(id: str, split: str, settings: dict[str, Any], must: bool = False) -> Any:
    """The environment of a split; None where the data has no such split. A mistake that holds for all splits is raised."""
    from simko.envs import make

    try:
        env = make(id, split=split, **{name: value for name, value in settings.items() if value is not None})
    except UserError:
        if must:
            raise
        return None
    return env


def _refuse_generated(id: str) -> None:
    from simko.envs import specs

    name = id.rpartition(":")[2]
    if any(info.id == name and info.source == "procedural" for info in specs()):
        raise UserError(f"{id} generates its problems and reads no data; see one with: simko env show {id}")


def _about(env: Any) -> dict[str, Any]:
    tasks = env.source.tasks(None, 0)
    levels = Counter(task.level for task in tasks if task.level)
    return {
        "rows": len(tasks),
        "longest_prompt": max(len(env.prompt_ids(task)) for task in tasks),
        "levels": dict(sorted(levels.items())),
    }


def _levels(part: dict[str, Any]) -> str:
    counts = [f"{clean(level)}: {count}" for level, count in part["levels"].items()]
    return ", ".join(counts[:8]) + (f", and {len(counts) - 8} more" if len(counts) > 8 else "") or "-"


def _print_refused(refused: list[str]) -> None:
    if not refused:
        typer.echo("\nno row is refused")
        return
    count = "1 row is" if len(refused) == 1 else f"{len(refused)} rows are"
    typer.echo(f"\n{count} refused (--keep-good-rows trains without):")
    for row in refused[:SHOWN_ROWS]:
        typer.echo(f"  {clean(row)}")
    if len(refused) > SHOWN_ROWS:
        typer.echo(f"  ... and {len(refused) - SHOWN_ROWS} more (--json lists all)")
