"""The check of copies between devices, on the CPU: sentinels that arrive, that change, and that never come."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from simko.ranks import links


def test_sentinels_arrive_and_the_speed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "NUMBERS", 1000)
    result = links.copies("cpu", "cpu")
    assert result["changed"] == 0
    assert result["bytes_per_second"] > 0


def test_each_number_that_changed_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def corrupt(here: Tensor, there: Tensor) -> None:
        there.copy_(here)
        there[7] ^= 1

    monkeypatch.setattr(links, "NUMBERS", 1000)
    monkeypatch.setattr(links, "transfer", corrupt)
    assert links.copies("cpu", "cpu")["changed"] == links.ROUNDS
    monkeypatch.setattr(links, "transfer", lambda here, there: None)
    assert links.copies("cpu", "cpu")["changed"] == links.ROUNDS * 1000


def test_sentinels_differ_by_rank_turn_and_place_and_add_up_without_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links, "NUMBERS", 5000)
    a, b, c = links.sentinel_of(0, 0), links.sentinel_of(1, 0), links.sentinel_of(0, 1)
    assert not any(torch.equal(*pair) for pair in ((a, b), (a, c), (b, c)))
    assert (a[:-1] != a[1:]).all()
    total = torch.stack([links.sentinel_of(rank, 3) for rank in range(16)])
    assert torch.equal(total.sum(0).double(), total.double().sum(0))
