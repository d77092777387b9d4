"""What a rank other than 0 has in place of the run folder, without other processes: rank 0's part is scripted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simko import ranks
from simko.errors import UserError
from simko.ranks import Parcel, World
from simko.ranks.parcel import pack, unpack
from simko.run.follower import FollowerRecords, agreed, joined
from simko.settings import train_config


class Peer:
    """The other rank of two: it says what it is told to, and remembers what it heard."""

    def __init__(self, rank: int, facts: Any = None) -> None:
        self.signalled = lambda: None
        self.rank, self.facts, self.heard = rank, facts, list[Any]()

    def everyone(self, status: int, body: bytes) -> list[tuple[int, bytes]]:
        self.heard.append(unpack(body).facts)
        both = [(status, body), (0, pack(Parcel(self.facts)))]
        return both if self.rank else both[::-1]


def test_metrics_are_in_memory_and_files_of_the_working_folder_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 9, "solve_rate": 1.0}\n')
    monkeypatch.chdir(tmp_path)
    records = FollowerRecords()
    records.add(1, [], {"solve_rate": 0.5})
    assert records.column("solve_rate") == {1: 0.5}


def test_a_follower_has_all_settings_of_rank_0_but_its_device_and_the_loggers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "tiny-countdown-v0-grpo-seed0").mkdir(parents=True)
    config = train_config({"algorithm": "grpo", "python": "/opt/env/bin/python", "logger": "tensorboard"})
    peer = Peer(1)
    with ranks.within(World(0, 2, peer)):  # type: ignore[arg-type]
        run, named = joined(lambda: (None, config))
        agreed(named)
    assert run is None

    def refused() -> Any:
        raise UserError("a follower reads no folder")

    with ranks.within(World(1, 2, Peer(0, peer.heard[0]))):  # type: ignore[arg-type]
        _, theirs = joined(refused)
    assert theirs == named
    assert theirs.out == "runs/tiny-countdown-v0-grpo-seed0-2"
    with ranks.within(World(1, 2, Peer(0, peer.heard[1]))):  # type: ignore[arg-type]
        theirs = agreed(train_config({"device": "cpu"}))
    assert (theirs.python, theirs.device, theirs.logger) == ("/opt/env/bin/python", "cpu", "none")
