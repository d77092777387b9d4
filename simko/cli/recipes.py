"""`recipes`: settings that come with simko, and the flag `--recipe` of the commands that take a file of settings."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from simko.cli.output import print_json
from simko.console import clean
from simko.errors import UserError
from simko.files import write_atomically
from simko.recipes import About, Recipe, names, path_of, recipe

RECIPE_FLAG = typer.Option(
    None, "--recipe", metavar="NAME", help="settings that come with simko: see `simko recipes`; flags go over them"
)
_WIDTH = 80


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(recipes)


def recipes(
    name: str | None = typer.Argument(None, metavar="[NAME]", help="print the file of this one"),
    out: str | None = typer.Option(None, "--out", "-o", metavar="FILE", help="write the file here, to change it"),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
) -> None:
    """List the recipes that come with simko, or print one.

    A recipe is a file of settings, with what it gives, how long it takes and how much memory.
    """
    if out is not None:
        _copy(name, Path(out).expanduser())
    elif name is not None:
        chosen = recipe(name)
        print_json(_object(chosen)) if as_json else typer.echo(chosen.path.read_text(encoding="utf-8"), nl=False)
    else:
        every = [recipe(each) for each in names()]
        print_json([_object(each) for each in every]) if as_json else typer.echo("\n\n".join(map(_entry, every)))


def _copy(name: str | None, path: Path) -> None:
    """Write the file of a recipe to `path`. Raises `UserError` rather than write over a file."""
    if name is None:
        raise UserError("recipes: --out writes one recipe; name it, as in `simko recipes countdown --out mine.yaml`")
    text = path_of(name).read_text(encoding="utf-8")
    if path.exists():
        raise UserError(f"recipes: {path} is there already; name another file")
    try:
        write_atomically(path, text)
    except OSError as error:
        raise UserError(f"recipes: {path} cannot be written ({error.strerror}); name another file") from error
    typer.echo(f"{path}: change it, then simko train --config {path}")


def settings_file(name: str | None, **others: str | None) -> str | None:
    """The file of settings: that of the recipe `name`, or the one of the flag --config.

    `others` are the values of the flags that leave no room for a recipe.

    Raises:
        UserError: there is no such recipe, or another flag names settings, too.
    """
    if name is None:
        return others.get("config")
    path = path_of(name)
    if given := next((flag for flag, value in others.items() if value is not None), None):
        raise UserError(
            f"--recipe {name} stands beside --{given} {others[given]}, and both name settings; leave one out"
        )
    return str(path)


def command_of(name: str) -> str:
    """What starts a recipe."""
    return f"simko train --recipe {name}"


def measured(about: About) -> str:
    """Whether the numbers of a recipe were measured, where and when."""
    return f"{'measured' if about.measured else 'forecast'}, {about.when}: {about.where}"


def _object(chosen: Recipe) -> Mapping[str, Any]:
    return {
        "name": chosen.name,
        "command": command_of(chosen.name),
        "file": str(chosen.path),
        "about": asdict(chosen.about),
        "settings": dict(chosen.settings),
    }


def _entry(chosen: Recipe) -> str:
    """A recipe in the list."""
    about = chosen.about
    rows = {
        "gives": about.gives,
        "takes": f"{about.time}; {about.memory} ({measured(about)})",
        "needs": about.needs,
        "start": command_of(chosen.name),
    }
    lines = [textwrap.fill(f"{chosen.name}: {clean(about.title)}", _WIDTH)]
    for key, text in rows.items():
        lead = f"  {key:7}"
        lines.append(textwrap.fill(clean(text), _WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead)))
    return "\n".join(lines)
