"""`sample`, `chat`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from simko.cli import panels
from simko.cli.flags import config_flags
from simko.cli.modules import reach_of
from simko.cli.output import ask, indent, print_json
from simko.config import EvalConfig, TrainConfig
from simko.console import clean, note
from simko.errors import UserError

if TYPE_CHECKING:
    from simko.run.target import Target
    from simko.types import Completion, Group

TARGET = typer.Argument(metavar="RUN_OR_MODEL", help="run folder, Hub id, local model folder, or 'tiny'")
CHAT_TOKENS = 512


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(sample)
    app.command()(chat)


@config_flags(
    EvalConfig,
    skip=("target", "n", "problems", "part", "problem_seed", "base", "out", "samples", "allow_overlap"),
    panels=panels.EVAL,
)
def sample(
    flags: Mapping[str, Any],
    target: str = TARGET,
    n: int = typer.Option(4, "-n", "--n", metavar="N", help="answers a problem [4]", show_default=False),
    problems: int = typer.Option(3, "--problems", metavar="N", help="problems [3]", show_default=False),
    split: str = typer.Option(
        "eval", "--split", metavar="train|eval", help="which problems [eval]", show_default=False
    ),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
) -> None:
    """Print a few answers and their verdicts.

    A run's own settings hold unless a flag is given.
    """
    config = EvalConfig(**{"target": target, "n": n, "problems": problems, **flags})
    source = find(config)
    from simko.build import make_env, make_policy
    from simko.rollout import rollout
    from simko.run.target import sampling_settings

    sampling = sampling_settings(config, source.settings)
    policy = make_policy(source.settings, source.adapter)
    env = make_env(source.settings, policy, split, source.run.prompt_date() if source.run else None)
    tasks = env.source.tasks(problems, config.seed)
    groups = rollout(policy.engine, env, tasks, n, sampling, seed=config.seed)
    if as_json:
        print_json([_row(group, c) for group in groups for c in group.completions])
        return
    for group in groups:
        typer.echo(f"task {clean(group.task.id)}, gold: {clean(group.task.gold)}")
        typer.echo(indent(env.describe(group.task)["text"], "  | "))
        for c in group.completions:
            typer.echo(f"  {c.verdict.outcome}{', cut off' if c.finish == 'length' else ''}\n{indent(c.text)}")
        typer.echo("")
    right = [sum(c.verdict.correct for c in group.completions) for group in groups]
    typer.echo(
        f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}: "
        f"{sum(right)} of {n * len(groups)} answers correct, "
        f"{sum(map(bool, right))} of {len(groups)} problems solved"
    )


def _row(group: Group, completion: Completion) -> dict[str, Any]:
    task, verdict = group.task, completion.verdict
    return {
        "task": task.id,
        "problem": task.problem,
        **({} if task.system is None else {"system": task.system}),
        "gold": task.gold,
        "text": completion.text,
        "finish": completion.finish,
        "outcome": verdict.outcome,
        "reward": verdict.reward,
        "extracted": verdict.extracted,
        **({"parts": dict(verdict.parts)} if verdict.parts else {}),
    }


@config_flags(
    EvalConfig,
    only=(
        "model",
        "quantization",
        "adapter",
        "best",
        "device",
        "threads",
        "seed",
        "temperature",
        "top_p",
        "template",
    ),
    panels=panels.EVAL,
)
def chat(
    flags: Mapping[str, Any],
    target: str = TARGET,
    max_new_tokens: str | None = typer.Option(
        None, "--max-new-tokens", metavar="N", help=f"token budget of an answer [{CHAT_TOKENS}]", show_default=False
    ),
) -> None:
    """Talk to a model or a run.

    `/new` starts over; Ctrl-D ends.
    """
    config = EvalConfig(**{"target": target, "n": 1, "max_new_tokens": max_new_tokens, **flags})
    source = find(config, any_model=True)
    from simko.build import make_policy
    from simko.envs import PromptFormat
    from simko.run.target import sampling_settings

    policy = make_policy(source.settings, source.adapter)
    date = source.run.prompt_date() if source.run else None
    words = PromptFormat(policy.tokenizer, source.settings.template, stop_ids=policy.eos_ids, date=date)
    budget = config.max_new_tokens or CHAT_TOKENS
    sampling = sampling_settings(config, source.settings)
    sampling = replace(sampling, max_new_tokens=budget, stop_ids=tuple(sorted(words.stop_ids)))
    room = policy.context
    ids: list[int] = []
    closed, turn = True, 0
    typer.echo(
        f"{target}, temperature {sampling.temperature:g}, top-p {sampling.top_p:g}. /new starts over; Ctrl-D ends."
    )
    while (message := ask("you> ")) is not None:
        if message.strip() == "/new":
            ids = []
            continue
        if not message.strip():
            continue
        ids = ids + words.reply_ids(message, closed) if ids else words.prompt_ids(message)
        first = words.prompt_ids(message)
        if room and len(ids) + budget > room and len(ids) > len(first):
            note(f"the talk fills the model's {room} tokens; starting over")
            ids = first
        if room and len(ids) >= room:
            note(f"the message fills the model's {room} tokens; write a shorter one")
            ids = []
            continue
        left = budget if room is None else min(budget, room - len(ids))
        ((answer,),) = policy.engine.generate([ids], 1, sampling, [(config.seed << 32) + turn], [left])
        ids, closed, turn = ids + answer.ids.tolist(), answer.finish == "stop", turn + 1
        text = policy.tokenizer.decode(answer.ids.tolist(), skip_special_tokens=True)
        typer.echo(clean(text.strip()) + ("" if closed else " [...]"))
    typer.echo("")


def find(config: EvalConfig, any_model: bool = False) -> Target:
    """The run or model that `config.target` names. With `any_model` a model needs no environment.

    Raises:
        UserError: no such run or model.
    """
    from simko.run.folder import RunFolder
    from simko.run.target import resolve

    is_run = RunFolder.is_run(config.target)
    reach_of(config.env, config.target)
    if any_model and not is_run:
        config = replace(config, env=TrainConfig().env)
    try:
        return resolve(config)
    except UserError as error:
        raise UserError(str(error).removeprefix("eval: ")) from error
