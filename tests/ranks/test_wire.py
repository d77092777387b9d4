"""The wire of a rank, without other processes."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch.distributed as dist

from simko.ranks import wire
from simko.ranks.wire import TorchWire
from simko.ranks.worlds import LostError


class Work:
    """Something that ends after so many looks."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def is_completed(self) -> bool:
        self.left -= 1
        return self.left < 0

    def wait(self) -> None: ...


def signalled_long_ago() -> TorchWire:
    alone = TorchWire.__new__(TorchWire)
    alone.signalled = lambda: 1000.0
    return alone


def test_a_peer_that_has_more_to_do_is_waited_for_although_a_signal_came_long_ago() -> None:
    work = Work(3)
    signalled_long_ago()._wait(lambda: work)
    assert work.left < 0


def test_a_peer_that_does_not_answer_after_a_signal_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 0.0)
    with pytest.raises(LostError):
        signalled_long_ago()._wait(lambda: Work(10**6))


def test_a_second_world_of_a_process_reads_nothing_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    stores: list[Any] = []
    left = dist.HashStore()  # torchrun's outlives the worlds
    monkeypatch.setattr(dist, "rendezvous", lambda *_, **__: iter([(left, 0, 1)]))
    monkeypatch.setattr(dist, "init_process_group", lambda *_, store, **__: stores.append(store))
    for _ in range(2):
        TorchWire(0, 1)
    stores[0].set("address", "gone")
    assert not stores[1].check(["address"])


def test_nccl_is_told_to_leave_the_process_alone_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    handling: list[str | None] = []
    name = "TORCH_NCCL_ASYNC_ERROR_HANDLING"
    monkeypatch.setenv(name, "")  # so that it is put back
    monkeypatch.delenv(name)
    monkeypatch.setattr(dist, "new_group", lambda **_: handling.append(os.environ.get(name)))
    signalled_long_ago().use_nccl()
    assert handling == ["2"]
