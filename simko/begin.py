"""Before the first step: this rank's run, its settings as all ranks have them, and the checkpoint that it goes on from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from simko.config import TrainConfig
from simko.device import pick_device
from simko.memory.burn_in import planned
from simko.ranks import world
from simko.ranks.start import connect
from simko.run.folder import RunFolder, check_adapter
from simko.run.follower import briefed, run_of


@contextmanager
def opened(
    config: TrainConfig, resume: RunFolder | None, console: Console
) -> Iterator[tuple[RunFolder, TrainConfig, Path | None]]:
    """The run, planned settings, and the checkpoint, or None for a new run. Ranks other than 0 fall silent, and write nothing.

    Raises:
        UserError: the folder is taken, damaged or cannot be written, or the plan does not fit.
    """
    console.quiet |= not world().main
    run = run_of(config, resume)
    config = planned(config, new=resume is None)
    connect(pick_device(config.device), config.collectives)
    with run.opened(config, new=resume is None):
        yield run, config, briefed(run, resumed=resume is not None)


def adapter_of(config: TrainConfig, checkpoint: Path | None) -> Path | None:
    """The PEFT folder that the policy starts from: of the checkpoint, else of the settings. None is a new adapter.

    Raises:
        UserError: the folder is part of a damaged checkpoint.
    """
    if checkpoint:
        return checkpoint / "adapter"
    return None if config.adapter is None else check_adapter(config.adapter)
