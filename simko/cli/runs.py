"""`train`, `eval`, `algorithms`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from simko.cli import complete, panels
from simko.cli.ending import tell_ending, tell_refused, tell_stopped
from simko.cli.flags import as_arguments, config_flags, extra_settings, flag
from simko.cli.launch import HELP, launch, one_device, read_devices
from simko.cli.modules import reach, reach_of
from simko.cli.output import print_json, terminal
from simko.cli.recipes import RECIPE_FLAG, settings_file
from simko.config import UNSTORED, EvalConfig, TrainConfig, as_dict, read_yaml, write_yaml
from simko.console import clean, note, table
from simko.errors import UserError, nearest
from simko.ranks import PeerError
from simko.recipes import split_about
from simko.run.signals import Stopped, StopSignals

if TYPE_CHECKING:
    from simko.run.folder import RunFolder

TRAIN_EPILOG = (
    "Without any flag: the built-in tiny policy on Countdown. Defaults stand in brackets; `tiny` has some of its own, which "
    "--dry-run shows. A YAML file of --config has the same names, with _ for -."
)
JSON_FLAG = typer.Option(False, "--json", help="print one JSON object")
CONFIG_FLAG = typer.Option(None, "--config", metavar="FILE", help="YAML file of settings; flags go over it")

DEVICES_FLAG = typer.Option(None, "--devices", metavar="LIST", help=HELP)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    takes_more = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=takes_more, epilog=TRAIN_EPILOG)(train)
    app.command("eval")(evaluate)
    app.command()(algorithms)


@config_flags(TrainConfig, panels=panels.TRAIN)
def train(
    context: typer.Context,
    flags: Mapping[str, Any],
    config: str | None = CONFIG_FLAG,
    recipe: str | None = RECIPE_FLAG,
    resume: str | None = typer.Option(
        None, "--resume", metavar="DIR", help="go on with a run from its newest checkpoint; with --steps N, to step N"
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="print the resolved configuration as YAML and stop"),
    devices: str | None = DEVICES_FLAG,
    as_json: bool = JSON_FLAG,
) -> None:
    """Train a 4-bit LoRA policy on an environment."""
    config = settings_file(recipe, config=config, resume=resume)
    typed = {**flags, **extra_settings(context.args)}
    places = read_devices(devices, typed)
    typed |= one_device(places)
    overrides = overrides_of(config, typed)
    if dry_run or len(places) > 1:  # before ranks are started, a mistake is told once
        _, resolved = _asked(config, resume, overrides)
    if dry_run:
        print_json(as_dict(resolved)) if as_json else typer.echo(write_yaml(resolved), nl=False)
        return
    if len(places) > 1:
        raise typer.Exit(launch(places, _again(context, typed, config=config, resume=resume, json=as_json)))
    from simko.ranks.start import started

    try:
        with started() as world, nullcontext() if world.alone else StopSignals():
            facts = _train(lambda: _asked(config, resume, overrides), as_json)
    except Stopped as stopped:
        raise typer.Exit(stopped.code) from stopped
    if world.main and as_json:
        print_json(facts)


def _asked(
    config: str | None, resume: str | None, overrides: Mapping[str, Any]
) -> tuple[RunFolder | None, TrainConfig]:
    """The run to go on with, or None; and the settings."""
    if resume is None:
        return None, resolved_config(config, overrides)
    from simko.run.folder import RunFolder
    from simko.run.resume import resumed_config

    run = RunFolder.open(resume)
    return run, resumed_config(run, overrides)


def _train(ask: Callable[[], tuple[RunFolder | None, TrainConfig]], as_json: bool) -> Mapping[str, Any]:
    """Train as one rank, or alone; returns the facts of the run."""
    from simko.run.faults import NothingLearnedError
    from simko.run.follower import joined
    from simko.train import train as start

    run, resolved = joined(ask)
    reach(resolved.env, None if run is None else run.manifest().get("env_folder"))
    path = Path(resolved.out) if run is None else run.path
    console = terminal(stderr=as_json)
    try:
        done = start(resolved, resume=run, console=console)
    except Stopped as stopped:
        tell_stopped(console, path, resolved)
        note(f"stopped by {stopped}; go on with: simko train --resume {path}")
        raise
    except NothingLearnedError:
        tell_stopped(console, path, resolved) if (path / "metrics.jsonl").is_file() else tell_refused(console, resolved)
        raise
    except PeerError as error:
        if error.told:
            raise
        mend = f"see what it said, then go on with: simko train --resume {path}"
        raise PeerError(f"{error}; {mend} (the number of processes may be another)", told=False) from error
    except BrokenPipeError:
        with suppress(OSError):
            note(f"nobody reads the output any more; go on with: simko train --resume {path}")
        raise
    return tell_ending(console, done.path, resolved)


def resolved_config(config: str | None, overrides: Mapping[str, Any]) -> TrainConfig:
    """The settings of a new run. A mistake that the file `config` makes by itself is told with the name of the file.

    Raises:
        UserError: an unknown key, a wrong type, a value out of bounds.
    """
    from simko.settings import train_config

    try:
        return train_config(overrides)
    except UserError as error:
        if config is not None:
            _refuse_file(config, str(error), lambda: train_config(overrides_of(config, {})))
        raise


def _refuse_file(config: str, mistake: str, read: Callable[[], object]) -> None:
    """Raise the mistake with the file's name if reading the file alone makes it, too."""
    try:
        read()
    except UserError as error:
        if str(error) == mistake:
            raise UserError(f"config {config}: {mistake.removeprefix('config: ')}") from error


