"""Recipes: complete settings of runs, each beside what it gives, how long it takes and how much memory. No torch.

A recipe is a file `NAME.yaml` in this folder, for `simko train --recipe NAME`. Its mapping `about` says the rest, and decides
nothing. Any file of settings may have one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from simko.config import read_yaml
from simko.errors import UserError, nearest
from simko.fields import checked, setting

__all__ = ["About", "Recipe", "names", "path_of", "recipe", "split_about"]

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class About:
    """What a file of settings says of itself. It is text for people, but for `measured`.

    Raises:
        UserError: a value of another type.
    """

    title: str = setting("", "what is trained on what, by which method")
    gives: str = setting("", "what comes out; for a forecast, that nobody has run it")
    time: str = setting("", "how long it takes, with its last evaluation")
    memory: str = setting("", "peak of the memory: of the process on a CPU, of the card on a GPU")
    measured: bool = setting(False, "whether somebody ran it, or time and memory are a forecast")
    where: str = setting("", "the machine of the measurement, or the card that the forecast is for")
    when: str = setting("", "the day of the measurement or of the forecast")
    command: str = setting("", "what prints the numbers above")
    needs: str = setting("", "what it needs besides simko: extras, data, a GPU")

    def __post_init__(self) -> None:
        for name, value in checked(type(self), vars(self), "about").items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Recipe:
    """A recipe: its name, its file, what it says of itself, and its settings as they stand in the file."""

    name: str
    path: Path
    about: About
    settings: Mapping[str, Any]


def names() -> list[str]:
    """Names of the recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def path_of(name: str) -> Path:
    """The file of a recipe; raises `UserError` with the nearest name if there is none."""
    every = names()
    if name not in every:
        others = nearest(name, every) or f"; take one of {', '.join(every)}"
        raise UserError(f"recipe '{name}': there is no such recipe{others}")
    return FOLDER / f"{name}.yaml"


def recipe(name: str) -> Recipe:
    """A recipe by its name. Raises `UserError`."""
    path = path_of(name)
    about, settings = split_about(read_yaml(path), path)
    return Recipe(name, path, about or About(), settings)


def split_about(content: Mapping[str, Any], path: str | Path) -> tuple[About | None, dict[str, Any]]:
    """What the content of a file says of itself, None if it says nothing; and its settings.

    Raises:
        UserError: `about` is no mapping, has an unknown key, or a value of another type.
    """
    settings = dict(content)
    given = settings.pop("about", None)
    if given is None:
        return None, settings
    if not isinstance(given, Mapping):
        raise UserError(f"config {path}: about is {given!r}; it must be a mapping, as title: ...")
    texts = {str(key): value.isoformat() if isinstance(value, date) else value for key, value in given.items()}
    return About(**checked(About, texts, f"config {path}: about")), settings
