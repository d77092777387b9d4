"""The generated pages are what `python -m studies.pages` writes, and none is left over."""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

from simko.cli import run
from simko.cli.commands import app
from simko.compare.study import Sizes
from simko.config import UNSTORED, EvalConfig, TrainConfig
from studies.pages import __main__ as command
from studies.pages import cli, settings
from studies.pages.see_also import SEE_ALSO


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, str]]:
    """What each module writes, made once."""
    return {name: command.of_module(name) for name in command.MODULES}


@pytest.fixture(scope="module")
def texts(made: dict[str, dict[str, str]]) -> dict[str, str]:
    return {path: text for pages in made.values() for path, text in pages.items()}


@pytest.mark.parametrize("name", command.MODULES)
def test_the_pages_are_what_their_module_writes(name: str, made: dict[str, dict[str, str]]) -> None:
    assert made[name]
    differ = sorted(path for path in command.stale(made[name]) if path in made[name])
    assert differ == [], "run `python -m studies.pages`"


def test_no_two_modules_write_one_page(made: dict[str, dict[str, str]], texts: dict[str, str]) -> None:
    assert sum(map(len, made.values())) == len(texts)


def test_no_generated_page_is_left_over(texts: dict[str, str]) -> None:
    assert command.left_over(texts) == [], "run `python -m studies.pages`"


def test_each_page_says_that_it_is_written(texts: dict[str, str]) -> None:
    pages = {path: text for path, text in texts.items() if path.endswith(".md")}
    assert [path for path, text in pages.items() if text.splitlines()[1] != command.MARKER] == []
    long = [line for text in pages.values() for line in text.splitlines() if len(line) > 130 and line[0] != "|"]
    assert long == []


def test_a_page_that_differs_and_one_that_is_left_over_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.md").write_text("# Another\n")
    (tmp_path / "c.md").write_text(f"# C\n{command.MARKER}\n")
    (tmp_path / "mine.md").write_text("# Mine\n")
    texts = {"a.md": "# A\n", "deep/b.md": "# B\n"}
    assert command.stale(texts, tmp_path) == ["a.md", "c.md", "deep/b.md"]
    monkeypatch.setattr(command, "MODULES", ("first", "second"))
    made = {"first": lambda: texts, "second": lambda: {"index.txt": (tmp_path / "a.md").read_text()}}
    monkeypatch.setattr(command, "of_module", lambda name: made[name]())
    assert command.write_all(tmp_path) == ["a.md", "deep/b.md", "index.txt", "c.md"]
    assert (tmp_path / "index.txt").read_text() == "# A\n"  # a module reads what those before it have written
    assert command.stale(command.pages(), tmp_path) == []
    assert sorted(path.name for path in tmp_path.rglob("*.md")) == ["a.md", "b.md", "mine.md"]


def test_check_writes_nothing_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], texts: dict[str, str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pages", "--check"])
    monkeypatch.setattr(command, "pages", lambda: {**texts, "no_such.md": "# No\n"})
    assert command.main() == 1
    assert capsys.readouterr().out == "docs/no_such.md: not up to date; run `python -m studies.pages`\n"
    assert not (command.DOCS / "no_such.md").exists()
    monkeypatch.setattr(command, "pages", lambda: texts)
    assert command.main() == 0


def sections(text: str) -> dict[str, str]:
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands(group: Any, prefix: str) -> dict[str, Any]:
    found = {}
    for name, one in group.commands.items():
        if not one.hidden:
            found[f"{prefix} {name}"] = one
            found |= commands(one, f"{prefix} {name}") if hasattr(one, "commands") else {}
    return found


def test_every_command_and_each_of_its_flags_is_on_the_page(texts: dict[str, str]) -> None:
    found = commands(typer.main.get_command(app), "simko")
    parts = sections(texts["reference/cli.md"])
    assert sorted(name for name in parts if name not in ("Exit codes", "Commands", "simko")) == sorted(found)
    assert {f"simko {name}" for name in SEE_ALSO} == set(found)
    for name, one in found.items():
        lender = re.search(r"are those of \[`(simko \w+)`\]", parts[name])
        lent = flags(found[lender[1]]) if lender else {}
        missing = [flag for flag in flags(one) if f"`{flag}`" not in parts[name] and flag not in lent]
        assert missing == [], name


def flags(one: Any) -> dict[str, str]:
    """The long name of each flag of a command, with its help."""
    return {max(p.opts, key=len): p.help for p in one.params if p.param_type_name == "option" and not p.hidden}


def test_a_command_refers_only_to_flags_that_mean_the_same_there(texts: dict[str, str]) -> None:
    found = commands(typer.main.get_command(app), "simko")
    parts = sections(texts["reference/cli.md"])
    mine, theirs = flags(found["simko plan"]), flags(found["simko train"])
    assert "All other flags are those of [`simko train`](#simko-train)" in parts["simko plan"]
    assert "| `--table` |" in parts["simko plan"]
    assert "| `--memory` |" not in parts["simko plan"]
    hidden = [flag for flag in mine if f"| `{flag}`" not in parts["simko plan"]]
    assert len(hidden) > 50
    assert all(mine[flag] == theirs[flag] for flag in hidden)
    said = parts["simko plan"].partition("or stand above:")[2].partition(".\n")[0]
    assert set(re.findall(r"`(--[\w-]+)`", said)) == set(theirs) - set(hidden)


def test_exit_codes_are_those_of_the_command_line() -> None:
    codes = re.findall(r"^\| ([\d, ]+) \|", cli.exit_codes(), re.MULTILINE)
    assert ", ".join(codes) == "0, 1, 2, 130, 143, 129"


def test_every_setting_is_on_the_page_with_its_flag(texts: dict[str, str]) -> None:
    parts = sections(texts["reference/settings.md"])
    for heading, stage in (("Training", TrainConfig), ("Comparison", Sizes)):
        rows = re.findall(r"^\| `(\w+)`(?: `--[\w-]+`)? \|", parts[heading], re.MULTILINE)
        assert sorted(rows) == sorted(entry.name for entry in fields(stage)), heading
    assert all(f"`{entry.name}`" in parts["Evaluation"] for entry in fields(EvalConfig))
    assert "| `group_size` `--group-size` | whole number, at least 2 | `8` |" in parts["Training"]
    assert "or text with `{problem}` |" in parts["Training"]  # bare braces would be read as an attribute of the cell
    assert all(f"`{name}`" in parts["What a run folder stores"] for name in UNSTORED)


def test_the_example_of_the_settings_gives_one_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (yaml,) = re.findall(r"```yaml\n(.*?)```", settings.EXAMPLE, re.DOTALL)
    (tmp_path / "run.yaml").write_text(yaml)
    printed = []
    for line in re.findall(r"^simko (.*)$", settings.EXAMPLE.replace("\\\n", ""), re.MULTILINE):
        assert run(line.split()) == 0
        printed.append(capsys.readouterr().out)
    assert len(printed) == 2
    assert printed[0] == printed[1]
    assert "alpha: 0.3" in printed[0]
    (python,) = re.findall(r"```python\n(.*?)```", settings.EXAMPLE, re.DOTALL)
    exec(compile(python, "settings.md", "exec"), {})
