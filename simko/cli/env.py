"""`env list`, `show`, `look`, `check`, `audit`, `play`, `new`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from simko.cli import scaffold
from simko.cli.audit import UNSAFE, audit
from simko.cli.look import look
from simko.cli.modules import reach
from simko.cli.output import ask, indent, print_json, print_table
from simko.console import clean
from simko.errors import UserError

if TYPE_CHECKING:
    from simko.envs import TokenEnv
    from simko.types import Task

ID = typer.Argument(metavar="ID", help="environment id, module:id, or jsonl:PATH")
DATA = typer.Option(
    None,
    "--data",
    metavar="PATH",
    rich_help_panel="Which problems",
    help="data file, folder or Hub id, if the environment reads one",
)
COLUMNS = typer.Option(
    None,
    "--columns",
    metavar="TEXT",
    rich_help_panel="Which problems",
    help="which column is what: problem=question,answer=solution",
)
LEVEL = typer.Option(
    None, "--level", metavar="N", rich_help_panel="Which problems", help="difficulty; the environment's own if left out"
)
SPLIT = typer.Option(
    None,
    "--split",
    metavar="train|eval",
    rich_help_panel="Which problems",
    help="which problems; train if there are any",
)
OPTIONS = typer.Option(
    None, "--env-options", metavar="TEXT", rich_help_panel="Which problems", help="of its problems, as size=500,seed=3"
)
PYTHON = typer.Option(None, "--python", metavar="PATH", help="interpreter that has its foreign package")
SEED = typer.Option(0, "--seed", metavar="N", rich_help_panel="Which problems", help="of the problem that is drawn")
JSON_FLAG = typer.Option(False, "--json", help="print JSON")


def add_to(app: typer.Typer) -> None:
    """Register the commands as a group."""
    group = typer.Typer(
        help="Environments: list, look at, check, play, write one.", rich_markup_mode=None, invoke_without_command=True
    )
    group.callback()(_help)
    group.command("list")(list_all)
    for command in (show, look, check, audit, play, new):
        group.command()(command)
    app.add_typer(group, name="env")


def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def list_all(as_json: bool = JSON_FLAG) -> None:
    """List the registered environments."""
    from simko.envs import specs

    if as_json:
        keys = ("id", "title", "verifier", "source", "levels", "turns", "max_prompt_tokens", "max_new_tokens")
        print_json([{key: asdict(info)[key] for key in keys} for info in specs()])
        return
    rows = [(info.id, info.verifier, info.source, _span(info.levels), str(info.turns), info.title) for info in specs()]
    print_table(rows, ("ID", "VERIFIER", "SOURCE", "LEVELS", "TURNS", ""))


def show(
    id: str = ID,
    data: str | None = DATA,
    columns: str | None = COLUMNS,
    level: int | None = LEVEL,
    split: str | None = SPLIT,
    seed: int = SEED,
    task: str | None = typer.Option(
        None, "--task", metavar="ID", rich_help_panel="Which problems", help="this task instead of a random one"
    ),
    tokenizer: str | None = typer.Option(None, "--tokenizer", metavar="MODEL", help="render with its chat template"),
    env_options: str | None = OPTIONS,
    python: str | None = PYTHON,
    as_json: bool = JSON_FLAG,
) -> None:
    """Show a problem, its prompt, its gold answer."""
    env = _make(id, data, level, split, tokenizer, source_options=_options(columns, env_options, python))
    chosen = _pick(env, seed, task)
    prompt = env.describe(chosen)["text"]
    if as_json:
        about = {"id": id, "task": chosen.id, "level": chosen.level, "problem": chosen.problem, "prompt": prompt}
        if chosen.system is not None:
            about["system"] = chosen.system
        tokens = {"prompt_tokens": len(env.prompt_ids(chosen)), "max_new_tokens": env.max_new_tokens}
        print_json(about | {"gold": chosen.gold, "verifier": env.verifier_name} | tokens)
        return
    typer.echo(f"task      {clean(chosen.id)}" + (f"  (level {clean(chosen.level)})" if chosen.level else ""))
    typer.echo(f"prompt    {len(env.prompt_ids(chosen))} tokens\n{indent(prompt)}")
    typer.echo(f"gold      {clean(chosen.gold)}")
    typer.echo(f"verifier  {env.verifier_name}, on an answer of at most {env.max_new_tokens} tokens")


def check(
    id: str = ID,
    data: str | None = DATA,
    columns: str | None = COLUMNS,
    level: int | None = LEVEL,
    split: str | None = SPLIT,
    unsafe: bool = UNSAFE,
    env_options: str | None = OPTIONS,
    python: str | None = PYTHON,
    as_json: bool = JSON_FLAG,
) -> None:
    """Check that an environment keeps the contract.

    Gymnasium's contract, and simko's stricter one. Exits 1 if a check fails, and 2 if the environment cannot be made.
    """
    reach(id)
    from simko.envs.audit.contract import check as run_checks

    results = run_checks(id, data, level=level, split=split, source_options=_options(columns, env_options, python))
    failed = [result for result in results if not result.passed]
    if as_json:
        print_json({"id": id, "passed": not failed, "checks": [asdict(result) for result in results]})
    else:
        width = max(len(result.name) for result in results)
        for result in results:
            line = f"{'ok' if result.passed else 'FAIL':4}  {result.name:{width}}  {clean(result.detail)}"
            typer.echo(line.rstrip())
        typer.echo(f"{id}: {len(results) - len(failed)} of {len(results)} checks passed")
    if failed:
        raise typer.Exit(1)


def play(
    id: str = ID,
    data: str | None = DATA,
    columns: str | None = COLUMNS,
    level: int | None = LEVEL,
    split: str | None = SPLIT,
    attempts: int | None = typer.Option(None, "--attempts", metavar="N", help="tries at each problem"),
    unsafe: bool = UNSAFE,
    env_options: str | None = OPTIONS,
    python: str | None = PYTHON,
    seed: int = SEED,
) -> None:
    """Answer problems yourself; see the verdict."""
    from simko.envs.spoken import take_turn

    options = _options(columns, env_options, python)
    env = _make(id, data, level, split, attempts=attempts, source_options=options)
    how = "One line an answer" if env.single_turn else "It may answer back: one line a turn, until the verdict"
    typer.echo(f"{id}, graded by '{env.verifier_name}'. {how}; Ctrl-D ends.")
    solved = played = 0
    while True:
        chosen = _pick(env, seed + played, None)
        typer.echo("\n" + indent(env.describe(chosen)["text"]))
        episode = env.begin(chosen)
        while not episode.done:
            answer = ask("> ")
            if answer is None:
                typer.echo(f"\nsolved {solved} of {played}")
                return
            reply = take_turn(env, episode, answer)
            if reply:
                typer.echo(indent(reply.strip("\n")))
        verdict = env.grade(episode.text, chosen)
        cut = " (cut off by the token budget)" if episode.truncated else ""
        read = "" if verdict.extracted is None else f", read as {clean(verdict.extracted)!r}"
        typer.echo(f"{verdict.outcome}, reward {verdict.reward:g}{read}{cut}; gold: {clean(chosen.gold)}")
        solved, played = solved + verdict.correct, played + 1


def new(
    name: str = typer.Argument(metavar="NAME", help="a Python name, as in my_task"),
    single: bool = typer.Option(False, "--single", help="one file, ./NAME.py, and no package"),
) -> None:
    """Write an environment of your own to start from.

    An installable package in ./NAME: an environment, a verifier, tests.
    """
    path, env_id = scaffold.write_single(name) if single else scaffold.write_package(name)
    typer.echo(f"wrote {path}{'' if single else '/'}. Next:")
    steps = [] if single else [f"cd {path}", "pip install -e '.[test]'"]
    steps += [f"pytest {path}" if single else "pytest"]
    for line in [*steps, *(f"simko {verb} {env_id}" for verb in ("env check", "env play", "train --env"))]:
        typer.echo(f"    {line}")


def _make(
    id: str, data: str | None, level: int | None, split: str | None, tokenizer: str | None = None, **more: Any
) -> TokenEnv:
    """The environment. Without a split it is the training one, or evaluation if there is no training split."""
    reach(id)
    from simko.envs import make

    settings = {"data": data, "level": level, "tokenizer": tokenizer, **more}
    if split is not None:
        return make(id, split=split, **settings)
    try:
        return make(id, split="train", **settings)
    except UserError as error:
        if error.__cause__ is not None:  # a file or a network that fails, not a split that is missing
            raise
        try:
            return make(id, split="eval", **settings)
        except UserError:
            raise error from None


def _options(columns: str | None, env_options: str | None, python: str | None) -> dict[str, Any] | None:
    from simko.envs.foreign.options import read_options

    named = {} if columns is None else {"columns": columns}
    return read_options(env_options, python) | named or None


def _pick(env: TokenEnv, seed: int, task: str | None) -> Task:
    import numpy as np

    return env.source.get(task) if task is not None else env.source.draw(np.random.default_rng(seed))


def _span(levels: tuple[int, ...]) -> str:
    return f"{min(levels)}-{max(levels)}" if len(levels) > 1 else "".join(map(str, levels)) or "-"
