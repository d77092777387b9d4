"""The `simko` command, in which one rank meets a fault: `FAULT=rank:place:call:what python -m ranks.run_child train ...`.

`place` is `rollout` or `update`, `call` the number of the rollout or of the update in which it happens (from 1).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import torch

import simko.onlookers
import simko.rollout
import simko.update
from simko.cli import main
from simko.errors import UserError


def act(what: str) -> None:
    if what == "error":
        raise UserError("environment broken: begin raised; mend it")
    if what == "bug":
        raise RuntimeError("a bug")
    os.kill(os.getpid(), getattr(signal, what))


def at(call: int, what: str, real: Callable[..., Any]) -> Callable[..., Any]:
    calls = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            act(what)
        return real(*arguments, **options)

    return counted


def drift(real: Callable[..., Any]) -> Callable[..., Any]:
    """The adapter of this rank becomes another one."""

    def moved(policy: Any, optimizer: Any, step: int) -> None:
        if step == 2:
            with torch.no_grad():
                policy.trainable_parameters()[0][1].view(-1)[0] += 1e-6
        real(policy, optimizer, step)

    return moved


def arm(fault: str) -> None:
    rank, place, call, what = fault.split(":")
    if os.environ.get("RANK", "0") != rank:
        return
    if what == "drift":
        simko.onlookers.check_equal = drift(simko.onlookers.check_equal)
    elif place == "rollout":
        simko.rollout.decode = at(int(call), what, simko.rollout.decode)
    else:
        simko.update.my_rows = at(int(call), what, simko.update.my_rows)


if __name__ == "__main__":
    if "FAULT" in os.environ:
        arm(os.environ["FAULT"])
    main()
