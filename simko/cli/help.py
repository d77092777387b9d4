"""The pages of --help: plain sections under headings, and examples that can be copied.

They have no boxes and no colours, so they are the same in 80 columns, in a pipe and in a mail.
"""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

import simko
from simko.cli.examples import examples_of
from simko.cli.panels import COMMANDS, NOTES

_ARGUMENTS, _OTHERS = "Arguments", "Options"
_UNSAFE = re.compile(r"[^\w\s.,;/=%@+-]")
_BEGIN = [
    ("simko doctor", "Does this machine have what training needs?"),
    ("simko train", "Train the built-in tiny policy on number puzzles."),
    ("simko report RUN", "See what the run did. `simko train` ends with its name."),
]
_HELP = [
    ("simko COMMAND --help", "Examples and flags of a command."),
    ("simko --install-completion", "The TAB key completes commands, flags, runs."),
    ("docs/start.md", "In the source: the first page to read."),
]


class Command(TyperCommand):
    """A command whose options stand under the headings of their `rich_help_panel`, with examples above them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write examples, arguments, and a section for each panel in the order of the options; others come last."""
        write_examples(ctx, formatter)
        rows: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if (row := param.get_help_record(ctx)) is not None:
                is_argument = param.param_type_name == "argument"
                panel = _ARGUMENTS if is_argument else getattr(param, "rich_help_panel", None) or _OTHERS
                rows.setdefault(panel, []).append(row)
        others = rows.pop(_OTHERS, [])
        grouped = bool(rows.keys() - {_ARGUMENTS})
        for panel, of_panel in [*rows.items(), ("Other options" if grouped else _OTHERS, others)]:
            if not of_panel:
                continue
            with formatter.section(panel):
                formatter.write_dl(of_panel)
                if panel in NOTES:
                    formatter.write_text(NOTES[panel])

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete flags with their help as a shell can show it: zsh would run what stands between backticks."""
        items = super().shell_complete(ctx, incomplete)
        for item in items:
            if item.help:
                item.help = _UNSAFE.sub("", item.help)
        return items


class Group(TyperGroup):
    """A group whose commands stand under the headings of their `rich_help_panel`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write examples and commands, then the options: those are few, and seldom wanted."""
        write_examples(ctx, formatter)
        self.format_commands(ctx, formatter)
        rows = [row for param in self.get_params(ctx) if (row := param.get_help_record(ctx)) is not None]
        with formatter.section(_OTHERS):
            formatter.write_dl(rows)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each panel, each command with its first sentence, which is not cut."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None) or "Commands"
                panels.setdefault(panel, []).append((name, command.get_short_help_str(limit=200)))
        width = max(len(name) for rows in panels.values() for name, _ in rows)
        order = [*COMMANDS, *panels]
        for panel in sorted(panels, key=order.index):
            with formatter.section(panel):
                formatter.write_dl([(name.ljust(width), line) for name, line in panels[panel]])


def first_screen(ctx: Any) -> str:
    """What `simko` alone says to somebody who has never seen it."""
    formatter = ctx.make_formatter()
    formatter.write(f"simko {simko.__version__}\n\n")
    formatter.write_text(ctx.command.help)
    for heading, rows in (("Begin with", _BEGIN), ("", ()), ("Help", _HELP)):
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)
        else:
            ctx.command.format_commands(ctx, formatter)
    return str(formatter.getvalue()).rstrip("\n")


def write_examples(ctx: Any, formatter: Any) -> None:
    """Write the examples of a command: a reason as a comment, then the line as it is typed, whole."""
    if not (examples := examples_of(ctx.command_path)):
        return
    with formatter.section("Examples"):
        for example in examples:
            formatter.write(f"{'':>{formatter.current_indent}}# {example.why}\n")
            formatter.write(f"{'':>{formatter.current_indent}}{example.line}\n")


def dress(app: typer.Typer) -> None:
    """Give a group and all below it these pages, and its commands the panels of `COMMANDS`."""
    app.info.cls = Group
    panel_of = {name: panel for panel, names in COMMANDS.items() for name in names}
    for command in app.registered_commands:
        command.cls = Command
        if command.callback is not None:
            command.rich_help_panel = panel_of.get(command.name or command.callback.__name__)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            dress(group.typer_instance)
            group.cls = Group
            group.rich_help_panel = panel_of.get(group.name or "")
