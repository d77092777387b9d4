"""A rank among others, without other processes: what it hears is scripted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import FakeEnv, FakePolicy, random_groups
from torch import Tensor

from simko import ranks
from simko.build import make_policy
from simko.device import pick_device
from simko.errors import UserError
from simko.ranks import Parcel, PeerError, World, start
from simko.ranks.parcel import pack, unpack
from simko.ranks.sharing import _mark, _packed, _unpacked, groups_of
from simko.ranks.start import place_of, started
from simko.ranks.worlds import LostError
from simko.rollout import rollout
from simko.run.faults import Faults
from simko.run.signals import Stopped, StopSignals
from simko.run.verdicts import VerdictJournal
from simko.settings import train_config
from simko.types import Completion, Task, Verdict


class ScriptedWire:
    """The other ranks say what they are told to: for each exchange, their (status, body)."""

    def __init__(self, rank: int, *script: list[tuple[int, bytes]]) -> None:
        self.signalled: Callable[[], float | None] = lambda: None
        self.rank, self.script, self.mine = rank, list(script), list[tuple[int, bytes]]()
        self.closed = False

    def everyone(self, status: int, body: bytes) -> list[tuple[int, bytes]]:
        self.mine.append((status, body))
        if not self.script:
            raise LostError("nobody there")
        others = self.script.pop(0)
        return [*others[: self.rank], (status, body), *others[self.rank :]]

    def add_up(self, flat: Tensor) -> Tensor:
        return 2 * flat

    def use_nccl(self) -> None: ...

    def close(self, clean: bool) -> None:
        self.closed = True


FINE = (0, pack(Parcel("theirs")))


def raising(error: BaseException) -> Callable[[], Parcel]:
    def work() -> Parcel:
        raise error

    return work


def world(rank: int, *script: list[tuple[int, bytes]]) -> tuple[World, ScriptedWire]:
    wire = ScriptedWire(rank, *script)
    return World(rank, 2, wire), wire


def test_alone_nothing_is_packed_or_sent() -> None:
    value = object()
    assert ranks.world().alone
    assert ranks.of_main(lambda: value) is value
    part = Parcel(value, {"a": torch.ones(1)})
    assert ranks.share(lambda: part) == [part]
    total = ranks.add_tensors(lambda: dict(part.tensors), "cpu")
    assert total["a"] is part.tensors["a"]


def test_parts_come_in_the_order_of_ranks() -> None:
    here, _ = world(1, [FINE])
    assert [part.facts for part in here.share(lambda: Parcel("mine"))] == ["theirs", "mine"]


@pytest.mark.parametrize(
    ("mine", "theirs", "expected", "told"),
    [
        (None, (1, b"logits"), FloatingPointError, None),
        (FloatingPointError("a"), (0, b""), FloatingPointError, None),
        (FloatingPointError("a"), (3, b"bad row"), PeerError, True),
        (UserError("mine"), (1, b"logits"), UserError, None),
        (UserError("mine"), (3, b"theirs"), PeerError, True),  # rank 0 tells, of two
        (RuntimeError("bug"), (3, b"theirs"), RuntimeError, None),
        (None, (4, b"RuntimeError: bug"), PeerError, True),
        (None, (2, b"15"), KeyboardInterrupt, None),
    ],
)
def test_the_worst_of_all_ranks_is_raised_on_each(
    mine: BaseException | None, theirs: tuple[int, bytes], expected: type[BaseException], told: bool | None
) -> None:
    here, _ = world(1, [theirs])
    with pytest.raises(expected) as caught:
        here.share(Parcel if mine is None else raising(mine))
    assert getattr(caught.value, "told", None) is told
    if told:
        assert str(caught.value).startswith("rank 0: ")


def test_a_peer_that_is_gone_is_one_line_and_a_mistake_here_goes_before() -> None:
    for error, expected in ((None, PeerError), (Stopped(15), PeerError), (UserError("mine"), UserError)):
        here, wire = world(0)
        with pytest.raises(expected) as caught:
            here.share(Parcel if error is None else raising(error))
        assert isinstance(caught.value, PeerError) is (expected is PeerError)
        here.part(caught.value)
        assert len(wire.mine) == 1, "nobody is told again"
        assert wire.closed


def test_an_error_outside_of_shared_work_is_told_at_the_end() -> None:
    here, wire = world(1, [FINE])
    with pytest.raises(UserError, match="disk"):
        here.part(UserError("disk"))
    assert wire.mine == [(3, b"disk")]
    assert wire.closed


def test_a_step_without_numbers_goes_on() -> None:
    here, wire = world(1, [(1, b"logits")], [FINE], [FINE])
    with pytest.raises(FloatingPointError):
        here.share(Parcel)
    here.share(Parcel)
    here.part(None)
    assert len(wire.mine) == 3


@pytest.mark.usefixtures("default_signals")
def test_a_signal_waits_for_the_next_exchange_and_stops_all() -> None:
    here, wire = world(1, [FINE], [FINE], [FINE])

    def work() -> Parcel:
        os.kill(os.getpid(), signal.SIGTERM)  # nothing is raised here, and others hear nothing
        return Parcel("done")

    def deferred() -> None:
        with StopSignals() as stop, stop.deferred():
            assert here.share(work)[1].facts == "done"

    with ranks.within(here), pytest.raises(Stopped) as caught:
        deferred()
    assert caught.value.code == 143
    assert [status for status, _ in wire.mine] == [0, 0, 2]


@pytest.mark.usefixtures("default_signals")
def test_a_signal_ends_shared_work_at_once() -> None:
    here, wire = world(1, [FINE])
    reached = []

    def work() -> Parcel:
        os.kill(os.getpid(), signal.SIGTERM)
        reached.append(1)
        return Parcel()

    with ranks.within(here), pytest.raises(Stopped), StopSignals():
        here.share(work)
    assert not reached
    assert wire.mine == [(2, b"15")]


@pytest.mark.usefixtures("default_signals")
def test_a_signal_of_another_rank_stops_this_one() -> None:
    here, _ = world(1, [(2, b"1")])
    with ranks.within(here), pytest.raises(Stopped) as caught, StopSignals():
        here.share(Parcel)
    assert caught.value.code == 129


@pytest.mark.usefixtures("default_signals")
def test_one_key_that_another_rank_heard_first_does_not_end_this_one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    here, _ = world(1, [(2, b"2")])
    with ranks.within(here), StopSignals():
        with pytest.raises(Stopped):
            here.share(Parcel)
        os.kill(os.getpid(), signal.SIGINT)
    assert not left


def test_a_parcel_comes_as_it_went() -> None:
    tensors = {"a": torch.arange(6).view(2, 3), "b": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16)}
    tensors |= {"none": torch.empty(0, 3), "facts": torch.tensor([True])}
    back = unpack(pack(Parcel({"x": [1, float("inf"), None, "\ud800 é"]}, tensors)))
    assert back.facts == {"x": [1, float("inf"), None, "\ud800 é"]}
    for name, value in tensors.items():
        assert back.tensors[name].dtype == value.dtype
        torch.testing.assert_close(back.tensors[name], value, equal_nan=True)


def test_answers_come_as_they_went() -> None:
    answers = [c for group in random_groups(3, turns=True) for c in group.completions]
    odd = Completion(
        np.array([1]), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.bool_), "\ud800", "length",
        Verdict("timeout", float("nan"), "x", 0.25, {"format": 0.5}),
    )  # fmt: skip
    back = _unpacked(unpack(pack(_packed([*answers, odd]))))
    for a, b in zip([*answers, odd], back, strict=True):
        for name in ("prompt_ids", "ids", "logprobs", "sampled"):
            assert getattr(a, name).dtype == getattr(b, name).dtype
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert (a.text, a.finish, a.verdict.outcome, dict(a.verdict.parts)) == (
            b.text, b.finish, b.verdict.outcome, dict(b.verdict.parts),
        )  # fmt: skip
    assert _unpacked(unpack(pack(_packed([])))) == []


def graded(outcome: str) -> Callable[[Any, int], list[Completion]]:
    def answer(wanted: Any, _copies: int) -> list[Completion]:
        one = np.array([1])
        return [
            Completion(one, one, one.astype(np.float32), one > 0, "same", "stop", Verdict(outcome, 0.0))  # type: ignore[arg-type]
            for _ in wanted
        ]

    return answer


def beside(task: Task) -> World:
    """Rank 1, beside one that has two answers to a task, of four."""
    theirs = _packed(graded("timeout")([(task, i) for i in range(2)], 1))
    return world(1, [(0, pack(Parcel([theirs.facts, None, _mark([task], 4)], theirs.tensors)))])[0]


def test_equal_answers_have_the_verdict_of_the_lowest_rank() -> None:
    task = Task("0", "0", "")
    with ranks.within(beside(task)):
        first, second = groups_of([task], 4, graded("incorrect"))[0].completions[::2]
    assert {first.verdict.outcome, second.verdict.outcome} == {"timeout"}


def test_ranks_with_different_tasks_are_refused() -> None:
    with ranks.within(beside(Task("0", "0", ""))), pytest.raises(UserError, match="rank 1: its tasks"):
        groups_of([Task("0", "another", "")], 4, graded("incorrect"))


def test_the_journal_takes_in_what_other_ranks_graded(tmp_path: Path) -> None:
    lone = VerdictJournal(tmp_path / "lone", Faults())
    (tmp_path / "lone").mkdir()
    (tmp_path / "all").mkdir()
    lone.begin(1)
    grade = lone.grading(lambda text, task: Verdict("correct" if text == "a" else "incorrect", 0.0))
    grade("a", task := Task("t", "p", "g"))
    grade("b", task)
    told = lone.outgoing()
    assert lone.outgoing() == [[], {}], "it is told once"
    here, _ = world(0, [FINE])
    faults = Faults()
    with ranks.within(here):
        journal = VerdictJournal(tmp_path / "all", faults)
        assert here.luggage is journal
        journal.begin(1)
        own = journal.grading(lambda text, task: Verdict("timeout", 0.0))
        own("b", task)  # graded here, too: rank 0's own verdict stands
        journal.incoming([journal.outgoing(), [told[0], {"grade_raised": 2}]])
        assert own("a", task).outcome == "correct"
        journal.end()
    assert faults.take() == {"fault_grade_raised": 2.0}
    text = (tmp_path / "all" / "000001.jsonl").read_text()
    assert len(text.splitlines()) == 2
    assert text.count("timeout") == 1


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, None),
        ({"WORLD_SIZE": "1", "RANK": "0"}, None),
        ({"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, (1, 2)),
    ],
)
def test_the_place_that_a_launcher_gives(variables: dict[str, str], place: tuple[int, int] | None) -> None:
    assert place_of(variables) == place


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"WORLD_SIZE": "2"}, "RANK is None"),
        ({"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, "RANK is 2"),
        ({"WORLD_SIZE": "two", "RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, "WORLD_SIZE is two"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR is None"),
        ({"MASTER_ADDR": "127.0.0.1", "ACCELERATE_MIXED_PRECISION": "no"}, "torchrun"),
    ],
)
def test_a_world_of_the_wrong_size_is_refused(variables: dict[str, str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        place_of(variables)


def test_one_process_of_accelerate_that_was_asked_for_one_is_fine() -> None:
    assert place_of({"ACCELERATE_MIXED_PRECISION": "no"}) is None


def test_without_a_launcher_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with started() as here:
        assert here.alone


def test_more_local_ranks_than_cards_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UserError, match="start 2 processes"):
        pick_device("auto")


def test_ranks_that_share_a_card_without_a_word_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    place = ["host", "card", "cuda"]
    monkeypatch.setattr(start, "_place", lambda _: place)
    for local in ("0", None):
        monkeypatch.setenv("LOCAL_RANK", local or "")
        if local is None:
            monkeypatch.delenv("LOCAL_RANK")
        here, _ = world(1, [(0, pack(Parcel([*place, "auto"])))])
        with ranks.within(here), pytest.raises(UserError, match="LOCAL_RANK") if local is None else nullcontext():
            start.connect("cuda:0", "auto")


def test_vllm_on_the_first_card_of_every_process_is_refused() -> None:
    config = train_config({"engine": "vllm", "tis_clip": 2.0})
    with ranks.within(world(0)[0]), pytest.raises(UserError, match="take --engine vllm-server"):
        make_policy(config)


def test_a_rollout_in_one_process_asks_for_whole_groups() -> None:
    policy, env = FakePolicy(), FakeEnv()
    tasks = [env.source.get(str(i)) for i in range(3)]
    rollout(policy.engine, env, tasks, 2)
    assert policy.engine.calls == 1
