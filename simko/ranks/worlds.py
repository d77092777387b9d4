"""The world of a process: the one rank it is, how many there are, and how they stay together.

Ranks run the same loop on the same groups, so they come to the same exchanges in the same order. Every exchange carries a status
first. What goes wrong on one rank therefore ends the same piece of work on all: none waits for a rank that took another way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from simko.errors import UserError
from simko.ranks.dealing import Lengths
from simko.ranks.parcel import Parcel, pack, unpack

if TYPE_CHECKING:  # the command line reads this module, and loads no torch
    import torch
    from torch import Tensor

T = TypeVar("T")
_FINE, _FLOAT, _STOPPED, _MISTAKE, _FAILURE = range(5)  # the largest counts, and among equals the lowest rank


class PeerError(UserError):
    """Another rank ended the run. `told`: it has told why itself, so that this one may be silent."""

    def __init__(self, line: str, told: bool) -> None:
        super().__init__(line)
        self.told = told


class LostError(Exception):
    """A peer does not answer any more."""


class Wire(Protocol):
    """What a world asks of `simko.ranks.wire.TorchWire`."""

    signalled: Callable[[], float | None]

    def everyone(self, status: int, body: bytes) -> list[tuple[int, bytes]]:
        """The status and the body of every rank, in order."""

    def add_up(self, flat: Tensor) -> Tensor:
        """The sum of a tensor over all ranks."""

    def use_nccl(self) -> None:
        """Let NCCL sum from now on."""

    def close(self, clean: bool) -> None:
        """Leave. `clean`: so do all others, and none waits."""


class Signals(Protocol):
    """What a world asks of `simko.run.signals.StopSignals`."""

    requested: int | None

    def pending(self) -> int | None:
        """The signal that waits to be raised, or None."""

    def since(self) -> float | None:
        """Seconds since the first signal, or None."""

    def stop(self, number: int) -> NoReturn:
        """Raise `Stopped`."""


class Luggage(Protocol):
    """What has to be the same on all ranks after each rollout, besides its answers."""

    def outgoing(self) -> Any:
        """What this rank has to tell, as JSON; it is told once."""

    def incoming(self, every: list[Any]) -> None:
        """What every rank had to tell, in order."""


class World:
    """This process among `size`. Without a wire it is alone: then work is done, and nothing is packed, copied or sent.

    Attributes:
        rank, size: which of how many; rank 0 is the main one, which alone writes files and speaks.
        signals: who hears of signals, if anybody does.
        luggage: what goes along with the answers of a rollout, if anything does.
        lengths: of answers, by which the next ones are dealt.
    """

    def __init__(self, rank: int = 0, size: int = 1, wire: Wire | None = None) -> None:
        self.rank, self.size, self._wire = rank, size, wire
        self.signals: Signals | None = None
        self.luggage: Luggage | None = None
        self.lengths = Lengths()
        self._at_work, self._over = False, False
        if wire:
            wire.signalled = lambda: self.signals.since() if self.signals else None

    @property
    def alone(self) -> bool:
        """Whether there is no other rank."""
        return self._wire is None

    @property
    def main(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @property
    def interruptible(self) -> bool:
        """Whether a signal may raise here and now. Elsewhere the next exchange carries it, and all ranks stop there."""
        return self.alone or self._at_work

    def share(self, work: Callable[[], Parcel]) -> list[Parcel]:
        """Do this rank's part of a work; return the parts of all, in order.

        Raises:
            FloatingPointError: on all ranks, if `work` raised it on one.
            PeerError: another rank raised something else, or is gone. The failing rank gets its own exception.
            Stopped: on all ranks, if a signal came to one.
        """
        if self.alone:
            return [work()]
        part, body, error = Parcel(), b"", None
        try:
            self._at_work = True
            try:
                part = work()
            finally:
                self._at_work = False
            body = pack(part)
        except BaseException as raised:
            error = raised
        bodies = self.exchange(body, error)
        return [part if rank == self.rank else unpack(other) for rank, other in enumerate(bodies)]

    def exchange(self, body: bytes = b"", error: BaseException | None = None) -> list[bytes]:
        """The bytes of all ranks, in order, if no rank has an `error`. Raises what `share` raises."""
        assert self._wire is not None
        number = self.signals.pending() if self.signals else None
        status, text = _told(error, number)
        try:
            messages = self._wire.everyone(status, text.encode("utf-8", "replace") if status else body)
        except LostError as lost:
            self._over = True
            if error is not None and status > _STOPPED:
                raise error from lost
            raise PeerError(self._gone(), told=False) from lost
        worst, rank = max((code, -rank) for rank, (code, _) in enumerate(messages))
        if worst == _FINE:
            return [data for _, data in messages]
        self._over = worst != _FLOAT
        self._raise(worst, -rank, messages[-rank][1].decode(), error)

    def add_up(self, flat: Tensor) -> Tensor:
        """The sum of a tensor over all ranks, the same bits on each; right after an exchange in which nothing went wrong."""
        if self._wire is None:
            return flat
        try:
            return self._wire.add_up(flat)
        except LostError as lost:
            self._over = True
            raise PeerError(self._gone(), told=False) from lost

    def use_nccl(self) -> None:
        """Let NCCL sum gradients from now on; every rank calls this."""
        if self._wire:
            self._wire.use_nccl()

    def part(self, error: BaseException | None) -> None:
        """The end of the run on this rank. Others hear of an `error` at their next exchange; nobody leaves before all end."""
        clean = False
        try:
            if not self._over:
                self.exchange(b"", error)
                clean = True
        finally:
            if self._wire:
                self._wire.close(clean)

    def _raise(self, status: int, rank: int, line: str, error: BaseException | None) -> NoReturn:
        if rank == self.rank and error is not None:
            raise error
        if status == _FLOAT:
            raise FloatingPointError(line) from error
        if status == _STOPPED:
            if self.signals is None:
                raise KeyboardInterrupt from error
            self.signals.stop(int(line))
        raise PeerError(f"rank {rank}: {line}", told=True) from error

    def _gone(self) -> str:
        return f"another of the {self.size} processes has ended, or its machine is gone"


def _told(error: BaseException | None, number: int | None) -> tuple[int, str]:
    """What the other ranks are told."""
    if isinstance(error, FloatingPointError):
        return _FLOAT, str(error)
    if isinstance(error, UserError):
        return _MISTAKE, str(error)
    if isinstance(error, KeyboardInterrupt) or (error is None and number is not None):
        return _STOPPED, str(number or 2)
    return (_FINE, "") if error is None else (_FAILURE, f"{type(error).__name__}: {error}")


ALONE = World()
_world = ALONE


def world() -> World:
    """The world of this process."""
    return _world


@contextmanager
def within(other: World) -> Iterator[World]:
    """Inside, the world is another one."""
    global _world
    before, _world = _world, other
    try:
        yield other
    finally:
        _world = before


def share(work: Callable[[], Parcel]) -> list[Parcel]:
    """See `World.share`."""
    return _world.share(work)


def of_main(work: Callable[[], T]) -> T:
    """What `work` gives on rank 0, on every rank. Only there it is done. The value must be plain JSON.

    Raises what `World.share` raises.
    """
    if _world.alone:
        return work()
    parts = _world.share(lambda: Parcel(work()) if _world.main else Parcel())
    value: T = json.loads(json.dumps(parts[0].facts))
    return value


def of_all(value: T) -> list[T]:
    """The `value` of every rank, in order; plain JSON."""
    return [part.facts for part in _world.share(lambda: Parcel(value))]


def add_tensors(work: Callable[[], dict[str, Tensor]], device: torch.device | str) -> dict[str, Tensor]:
    """The tensors that the ranks' parts of a work give, by name. Where several have a name, they are added.

    Parts of a matrix add up to the whole without rounding, if each rank has zeros where it did no work.
    """
    total: dict[str, Tensor] = {}
    for part in _world.share(lambda: Parcel(None, work())):
        for name, value in part.tensors.items():
            total[name] = total[name] + value.to(device) if name in total else value.to(device)
    return total
