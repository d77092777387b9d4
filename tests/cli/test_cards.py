"""`doctor --gpus`: real processes that corrupt, hang and die are found, ended and named, and the mend is tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from simko.cli import run
from simko.cli.cards import Patience, all_reduce, check_cards, copies

pytestmark = pytest.mark.usefixtures("default_signals")

# A process of the real check, with gloo in NCCL's place, that is made to fail.
REAL = """
import os, signal, sys, time
from simko.ranks import links
links.NUMBERS = 1000
rank = int('"rank": 1' in sys.argv[3])
{start}
right = links.add_up
def add_up(values):
    right(values)
    {trouble}
links.add_up = add_up
sums = links.sums
links.sums = lambda **how: sums(**how | {{"backend": "gloo"}})
links.main(sys.argv[1:])
"""
# One that only says what such a process would.
SAYS = """
import json, os, sys, time
check, seconds, what = sys.argv[1:]
how = json.loads(what)
def say(**fact): print(json.dumps(fact), flush=True)
say(ready="")
"""
SHORT = Patience(work=1.5)


def real(trouble: str, start: str = "") -> list[str]:
    return ["-c", REAL.format(trouble=trouble, start=start)]


def test_sums_that_are_wrong_are_counted() -> None:
    measured = all_reduce("nccl", 2, {}, real("values[3] += rank"), Patience())
    assert measured.trouble == "5 sums are wrong"  # one in each round, on rank 1 alone
    assert [(fact["rank"], fact["changed"]) for fact in measured.facts] == [(0, 0), (1, 5)]
    assert all(fact["bytes_per_second"] > 0 for fact in measured.facts)


def test_a_process_that_hangs_in_the_all_reduce_is_ended(tmp_path: Path) -> None:
    start = f"open({str(tmp_path / 'pid')!r} + str(rank), 'w').write(str(os.getpid()))"
    measured = all_reduce("nccl", 2, {}, real("rank and time.sleep(999)", start), SHORT)
    assert measured.trouble == "no answer within 1.5 s (process 0, 1); it was ended"
    assert not any(Path(f"/proc/{(tmp_path / f'pid{rank}').read_text()}").exists() for rank in range(2))


def test_a_process_that_dies_is_named_and_not_its_peer() -> None:
    measured = all_reduce("nccl", 2, {}, real("rank and os.kill(os.getpid(), signal.SIGKILL)"), Patience())
    assert measured.trouble == "process 1 was ended by SIGKILL"


def test_a_pair_that_corrupts_hangs_or_dies_does_not_keep_the_next_from_its_check() -> None:
    code = """
for source, target in how:
    if source == "hangs": time.sleep(999)
    if source == "dies": sys.exit("a reason\\x1b[2J")
    say(source=source, target=target, changed=3 * (source == "corrupts"), bytes_per_second=4e9)
"""
    names = ("corrupts", "hangs", "right", "dies", "fine")
    measured = copies([(name, "b") for name in names], ["-c", SAYS + code], Patience(work=0.3))
    assert measured.trouble == (
        "corrupts to b: 3 numbers arrived changed; hangs to b: no answer within 0.3 s (process 0); it was ended; "
        "dies to b: process 0 failed: a reason\N{REPLACEMENT CHARACTER}[2J"
    )
    assert [fact["source"] for fact in measured.facts] == ["corrupts", "right", "fine"]


@pytest.mark.parametrize(
    ("right", "mend"),
    [
        ("True", ""),
        ("'NCCL_P2P_DISABLE' in os.environ", "export NCCL_P2P_DISABLE=1 (tried"),
        ("how['backend'] == 'gloo'", "train with --collectives gloo (tried"),
        ("False", "neither NCCL_P2P_DISABLE=1 nor gloo helps"),
    ],
)
def test_the_mend_that_is_named_was_tried(right: str, mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NCCL_P2P_DISABLE", raising=False)
    code = f"""
if check == "copies":
    for source, target in how: say(source=source, target=target, changed=0, bytes_per_second=4e9)
else:
    say(rank=how["rank"], changed=int(not ({right})), bytes_per_second=2e9)
"""
    lines = {name: finding for name, finding, _ in check_cards(3, ["-c", SAYS + code], Patience())}
    assert lines["copies"].detail == "right between all 6 pairs, 4.0 GB/s at the slowest"
    assert lines["all-reduce"].status == ("fail" if mend else "ok")
    assert lines["all-reduce"].mend.startswith(mend)
    assert bool(lines["all-reduce"].mend) == bool(mend)


def test_a_process_that_says_nothing_is_no_pass() -> None:
    assert all_reduce("nccl", 2, {}, ["-c", "pass"], Patience()).trouble == "a process ended without a word"


def test_the_command_says_that_no_card_was_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    code = SAYS + "say(rank=how['rank'], changed=0, bytes_per_second=2e9)"
    monkeypatch.setattr(check_cards, "__defaults__", (["-c", code], None))
    assert run(["doctor", "--gpus"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "warn  cards          no CUDA card: no card was checked",
        "ok    all-reduce     right between two processes on the CPU (gloo), 2.0 GB/s at the slowest",
    ]
    assert run(["doctor", "--gpus", "--json"]) == 0
    entries: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [(entry["name"], entry["status"], len(entry["measured"])) for entry in entries] == [
        ("cards", "warn", 0),
        ("all-reduce", "ok", 2),
    ]
