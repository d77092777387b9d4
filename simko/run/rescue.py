"""How a run ends, early or not: its last whole step is saved, and a disk that refuses is reported in one line."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from rich.console import Console

from simko.console import say
from simko.envs import verifiers
from simko.envs.verifiers.worker import pool
from simko.errors import UserError
from simko.run.faults import summary
from simko.run.folder import RunFolder

_MENDS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
}


class Rescue:
    """Inside `with`, whatever ends the run, the last whole step is saved. An `OSError` of the folder becomes one line.

    A step is whole once it is recorded. Within `step` the weights may be half updated, and nothing is saved.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._training: tuple[Any, ...] = ()
        self._done = self._saved = 0
        self._whole = False

    def begin(self, step: int, *training: Any) -> None:
        """`step` steps are done and saved. `training` are the arguments of `RunFolder.save_checkpoint` after the step."""
        self._training, self._done, self._saved, self._whole = training, step, step, True
        if not self._run.checkpoints():
            self._saved = -1

    @contextmanager
    def step(self, step: int) -> Iterator[None]:
        """The part of a step that moves the weights and records it."""
        self._whole = False
        yield
        self._done, self._whole = step, True

    def save(self) -> None:
        """Save a checkpoint of the last whole step, unless there is one."""
        if self._saved < self._done:
            self._run.save_checkpoint(self._done, *self._training)
            self._saved = self._done

    def __enter__(self) -> Rescue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        self._note_end(error)
        refusal = error if isinstance(error, OSError) and _concerns(error, self._run.path) else None
        if refusal is None and self._whole and self._done > 0:
            try:
                self.save()
            except OSError as refused:
                refusal = refused
        if refusal is not None:
            mend = _MENDS.get(refusal.errno or 0, "mend that")
            again = f"{mend} and go on with: simko train --resume {self._run.path}"
            raise UserError(f"{refusal.filename or self._run.path}: {refusal.strerror}; {again}") from refusal

    def _note_end(self, error: BaseException) -> None:
        """Record how the run ended, if the manifest still says running (after a `kill -9` it keeps saying so)."""
        if not self._training or self._run.manifest().get("status") != "running":
            return  # not begun, or finished and being evaluated
        stopped = isinstance(error, KeyboardInterrupt)
        message = str(error) if stopped or isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        with suppress(OSError):
            end = {
                "status": "stopped" if stopped else "failed",
                "reason": " ".join(message.split())[:300] or "interrupted",
            }
            self._run.write_manifest(end)


def say_faults(run: RunFolder, console: Console) -> None:
    """Print what went wrong during the run without ending it."""
    lines = summary(run.metrics())
    if attempts := pool.shared.executions:
        lines.append(
            f"{len(attempts)} answers tried to make a verifier worker do more than arithmetic, in vain: {attempts[0]}"
        )
    for line in lines:
        say(console, f"fault: {line}", "yellow")


def warm_up(env: Any, workers: int) -> None:
    """Allow `workers` verifier processes. Start them in the background if the environment's verifier may need one."""
    pool.configure(workers)
    verifiers.warm_up(str(getattr(env, "verifier_name", "")))


@contextmanager
def no_random_state_moved() -> Iterator[None]:
    """Put the caller's global generators (Python's, numpy's, torch's on the CPU and on every GPU) back as they were, at the end.

    CUDA is not started for this. Where it had not started, its generators get the seed of the CPU's, now or when it starts:
    `torch.manual_seed` gives them the same one, and without a seed all generators begin alike.
    """
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed, on_gpus = torch.initial_seed(), torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
        if on_gpus is not None:
            torch.cuda.set_rng_state_all(on_gpus)
        else:
            torch.cuda.manual_seed_all(seed)


def _concerns(error: OSError, folder: Path) -> bool:
    """Whether the error belongs to a file in the run folder, or says that a disk is full or cannot be written."""
    if error.filename is None:
        return error.errno in _MENDS
    return error.errno in _MENDS or str(error.filename).startswith(str(folder))