def _read(config: str | None) -> dict[str, Any]:
    _, content = split_about(read_yaml(config), config) if config else (None, {})
    if typed := next((name for name in UNSTORED if name in content), None):
        raise UserError(f"config {config}: {typed} is taken from no file; give --{typed.replace('_', '-')} yourself")
    return content


def overrides_of(config: str | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a YAML file, flat, with those of the command line over them."""
    content = _read(config)
    method = content.pop("method", None) or {}
    if not isinstance(method, Mapping):
        raise UserError(f"config {config}: method is {method!r}; it must be a mapping of the method's settings")
    for key in method:
        if key in content:
            raise UserError(f"config {config}: {key} stands alone and under method, too; keep one of the two")
    content = {**method, **content}
    before = str(content.get("algorithm", TrainConfig().algorithm))
    after = str(flags.get("algorithm", before))
    if after != before:
        from simko import algorithms

        old, new = (algorithms.settings(name, content) for name in (before, after))
        foreign = sorted(set(content) & set(old) - set(new))
        parts = sorted(set(content) & set(algorithms.KINDS) - set(flags))
        content = {key: value for key, value in content.items() if key not in (*foreign, *parts)}
        lacks = [f"{after} has no {', '.join(foreign)}"] if foreign else []
        lacks += [f"its {part} is a part of {before}" for part in parts]
        if lacks:
            note(f"{config} is for {before}; {', and '.join(lacks)}: left out")
    return {**content, **flags}


@config_flags(EvalConfig, skip=("target",), panels=panels.EVAL)
def evaluate(
    context: typer.Context,
    flags: Mapping[str, Any],
    target: str = typer.Argument(metavar="RUN_OR_MODEL", help="run folder, Hub id, local model folder, or 'tiny'"),
    config: str | None = CONFIG_FLAG,
    probing: bool = typer.Option(
        False, "--probe", help="ask instead whether the model has read the problems: it continues a part of each"
    ),
    devices: str | None = DEVICES_FLAG,
    as_json: bool = JSON_FLAG,
) -> None:
    """Measure pass@K on held-out problems.

    Majority@K and the base model's curve stand beside it. A run's own settings hold where no flag is given.
    """
    places = read_devices(devices, flags)
    flags = {**flags, **one_device(places)}
    content = _read(config)
    names = [f.name for f in fields(EvalConfig)]
    if str(content.get("target") or target) != target:
        raise UserError(
            f"config {config}: target is {content['target']}, and the command names {target}; leave one out"
        )
    for key in content:
        if key not in names:
            raise UserError(f"config {config}: unknown key '{key}'{nearest(key, names)}")
    try:
        settings = EvalConfig(**{**content, **flags, "target": target})
    except UserError as error:
        if config is not None:
            _refuse_file(config, str(error), lambda: EvalConfig(**{**content, "target": target}))
        raise
    if len(places) > 1:
        arguments = _again(context, flags, config=config, probe=probing, json=as_json)
        raise typer.Exit(launch(places, [*arguments, "--", target]))
    reach_of(settings.env, settings.target)
    if probing:
        from simko.probe import probe as measure
    else:
        from simko.evaluate import evaluate as measure
    from simko.ranks.start import started

    with started() as world, nullcontext() if world.alone else StopSignals():
        if probing and not world.alone:
            raise UserError("eval: --probe runs in one process; start it without torchrun")
        console = terminal(stderr=as_json)
        console.quiet = not world.main
        result = measure(settings, console=console)
    if as_json and world.main:
        print_json(result)


def _again(context: typer.Context, flags: Mapping[str, Any], **options: str | bool | None) -> list[str]:
    """The command as it was typed, for the ranks."""
    options |= {"debug": context.find_root().params["debug"]}
    typed = {name: value for name, value in options.items() if value}
    return [context.info_name or "", *as_arguments({**flags, **typed})]


def algorithms(
    name: str | None = typer.Argument(
        None, metavar="[NAME]", help="show the parts and settings of this one", autocompletion=complete.methods
    ),
    as_json: bool = JSON_FLAG,
) -> None:
    """List the training methods, or show one with its settings.

    A name may have a preset, as simko:logic, or a module of your own, as my_methods:mine.
    """
    from simko import algorithms as methods

    if name is None:
        every = methods.describe()
        lines = table(["method", "what it is"], [[entry["name"], entry["title"]] for entry in every])
        print_json(every) if as_json else typer.echo(lines)
        return
    about = methods.description(name)
    if as_json:
        print_json(about)
        return
    typer.echo(clean(about["title"]))
    inert = ", ".join(map(flag, about["inert"]))
    shown = {
        "source": about["source"],
        "evidence": about["evidence"],
        "when": about["when"],
        "parts": ", ".join(f"{kind} {part}" for kind, part in about["parts"].items()),
        "needs": ", ".join(about["needs"]),
        "presets": ", ".join(about["presets"]),
        "no effect": f"{inert} (with one update a batch)" if inert else "",
    }
    settings = {flag(key): f"{of['help']} [{of['default']}]" for key, of in methods.settings(name).items()}
    rows = [[f"  {key}", value] for key, value in [*shown.items(), *settings.items()] if value]
    typer.echo(table(rows[0], rows[1:]))
