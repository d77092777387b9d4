"""The pages of --help: panels in the order of a person's decisions, examples that work, lines of a plain terminal."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from simko.cli import run
from simko.cli.commands import app
from simko.cli.compare import _places
from simko.cli.examples import commands, examples_of
from simko.cli.flags import extra_settings
from simko.cli.panels import COMMANDS, COMPARE, EVAL, EXPERT, PLAN, TRAIN, panel_of
from simko.compare.study import Sizes
from simko.config import EvalConfig, TrainConfig
from simko.settings import train_config

pytestmark = pytest.mark.usefixtures("default_signals")

ROOT: Any = typer.main.get_command(app)
# Examples that a test runs as they are: none of them needs a run, a network, or more than a second or two.
QUICK = (
    "simko train --algorithm grpo --dry-run",
    "simko algorithms",
    "simko algorithms simko",
    "simko plan --table",
    "simko compare --algorithms grpo,simko --seeds 5 --out comparison --dry-run",
    "simko env list",
    "simko env show simko/Countdown-v0",
    "simko env show simko/Countdown-v0 --level 3 --seed 7",
    "simko env new my_task",
    "simko env new my_task --single",
    "simko verify explain 0.5 'so the answer is \\boxed{1/2}'",
)


def every_command(group: Any = ROOT, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Each command below a group, with its name as it is typed."""
    for name, command in group.commands.items():
        yield " ".join((*words, name)), command
        if hasattr(command, "commands"):
            yield from every_command(command, (*words, name))


COMMANDS_BY_NAME = dict(every_command())
LINES = sorted({example.line for name in commands() for example in examples_of(f"simko {name}")})


def options(name: str) -> list[Any]:
    """The options of a command, in the order of its help, without --help."""
    return [p for p in COMMANDS_BY_NAME[name].params if p.param_type_name == "option" and p.name != "help"]


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints, in 80 columns."""
    capsys.readouterr()
    assert run(arguments) == 0
    return capsys.readouterr().out


@cache
def page(name: str) -> str:
    """What `simko NAME --help` prints in 80 columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        command, context = ROOT, ROOT.make_context("simko", [], resilient_parsing=True)
        for word in name.split():
            command = command.commands[word]
            context = command.make_context(word, [], parent=context, resilient_parsing=True)
        return str(context.get_help())


# Panels


@pytest.mark.parametrize(("config", "panels"), [(TrainConfig, TRAIN), (EvalConfig, EVAL), (Sizes, COMPARE)])
def test_every_setting_has_a_place(config: type, panels: Any) -> None:
    unplaced = {entry.name for entry in fields(config) if panel_of(panels, entry.name) is None}
    assert unplaced <= {"method", "target"}


def test_no_setting_has_two_places() -> None:
    for panels in (TRAIN, EVAL, PLAN):
        names = [name for names in panels.values() for name in names]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["train", "eval", "plan", "compare", "sweep", "sample", "chat", "export"])
def test_flags_stand_under_headings(name: str) -> None:
    """Each flag of a long command stands below its heading, which is typer's own attribute."""
    panels = {option.opts[-1]: option.rich_help_panel for option in options(name)}
    assert None not in panels.values()
    heading, found = "", dict[str, str]()
    for line in page(name).splitlines():
        heading = line.removesuffix(":") if line.endswith(":") and not line.startswith(" ") else heading
        if match := re.match(r"  (?:-\w, )?(--[\w-]+)", line):
            found.setdefault(match[1], heading)
    assert {flag: found[flag] for flag in panels} == panels


def test_what_a_newcomer_needs_comes_first_and_experts_last() -> None:
    headings = re.findall(r"^(\S.*):$", page("train"), re.MULTILINE)
    assert headings[:6] == ["Examples", "Start", "Task", "Model", "Method", "Budget"]
    first_expert = next(i for i, heading in enumerate(headings) if heading.startswith(EXPERT))
    assert all(heading.startswith(EXPERT) for heading in headings[first_expert:-1])
    assert "`simko algorithms simko`" in " ".join(page("train").split())
    assert next(iter(PLAN)) == next(iter(TRAIN))
    assert re.findall(r"^(\S.*):$", page("plan"), re.MULTILINE)[1:4] == list(PLAN)[:3]


def test_short_commands_have_one_list() -> None:
    assert "\nOptions:\n  --gpus" in page("doctor")


# Pages


@pytest.mark.parametrize("name", ["", *COMMANDS_BY_NAME])
def test_a_page_is_plain_text_of_80_columns(name: str) -> None:
    assert page(name).isascii()
    assert "\x1b" not in page(name)
    assert max(map(len, page(name).splitlines())) <= 80


def test_the_first_screen_lists_all_commands_and_how_to_begin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    screen = shown(capsys)
    assert shown(capsys, "--help").rstrip("\n") == page("")
    for name, command in ROOT.commands.items():
        line = command.get_short_help_str(limit=200)
        assert re.search(rf"^  {name}  +\S", screen, re.MULTILINE)
        assert line in " ".join(screen.split())
        assert line in " ".join(page("").split())
        assert command.rich_help_panel in COMMANDS
        assert f"\n{command.rich_help_panel}:\n" in screen
    assert "\nBegin with:\n  simko doctor " in screen
    assert len(screen.splitlines()) < 48
    assert max(map(len, screen.splitlines())) <= 80
    begin = re.search(r"Begin with:\n(.*?)\n\n", screen, re.DOTALL)
    assert begin is not None
    assert re.findall(r"^  simko (\w+)", begin[1], re.MULTILINE) == ["doctor", "train", "report"]


# Examples


def test_every_command_has_examples_of_itself() -> None:
    assert set(commands()) <= set(COMMANDS_BY_NAME)
    for name in COMMANDS_BY_NAME:
        examples = examples_of(f"simko {name}")
        assert any(f"{example.line} ".startswith(f"simko {name} ") for example in examples), name
        assert all(f"  # {example.why}\n  {example.line}\n" in page(name) for example in examples)


@pytest.mark.parametrize("line", LINES)
def test_an_example_is_what_the_command_line_takes(line: str) -> None:
    """Down to the settings: a flag that no command declares is one of a method, or a mistake."""
    program, *words = shlex.split(line)
    assert program == "simko"
    command: Any = ROOT
    context: Any = None
    name = "simko"
    while hasattr(command, "commands"):
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
        name = words.pop(0)
        command = command.commands[name]
    context = command.make_context(name, words, parent=context, resilient_parsing=False)
    if name in ("train", "plan"):
        given = {option.name: context.params[option.name] for option in command.params if option.name in context.params}
        settings = {key: value for key, value in given.items() if key in TrainConfig.__dataclass_fields__}
        train_config({k: v for k, v in settings.items() if v is not None} | extra_settings(context.args))
    elif name in ("compare", "sweep"):
        assert _places(context.args)[1] == {}
    else:
        assert context.args == []


def test_quick_examples_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those on a run are run in tests/cli/test_cli.py, where there is one."""
    monkeypatch.chdir(tmp_path)
    assert set(QUICK) <= set(LINES)
    for line in QUICK:
        shutil.rmtree("my_task", ignore_errors=True)
        assert shown(capsys, *shlex.split(line)[1:]).strip(), line
