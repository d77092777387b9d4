"""docs/reference/settings.md: every setting of a stage, from the classes in which the settings are fields."""

from __future__ import annotations

import inspect
import typing
from dataclasses import fields, is_dataclass
from typing import Any

from simko import config
from simko.compare.study import RESERVED, Sizes
from simko.config import TINY_PRESET, UNSTORED, EvalConfig, TrainConfig
from simko.fields import entries, kind_of
from simko.run.idle import OF_ENGINE
from studies.pages.docstring import safe, wrapped
from studies.pages.tables import MARKER, cell, default_of, default_shown, flag, kind_shown, shown, table

HEADER = ("setting and flag", "kind and bounds", "default", "meaning")

EXAMPLE = """\
```yaml
# run.yaml
env: simko/Countdown-v0
level: 2
steps: 20
group_size: 16
algorithm: simko
alpha: 0.3
```

```bash
simko train --config run.yaml --dry-run
simko train --env simko/Countdown-v0 --level 2 --steps 20 --group-size 16 \\
    --algorithm simko --alpha 0.3 --dry-run
```

```python
from simko.config import read_yaml
from simko.settings import train_config

settings = {"env": "simko/Countdown-v0", "level": 2, "steps": 20, "group_size": 16}
method = {"algorithm": "simko", "alpha": 0.3}
assert train_config({**settings, **method}) == train_config(read_yaml("run.yaml"))
```"""


def pages() -> dict[str, str]:
    """The page of the settings."""
    sections = {
        "One name in three places": f"{_NAMES}\n\n{EXAMPLE}\n\n{_MORE_NAMES}",
        "Training": f"{_TRAINING}\n\n{groups(TrainConfig)}",
        "The built-in policy": tiny(),
        "Evaluation": f"{_EVALUATION}\n\n{groups(EvalConfig, known=TrainConfig)}",
        "Comparison": comparison(),
        "What a run folder stores": stored(),
    }
    text = "\n\n".join(f"## {heading}\n\n{content}" for heading, content in sections.items())
    return {"reference/settings.md": f"# Settings\n{MARKER}\n\n{_INTRO}\n\n{text}\n"}


_INTRO = wrapped(
    "A stage has one class of settings: `simko.config.TrainConfig` for training, `simko.config.EvalConfig` for evaluation. "
    "This page lists their fields. The settings of a training method stand on the page of the method: "
    "[Training methods](../methods/README.md)."
)
_NAMES = wrapped(
    "A setting has the same name as a key of a YAML file, as a flag, and as a keyword in Python. Only a flag has `-` for `_`. "
    "These three give the same configuration:"
)
_MORE_NAMES = wrapped(
    "A flag wins over a key of the file. A setting that is true or false has two flags: `--force` and `--no-force`. The "
    "settings of a method may stand in the file beside the others, or under `method:`. Its parts are settings, too: "
    "`advantage`, `loss`, `sampling`, `auxiliary`. An unknown key, a value of another kind, or one out of bounds is refused in "
    "one line before anything is loaded. `simko.settings.schema()` is a JSON schema of the file, for editors."
)
_TRAINING = "Where the default is empty, the meaning says what holds."
_EVALUATION = wrapped(
    "`simko eval` takes them, and `simko sample` and `simko chat` take some. For a run, the run's own settings hold where the "
    "default is empty."
)


def groups(settings: type, known: type | None = None) -> str:
    """A table for each class of which a settings class is made, below what that class says of itself.

    Of a class of which `known` is made, too, only the names are said again.
    """
    pieces = []
    elsewhere = _owners(known) if known else {}
    for owner, names in _owners(settings).items():
        title = owner.__name__.removesuffix("Settings").removesuffix("Config")
        about = "What only this stage has." if owner is settings else _first_paragraph(owner)
        if owner in elsewhere:
            text = wrapped(f"As in training, but with no default: {_named(names)}.")
        else:
            text = f"{about}\n\n{rows(settings, names)}"
        pieces.append(f"### {title}{' settings of a run' if owner in elsewhere else ''}\n\n{text}")
    return "\n\n".join(pieces)


def _first_paragraph(owner: type) -> str:
    return wrapped(safe(" ".join((inspect.getdoc(owner) or "").split("\n\n")[0].split())))


def _owners(settings: type) -> dict[type, list[str]]:
    """The settings of a class by the class that first names each, in the order of a file."""
    owners: dict[type, list[str]] = {}
    for entry in entries(settings):
        bases = (cls for cls in reversed(settings.__mro__) if is_dataclass(cls))
        owner = next(cls for cls in bases if entry.name in {own.name for own in fields(cls)})
        owners.setdefault(owner, []).append(entry.name)
    return owners


def rows(settings: type, names: typing.Collection[str]) -> str:
    """The table of these settings of a class."""
    hints = typing.get_type_hints(settings)
    cells = []
    for entry in entries(settings):
        if entry.name in names:
            kind = kind_of(hints[entry.name])
            names_shown = f"`{entry.name}`" + (f" `{flag(entry.name)}`" if entry.name != "method" else "")
            default = default_shown(default_of(entry))
            cells.append([names_shown, kind_shown(kind, entry), default, cell(entry.metadata["help"])])
    return table(cells, HEADER)


def tiny() -> str:
    """The defaults of `--model tiny`."""
    values = ", ".join(f"`{name}` {shown(value)}" for name, value in TINY_PRESET.items())
    return wrapped(
        f"With `--model tiny`, which is the default, these defaults hold in place of those above: {values}. They were tuned: "
        "[Tuning](../results/tuning.md). The page of a method names what tiny changes of it."
    )


def comparison() -> str:
    """The settings of a study."""
    reserved = ", ".join(f"`{name}`" for name in RESERVED)
    about = wrapped(
        "These are keys of a study for `simko compare` and `simko sweep`, and flags of both. A study has settings of training "
        f"under `common` and under each arm, too. It decides these itself, so no arm may set them: {reserved}. "
        "[Comparing methods](../guides/compare.md) has a whole study."
    )
    return f"{about}\n\n{rows(Sizes, [entry.name for entry in fields(Sizes)])}"


def stored() -> str:
    """Which settings stand in `config.yaml`, and which ones a resumed run may change: each field says so itself."""
    every = {entry.name: entry.metadata for entry in entries(TrainConfig)}
    later = [name for name, about in every.items() if about["later"] and name not in UNSTORED]
    free = [name for name, about in every.items() if about["decides"] is False and name not in UNSTORED]
    engines = "; ".join(f"`{engine}` reads {_named(names)}" for engine, names in OF_ENGINE.items())
    paragraphs = (
        "`config.yaml` in the run folder holds every setting of the run, with those of its method under `method`. What you left "
        "to a default stands there as that default. So a stored run means the same when defaults change. "
        "[The run folder](run_folder.md) says what else is there.",
        f"**Never stored:** {_named(UNSTORED)}. {_one_line(config, 'UNSTORED')} Give them as flags each time.",
        f"**Stored only where they differ from their default:** {_named(later)}. They are younger than the first run folders.",
        f"**Only for one engine:** {engines}. With any other engine they have no effect, and a run says so.",
        f"**A resumed run may change:** {_named(free)}. Any other setting decides the updates, so `--resume` "
        "refuses to change it.",
    )
    return "\n\n".join(wrapped(paragraph) for paragraph in paragraphs)


def _named(names: typing.Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _one_line(module: Any, name: str) -> str:
    """The text in quotes below a name of a module."""
    after = inspect.getsource(module).partition(f"\n{name} = ")[2]
    return " ".join(after.split('"""')[1].split())
