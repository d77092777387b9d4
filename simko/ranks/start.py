"""Begin as one rank of several, if a launcher says so: torchrun, `accelerate launch`, or `simko train --devices`."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from simko.console import mute
from simko.errors import UserError
from simko.ranks import worlds
from simko.ranks.wire import TorchWire
from simko.ranks.worlds import LostError, PeerError, World


def place_of(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """The rank and the number of ranks that a launcher's variables say; None for one process alone.

    Raises:
        UserError: they contradict each other, or a launcher was asked for several processes and began one.
    """
    size, rank = environment.get("WORLD_SIZE"), environment.get("RANK")
    if size is None and "MASTER_ADDR" in environment and "ACCELERATE_MIXED_PRECISION" in environment:
        raise UserError(  # its launcher for one process sets the address if more than one was asked for
            "accelerate launch was asked for several processes and began one, as it does with --cpu; use "
            "`torchrun --nproc-per-node N -m simko train ...`"
        )
    if size in (None, "1"):
        return None
    numbers = [int(text) if text and text.isdecimal() else -1 for text in (rank, size)]
    if not 0 <= numbers[0] < numbers[1] or "MASTER_ADDR" not in environment or "MASTER_PORT" not in environment:
        raise UserError(
            f"WORLD_SIZE is {size}, RANK is {rank}, and MASTER_ADDR is {environment.get('MASTER_ADDR')}: no launcher sets "
            "them so; start with `torchrun --nproc-per-node N -m simko train ...`, or unset WORLD_SIZE for one process"
        )
    return numbers[0], numbers[1]


@contextmanager
def started() -> Iterator[World]:
    """Inside, this process is a rank of the world that its launcher began; alone if there is none. May be nested.

    An error that ends the block on one rank ends it on all. Ranks other than 0 make no remarks.

    Raises:
        UserError: the launcher's variables contradict each other, or not all ranks came.
        PeerError: another rank ended the block.
    """
    place = place_of(os.environ) if worlds.world().alone else None
    if place is None:
        yield worlds.world()
        return
    rank, size = place
    try:
        with _default_signals():
            wire = TorchWire(rank, size)
    except LostError as error:
        raise UserError(
            f"rank {rank}: the {size} processes did not all meet at {os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} "
            f"({' '.join(str(error).split())[:120]}); see that all were started, with one WORLD_SIZE"
        ) from error
    with worlds.within(World(rank, size, wire)) as world:
        mute(not world.main)  # to the end of the process
        try:
            yield world
        except PeerError:
            world.part(None)
            raise
        except BaseException as error:
            world.part(error)
            raise
        else:
            world.part(None)


@contextmanager
def _default_signals() -> Iterator[None]:
    """Inside, a signal ends this process at once. While C++ waits for the other ranks to come, no handler of Python runs."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and callable(signal.getsignal(number)):
                before[number] = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def connect(device: torch.device | str, collectives: str) -> None:
    """Choose what sums the gradients: `auto` is NCCL if every rank has a CUDA card of its own, else gloo.

    Raises:
        UserError: NCCL is asked for, and not every rank has a card of its own; or ranks share a card because nothing says which
            is whose.
    """
    world = worlds.world()
    if world.alone:
        return
    device = torch.device(device)
    places = worlds.of_all([*_place(device), collectives])
    cards = {tuple(place[:2]) for place in places}
    fits = len(cards) == world.size and all(kind == "cuda" for _, _, kind, _ in places)
    wanted = places[0][3]
    if len(cards) < world.size and device.type == "cuda" and "LOCAL_RANK" not in os.environ:
        raise UserError(
            f"several processes have {device} of one machine, and LOCAL_RANK is not set, which says whose card is which; start "
            "with `torchrun --nproc-per-node N -m simko train ...`, or set it for each process"
        )
    if wanted == "nccl" and not fits:
        raise UserError(
            f"collectives is nccl, and the {world.size} processes are on {', '.join(f'{a}:{b}' for a, b, _, _ in places)}: "
            "NCCL needs a CUDA card for each; take --collectives auto"
        )
    if wanted != "gloo" and fits:
        world.use_nccl()


def sharers(device: torch.device) -> int:
    """How many ranks have the memory of this rank's device, this one included."""
    mine = _place(device)[:2]
    return sum(place[:2] == mine for place in worlds.of_all(_place(device)))


def _place(device: torch.device) -> list[str]:
    """The machine, the device on it, and the device's kind."""
    name = str(torch.cuda.get_device_properties(device).uuid) if device.type == "cuda" else device.type
    return [socket.gethostname(), name, device.type]
