"""Values that a shell completes: environments, methods, recipes, run folders. Nothing here loads torch: a person waits for it.

Where a function knows nothing that fits, the shell completes names of files, as it does by itself.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path

import typer

Values = Callable[[str], list[str]]

_MOST = 200
_PACKAGE = resources.files("simko")
_PLAIN = re.compile(r"(?![-~=%])[\w./~@%+=,-]+")
"""A name that no shell expands or splits."""
_METHOD = re.compile(r'^method\(\s*"([\w-]+)"', re.MULTILINE)


def attach(app: typer.Typer) -> None:
    """Give each parameter of each command what completes its value: a choice in its metavar, or what its name stands for.

    Only a shell's TAB needs this: for typer to take the functions in would slow every command down.
    """
    for group in app.registered_groups:
        if group.typer_instance is not None:
            attach(group.typer_instance)
    for callback in filter(None, (command.callback for command in app.registered_commands)):
        for name, parameter in inspect.signature(callback).parameters.items():
            info = parameter.default
            if isinstance(info, typer.models.ParameterInfo) and info.autocompletion is None:
                metavar = info.metavar or ""
                info.autocompletion = one_of(*metavar.split("|")) if "|" in metavar else completer_of(name)


def completer_of(name: str) -> Values | None:
    """What completes the value of a parameter of this name; None: the shell's own names of files."""
    return _BY_NAME.get(name)


def one_of(*choices: str) -> Values:
    """A completion of one of `choices`."""

    def values(incomplete: str) -> list[str]:
        return _fitting(choices, incomplete)

    return values


def run_folders(incomplete: str) -> list[str]:
    """Run folders, and folders of comparisons, under runs/ and beside what was typed.

    A folder that somebody else named may hold what a shell would run: such a name is left to the shell, which quotes it.
    """
    typed = Path(incomplete if incomplete.endswith("/") else Path(incomplete).parent)
    found = [f"{folder}/" if _is_study(folder) else str(folder) for folder in _folders(Path("runs"), typed)]
    return _fitting(filter(_PLAIN.fullmatch, found), incomplete)


def env_ids(incomplete: str) -> list[str]:
    """Ids of registered environments."""
    from simko.envs import specs

    return _fitting((info.id for info in specs()), incomplete)


def methods(incomplete: str) -> list[str]:
    """Names of bundled methods, read from the source of their files: to import them would load torch."""
    files = (file for file in _PACKAGE.joinpath("algorithms").iterdir() if file.name.endswith(".py"))
    names = (name for file in files for name in _METHOD.findall(file.read_text(encoding="utf-8")))
    return _fitting(sorted(names), incomplete)


def method_lists(incomplete: str) -> list[str]:
    """Names with commas between: the last one is completed."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in methods(last)]


def verifiers(incomplete: str) -> list[str]:
    """Names of bundled verifiers."""
    from simko.envs.verifiers import verifier_names

    return _fitting(verifier_names(), incomplete)


def templates(incomplete: str) -> list[str]:
    """Names of prompt templates."""
    from simko.envs.templates import NAMED

    return _fitting(("chat", "plain", *NAMED), incomplete)


def recipes(incomplete: str) -> list[str]:
    """Names of recipes."""
    from simko.recipes import names

    return _fitting(names(), incomplete)


def _fitting(values: Iterable[str], incomplete: str) -> list[str]:
    return [value for value in values if value.startswith(incomplete)][:_MOST]


def _folders(*places: Path) -> list[Path]:
    """Folders in `places` that hold a run or a comparison, each once."""
    found: dict[Path, None] = {}
    for place in places:
        try:
            inside = sorted(place.iterdir())[: 10 * _MOST]
        except OSError:
            continue
        found |= dict.fromkeys(folder for folder in inside if _is_run(folder) or _is_study(folder))
    return list(found)


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file()


def _is_study(folder: Path) -> bool:
    return (folder / "plan.yaml").is_file()


_BY_NAME: dict[str, Values] = {
    "algorithm": methods,
    "algorithms": method_lists,
    "env": env_ids,
    "id": env_ids,
    "ids": env_ids,
    "recipe": recipes,
    "paths": run_folders,
    "resume": run_folders,
    "run": run_folders,
    "target": run_folders,
    "model": one_of("tiny"),
    "template": templates,
    "verifier": verifiers,
}
