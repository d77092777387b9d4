"""Messages from every rank to every rank, over gloo, and the one sum that may go over NCCL. Bytes and numbers; no pickle.

A wait polls, so that a signal is handled meanwhile. Nothing runs out of time while ranks live: one may decode for an hour while
the others wait. A peer that died is noticed at once (gloo), or `PATIENCE` seconds after the launcher's signal.
"""

from __future__ import annotations

import itertools
import os
import struct
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from simko.ranks.worlds import LostError

PATIENCE = 15.0
"""Seconds that a wait goes on when a signal has come: before or in it. torchrun kills 30 seconds after its own."""
_FOREVER = timedelta(days=7)
_JOIN_SECONDS = 300
_LONGEST_PAUSE = 0.01  # seconds
_HEAD = struct.Struct("<qq")  # status, length of the body
_SHORT = 4096 - _HEAD.size  # bytes
# torchrun's store outlives a world: a second one of a process must not read the addresses of the first
_worlds = itertools.count()


class TorchWire:
    """The connection of one rank to all others.

    Attributes:
        signalled: gives the seconds since a signal came, or None.
        backend: what sums the gradient, "gloo" or "nccl".
    """

    def __init__(self, rank: int, size: int) -> None:
        """Meet the other ranks where MASTER_ADDR and MASTER_PORT say. Raises `LostError` if they do not all come."""
        self.signalled: Callable[[], float | None] = lambda: None
        self.backend = "gloo"
        self._size = size
        try:
            store, _, _ = next(
                dist.rendezvous("env://", rank=rank, world_size=size, timeout=timedelta(seconds=_JOIN_SECONDS))
            )
            store = dist.PrefixStore(f"simko-{next(_worlds)}", store)
            dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=_FOREVER)
        except (RuntimeError, ValueError) as error:  # DistStoreError is a RuntimeError
            raise LostError(str(error)) from error
        self._sums: Any = dist.group.WORLD

    def everyone(self, status: int, body: bytes) -> list[tuple[int, bytes]]:
        """The status and the body of every rank, in order. A short body travels with the status, in one exchange."""
        head = _HEAD.pack(status, len(body)) + body[:_SHORT]
        heads = [torch.zeros(_HEAD.size + _SHORT, dtype=torch.uint8) for _ in range(self._size)]
        mine = torch.frombuffer(bytearray(head.ljust(len(heads[0]), b"\0")), dtype=torch.uint8)
        self._wait(partial(dist.all_gather, heads, mine, async_op=True))
        messages = []
        for rank, data in enumerate(head.numpy().tobytes() for head in heads):
            code, length = _HEAD.unpack_from(data)
            content = data[_HEAD.size : _HEAD.size + length]
            if length > _SHORT:
                whole = bytearray(body) if rank == dist.get_rank() else bytearray(length)
                self._wait(partial(dist.broadcast, torch.frombuffer(whole, dtype=torch.uint8), rank, async_op=True))
                content = bytes(whole)
            messages.append((code, content))
        return messages

    def use_nccl(self) -> None:
        """Let NCCL sum gradients from now on; every rank calls this.

        By itself torch ends the process when NCCL tells of a peer that died, and rank 0 could save nothing. With 2 it only gives
        the sum up; what is in it then is never used, since the next exchange finds the peer gone.
        """
        os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2")
        self._sums = dist.new_group(backend="nccl", timeout=_FOREVER)
        self.backend = "nccl"

    def add_up(self, flat: Tensor) -> Tensor:
        """The sum of `flat` over all ranks, the same bits on each; may be written into `flat`."""
        part = flat if self.backend == "nccl" else flat.cpu()
        self._wait(lambda: dist.all_reduce(part, group=self._sums, async_op=True))
        return part.to(flat.device)

    def close(self, clean: bool) -> None:
        """Leave. After a failure NCCL is left alone: its end may wait for a peer that is gone."""
        if clean or self.backend == "gloo":
            dist.destroy_process_group()

    def _wait(self, begin: Callable[[], Any]) -> None:
        pause, began = 0.0, time.monotonic()
        try:
            work = begin()
            while not work.is_completed():
                # a peer may have as much left to do of the step as this rank had when the signal came
                if min(self.signalled() or 0.0, time.monotonic() - began) > PATIENCE:
                    raise LostError("a signal came, and another rank does not answer")
                time.sleep(pause)
                pause = min(pause + 5e-5, _LONGEST_PAUSE)
            work.wait()
        except RuntimeError as error:
            raise LostError(str(error)) from error
