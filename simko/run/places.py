"""Where a run finds its files: absolute, so that a path means what it meant when the run began, from any folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from simko.config import TrainConfig
from simko.envs.registry import names_data
from simko.errors import UserError

PLACES = ("model", "data", "adapter", "env", "solve_rates")
"""Settings that may name a file or a folder. Where it lies decides nothing: the content is compared by its hash."""
_JSONL = "jsonl:"


def absolute(config: TrainConfig) -> TrainConfig:
    """`config` with absolute paths, where they name what exists. Names of the Hub, `tiny` and missing files stay as they are."""
    changes = {
        name: place
        for name in PLACES
        if (place := placed(name, getattr(config, name))) != getattr(config, name)
        and not (name == "data" and names_data(config.env))
    }
    return replace(config, **changes) if changes else config


def placed(name: str, value: Any) -> Any:
    """The value of one of `PLACES`, made absolute in the same way."""
    if name == "env":
        path = value.removeprefix(_JSONL)
        return value if path == value else f"{_JSONL}{placed('data', path)}"
    if value is None or (name == "model" and value == "tiny"):
        return value
    path = os.path.expanduser(value)
    return os.path.abspath(path) if os.path.exists(path) else value


def may_move(name: str, before: Any, after: Any) -> bool:
    """Whether two values of a setting may name one content at two places; hashes of weights and data tell."""
    if name == "env":
        return all(str(value).startswith(_JSONL) for value in (before, after))
    return name in PLACES and None not in (before, after)


def data_path(config: TrainConfig) -> str | None:
    """The data file or folder of a run: the setting `data`, or that of `--env jsonl:PATH`; None where it names none."""
    if names_data(config.env):
        return None
    return config.env.removeprefix(_JSONL) if config.env.startswith(_JSONL) else config.data


def check_places(config: TrainConfig, where: str) -> None:
    """Raise `UserError` if a stored run's model or data are not where they were; `where` names the run.

    A path that is still relative is of an older run, or named nothing when the run began.
    """
    data = data_path(config)
    if _names_no_model(config.model):
        name, path, flag = "model", config.model, "--model"
    elif data is not None and not os.path.exists(os.path.expanduser(data)):
        name, path, flag = "data", data, "--data" if config.data == data else "--env jsonl:"
    else:
        return
    here = "" if os.path.isabs(path) else ", seen from this folder"
    mend = f"{flag}PATH" if flag.endswith(":") else f"{flag} PATH"
    raise UserError(f"{where}: its {name} {path} is not there{here}; say where it is now with {mend}")


def _names_no_model(model: str) -> bool:
    """Whether `model` is a path and nothing is there. A name with one slash may be one of the Hub."""
    path = Path(model).expanduser()
    looks_local = path.is_absolute() or path.suffix == ".gguf" or model.startswith((".", "~")) or model.count("/") != 1
    return model != "tiny" and looks_local and not path.exists()
