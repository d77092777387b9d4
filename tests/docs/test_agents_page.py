"""What docs/agents.md says of all commands is so. Its blocks are run by tests/docs/test_blocks.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "agents.md").read_text(encoding="utf-8")


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(name, command) of each command that does something, as `env check`."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
    for word, child in (inner or {}).items():
        yield from commands(child, f"{name} {word}".strip())


def test_the_commands_without_json_are_named() -> None:
    from simko.cli.commands import app

    found = dict(commands(typer.main.get_command(app)))
    without = {name for name, command in found.items() if "--json" not in {o for p in command.params for o in p.opts}}
    [sentence] = re.findall(r"Every command has it but ([^;.]*)", PAGE)
    assert set(re.findall(r"`([^`]+)`", sentence)) == without


def test_there_are_ten_facts() -> None:
    facts = PAGE[PAGE.index("## Ten facts") : PAGE.index("## Check an environment")]
    assert re.findall(r"^(\d+)\. \*\*", facts, re.MULTILINE) == [str(number) for number in range(1, 11)]
