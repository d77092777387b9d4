"""Command lines of the pages, read by the real command line, and settings in YAML, read by the real config. Nothing is run."""

from __future__ import annotations

from functools import cache
from itertools import dropwhile
from pathlib import Path
from typing import Any

import typer
import yaml

from simko import algorithms
from simko.cli.commands import app
from simko.cli.flags import extra_settings, flag
from simko.cli.runs import overrides_of
from simko.compare.study import read_study
from simko.config import EvalConfig, TrainConfig, names
from simko.settings import train_config


def parsed(words: list[str]) -> None:
    """Read a command as `simko` would. Raises `AssertionError`, or click's error, for what it would refuse."""
    command, rest = _command(words)
    assert not hasattr(command, "commands"), f"simko {' '.join(words)}: which command?"
    asked = [word for word in rest if word not in ("--help", "-h")]
    if asked != rest and not asked:
        return
    with command.make_context(command.name, list(asked)) as context:
        more = context.args if context.ignore_unknown_options else []
        if command.name in ("compare", "sweep"):  # folders and files stand in front
            more = list(dropwhile(lambda word: not word.startswith("--"), more))
        unknown = [flag(name) for name in extra_settings(more) if flag(name) not in _settings()]
        method = str(context.params.get("algorithm") or "").partition(":")[0]
        assert unknown == [] or method not in ("", *algorithms.names()), f"simko {' '.join(words)}"


def flags_of(words: list[str]) -> set[str]:
    """All flags that the command in `words` takes, settings of a method among them where it does."""
    command, _ = _command(words)
    own = {name for option in command.params for name in [*option.opts, *option.secondary_opts]}
    return own | (_settings() if command.context_settings.get("ignore_unknown_options") else set())


def check_settings(content: str, folder: Path) -> None:
    """Load a YAML block: a study by its reader, with each arm's settings; settings of `train` or `eval` by theirs."""
    loaded = yaml.safe_load(content)
    if not isinstance(loaded, dict):
        return
    file = folder / "block.yaml"
    file.write_text(content, encoding="utf-8")
    if "arms" in loaded or "common" in loaded:
        study = read_study(str(file))
        for name, arm in study.arms.items():
            first = {key: values[0] for key, values in study.grids.get(name, {}).items()}
            train_config({**study.common, **arm, **first})
    elif set(loaded) <= {*names(EvalConfig)} and not set(loaded) <= {*names(TrainConfig)}:
        EvalConfig(**{"target": "tiny", **loaded})
    elif set(loaded) & {*names(TrainConfig), *algorithms.schema()}:
        train_config(overrides_of(str(file), {}))


def _command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that `words` name, and the words behind its name."""
    command: Any = _whole()
    rest = list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return command, rest


@cache
def _whole() -> Any:
    """The command line as click has it."""
    return typer.main.get_command(app)


@cache
def _settings() -> set[str]:
    """Settings of all methods, the kinds of their parts, and settings of a run, as flags."""
    of_methods = {name for method in algorithms.names() for name in algorithms.settings(method)}
    return {flag(name) for name in [*of_methods, *algorithms.KINDS, *names(TrainConfig)]}
