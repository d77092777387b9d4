"""What `simko train` says at its end: what happened, whether it is more than noise, and the next commands."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from simko.config import TrainConfig
from simko.console import note, say
from simko.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

_WIDEST = 100


def tell_ending(console: Console, path: Path, config: TrainConfig) -> Mapping[str, Any]:
    """Say how the run in `path` ended, and return the facts for --json. A rank that is silent says and reads nothing."""
    from simko import algorithms
    from simko.report.ending import ending_of
    from simko.report.ending_words import ending_lines

    if console.quiet:
        return {"run": str(path)}
    sampling = str(config.method.get("sampling") or algorithms.own_parts(config.algorithm)["sampling"])
    try:
        ending = ending_of(path, config, sampling)
    except (UserError, OSError) as error:  # the run is whole, whatever became of its records
        note(f"what happened in {path} cannot be told: {error}")
        say(console, f"run:    {path}")
        return {"run": str(path)}
    peak = _peak_bytes(config)
    for line in ending_lines(ending, min(console.width, _WIDEST), peak):
        say(console, line)
    return {**ending.facts(), "peak_memory_bytes": peak}


def tell_stopped(console: Console, path: Path, config: TrainConfig) -> None:
    """Say what a run that was stopped has done so far, if it has recorded a step.

    Whoever reads the output may be gone: Ctrl-C ends `tee`, too. The exit code is that of the stop all the same.
    """
    if (path / "metrics.jsonl").is_file():
        with suppress(BrokenPipeError):
            tell_ending(console, path, config)


def tell_refused(console: Console, config: TrainConfig) -> None:
    """Say what may be tried where the look before training found that nothing can be learned. No run folder is left."""
    task = f"{quote(config.env)}{f' --data {quote(config.data)}' if config.data else ''}"
    task += f" --level {config.level}" if config.level is not None else ""
    asked = "" if config.max_new_tokens is None else f" --max-new-tokens {config.max_new_tokens}"
    asked += "" if config.template == "chat" else f" --template {quote(config.template)}"
    lines = ["", "Nothing was trained, and no run folder was left. To see why:"]
    for why, line in (
        (
            "what the model answers, with verdicts",
            f"simko sample {quote(config.model)} --env {task}{asked} --split train",
        ),
        ("a problem as the model sees it, and its gold answer", f"simko env show {task}"),
        ("other tasks, with their levels", "simko env list"),
    ):
        lines += [f"  # {why}", f"  {line}"]
    with suppress(BrokenPipeError):  # the error that follows goes to stderr
        say(console, "\n".join(lines))


def _peak_bytes(config: TrainConfig) -> int | None:
    from simko.device import Peak, pick_device

    try:
        return Peak(pick_device(config.device)).read()
    except (OSError, UserError):  # no /proc
        return None
