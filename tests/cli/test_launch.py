"""`--devices`: real processes are started, one line says why they failed, and a signal reaches each of them once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timing import HANGS, wait_until

from simko.cli import launch as launcher
from simko.cli import run, runs
from simko.cli.flags import as_arguments, extra_settings
from simko.cli.launch import _settings, cause, launch, one_device, read_devices
from simko.config import as_dict
from simko.errors import UserError
from simko.settings import train_config

pytestmark = pytest.mark.usefixtures("default_signals")

TWO = ["cpu", "cpu"]
# A rank that notes what it was given and which signals came, in a file of its own.
RANK = """
import json, os, signal, sys, time
from pathlib import Path
folder, rank = Path(sys.argv[1]), os.environ["RANK"]
def note(name, value):
    (folder / f"{name}.writing{rank}").write_text(json.dumps(value))
    (folder / f"{name}.writing{rank}").rename(folder / f"{name}{rank}")
came = []
def handle(number, frame):
    came.append(number)
    note("signals", came)
    if len(came) == int(sys.argv[2]):
        os._exit(128 + number)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, handle)
"""
WAITS = RANK + "note('ready', 1)\nwhile True: time.sleep(0.02)\n"


def read(folder: Path, name: str) -> list[Any]:
    return [json.loads((folder / f"{name}{rank}").read_text()) for rank in range(2)]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, of this test alone."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def test_each_rank_has_its_number_its_share_of_the_cores_and_the_arguments_as_they_are(
    tmp_path: Path, temporary: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(9)), raising=False)
    code = "note('env', [dict(os.environ), sys.argv[3:]])"
    arguments = ["--stop=$$ ${local_rank} $HOME", "a b", ""]
    before = dict(os.environ)
    assert launch(TWO, [str(tmp_path), "0", *arguments], ["-c", RANK + code]) == 0
    assert dict(os.environ) == before
    for rank, (environment, words) in enumerate(read(tmp_path, "env")):
        assert words == arguments
        assert (environment["RANK"], environment["LOCAL_RANK"], environment["WORLD_SIZE"]) == (str(rank),) * 2 + ("2",)
        assert (environment["OMP_NUM_THREADS"], environment["MASTER_ADDR"]) == ("4", "127.0.0.1")
    assert capfd.readouterr() == ("", "")
    assert not list(temporary.iterdir())


def test_another_port_is_taken_where_one_is_not_free_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        ports = iter([other.getsockname()[1], launcher._free_port(), *[other.getsockname()[1]] * 3])
        monkeypatch.setattr(launcher, "_free_port", lambda: next(ports))
        assert launch(TWO, [], ["-c", "pass"]) == 0
        with pytest.raises(UserError, match="no local port"):
            launch(TWO, [], ["-c", "pass"])


def test_a_rank_that_fails_ends_the_others_and_its_code_is_the_command_s(
    tmp_path: Path, temporary: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fails = RANK + (
        "while rank == '1':\n    if (folder / 'ready0').exists(): sys.exit('one line')\n"
        "note('ready', 1)\nwhile True: time.sleep(0.02)"
    )
    assert launch(TWO, [str(tmp_path), "1"], ["-c", fails.replace("'one line'", "2")]) == 2
    assert json.loads((tmp_path / "signals0").read_text()) == [signal.SIGTERM]
    assert launch(TWO, [str(tmp_path), "1"], ["-c", fails]) == 1
    assert capfd.readouterr() == ("", "one line\n")
    assert not list(temporary.iterdir())


def test_a_rank_that_is_killed_is_named_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dies = RANK + "if rank == '1': os.kill(os.getpid(), signal.SIGKILL)\nwhile True: time.sleep(0.02)"
    assert launch(TWO, [str(tmp_path), "1"], ["-c", dies]) == 137
    assert capfd.readouterr().err == "simko: rank 1 on cpu was ended by SIGKILL; the others were told to stop\n"


def started(tmp_path: Path, exits_at: int, then: Callable[[], object]) -> int:
    """Start two ranks that leave at the signal of that number; `then` runs beside, once both are ready."""
    thread = threading.Thread(target=lambda: wait_until(lambda: all_there(tmp_path, "ready")) and then())
    thread.start()
    try:
        return launch(TWO, [str(tmp_path), str(exits_at)], ["-c", WAITS])
    finally:
        thread.join()


def all_there(folder: Path, name: str) -> bool:
    return all((folder / f"{name}{rank}").exists() for rank in range(2))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_each_rank_once(
    tmp_path: Path, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    assert started(tmp_path, 1, lambda: os.kill(os.getpid(), number)) == 128 + number
    assert read(tmp_path, "signals") == [[number], [number]]
    assert capfd.readouterr() == ("", "")


def test_a_second_interrupt_is_passed_on_another_request_is_not(tmp_path: Path) -> None:
    def thrice() -> None:
        for number, count in ((signal.SIGTERM, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)):
            os.kill(os.getpid(), number)
            wait_until(lambda count=count: all(len(came) == count for came in read_if_there(tmp_path)))

    assert started(tmp_path, 2, thrice) == 128 + signal.SIGTERM
    assert read(tmp_path, "signals") == [[signal.SIGTERM, signal.SIGINT]] * 2


def read_if_there(folder: Path) -> list[Any]:
    return read(folder, "signals") if all_there(folder, "signals") else [[]]


def test_a_third_interrupt_ends_ranks_that_will_not_leave(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def thrice() -> None:
        for count in (1, 2):
            os.kill(os.getpid(), signal.SIGINT)
            wait_until(lambda count=count: all(len(came) == count for came in read_if_there(tmp_path)))
        os.kill(os.getpid(), signal.SIGINT)

    assert started(tmp_path, 9, thrice) == 130
    assert "did not stop and was ended by SIGKILL" in capfd.readouterr().err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the death of a parent is a signal on Linux")
def test_a_rank_ends_when_the_launcher_is_killed() -> None:
    rank = (
        "import time, os, sys; from simko.cli.rank import end_with_the_launcher as f; f()\n"
        f"print(os.getpid(), flush=True); time.sleep({HANGS})"
    )
    launcher = (
        "import os, subprocess, sys, time; os.environ['SIMKO_LAUNCHER'] = str(os.getpid())\n"
        f"subprocess.Popen([sys.executable, '-c', {rank!r}], start_new_session=True); time.sleep({HANGS})"
    )
    with subprocess.Popen([sys.executable, "-c", launcher], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        assert process.stdout.read() == ""  # the rank held the other end
    assert wait_until(lambda: not os.path.exists(f"/proc/{pid}"))


def test_the_rank_that_failed_first_is_the_cause() -> None:
    assert cause([(9, 0, 143), (9, 1, 2)]) == (1, 2)
    assert cause([(9, 0, 1), (9, 1, -9)]) == (1, -9)
    assert cause([(39, 0, -9), (9, 1, 2)]) == (1, 2)  # killed by torch, half a minute after it was told to stop
    assert cause([(9, 1, 2), (9, 0, 2)]) == (0, 2)
    assert cause([(9, 0, 130), (9, 1, 130)]) == (0, 130)


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two cards, seen from outside of a world."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def test_a_list_of_devices(cards: None) -> None:
    assert read_devices(None, {}) == []
    assert read_devices("1, 0", {}) == read_devices("cuda:1,cuda:0", {}) == ["cuda:1", "cuda:0"]
    assert read_devices("cpu,CPU", {}) == TWO
    assert [one_device(read_devices(text, {})) for text in ("1", "cpu", "0,1", "cpu,cpu")] == [
        {"device": "cuda:1"}, {"device": "cpu"}, {"device": "auto"}, {"device": "cpu"}
    ]  # fmt: skip
    assert one_device([]) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0,0", "card 0 stands twice"),
        ("0,2", "there is no card 2; this machine has 2 (0, 1)"),
        ("cpu,1", "cannot share a run"),
        ("0;1", "give the numbers of cards"),
        ("", "give the numbers of cards"),
        ("-1", "give the numbers of cards"),
        ("²", "give the numbers of cards"),
    ],
)
def test_a_wrong_list_is_refused(cards: None, text: str, reason: str) -> None:
    with pytest.raises(UserError) as refusal:
        read_devices(text, {})
    assert reason in str(refusal.value)


def test_device_beside_devices_and_devices_inside_a_world_are_refused(
    cards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="give one of the two"):
        read_devices("0,1", {"device": "cpu"})
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="WORLD_SIZE=2"):
        read_devices("0,1", {})


def test_cards_are_named_as_the_outer_list_names_them() -> None:
    assert "CUDA_VISIBLE_DEVICES" not in _settings(TWO, {})
    assert _settings(["cuda:2", "cuda:0"], {})["CUDA_VISIBLE_DEVICES"] == "2,0"
    outer = {"CUDA_VISIBLE_DEVICES": "7, GPU-8a,5", "OMP_NUM_THREADS": "3"}
    inner = _settings(["cuda:2", "cuda:1"], outer)
    assert (inner["CUDA_VISIBLE_DEVICES"], inner["OMP_NUM_THREADS"]) == ("5,GPU-8a", "3")


NAMES = st.sampled_from(["alpha", "top_k", "steps", "force", "now", "a_b_c", "eval_n"])


@settings(max_examples=25)
@given(st.dictionaries(NAMES, st.booleans() | st.text(max_size=9)))
def test_flags_as_arguments_are_read_as_the_same_flags(flags: dict[str, Any]) -> None:
    assert extra_settings(as_arguments(flags)) == flags


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cards: None) -> list[Any]:
    """The calls of `launch`, which starts nothing, in an empty folder."""
    calls: list[Any] = []

    def record(devices: list[str], arguments: list[str]) -> int:
        calls.append((devices, arguments))
        return 143

    monkeypatch.setattr(runs, "launch", record)
    monkeypatch.chdir(tmp_path)
    return calls


def test_settings_are_passed_on_and_the_device_is_the_rank_s_own(launched: list[Any], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("steps: 3\ndevice: cuda:1\n")
    words = [
        "train",
        "--devices",
        "0,1",
        "--config",
        "a.yaml",
        "--alpha",
        "0.3",
        "--force",
        "--debug",
        "--out",
        "x=y",
        "--json",
    ]
    assert run(words) == 143
    assert launched == [
        (["cuda:0", "cuda:1"],
         ["train", "--out=x=y", "--force", "--alpha=0.3", "--device=auto", "--config=a.yaml", "--json", "--debug"]),
    ]  # fmt: skip
    assert run(["eval", "tiny", "--devices", "cpu,cpu", "-n", "4", "--no-base"]) == 143
    devices, arguments = launched[1]
    assert (devices, arguments[0], arguments[-2:]) == (TWO, "eval", ["--", "tiny"])
    assert set(arguments[1:-2]) == {"--n=4", "--no-base", "--device=cpu"}


def test_a_mistake_is_told_before_anything_starts(launched: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--devices", "0,1", "--steps", "x"]) == 2
    assert run(["train", "--devices", "0,1", "--resume", "nowhere"]) == 2
    assert run(["eval", "tiny", "--devices", "0,1", "--top-p", "7"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3
    assert run(["train", "--devices", "0,1", "--dry-run"]) == 0
    assert not launched


def test_a_run_is_resumed_on_other_devices(launched: list[Any], tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text(json.dumps(as_dict(train_config({"device": "cpu"}))))
    assert run(["train", "--devices", "1,0", "--resume", "run", "--steps", "9"]) == 143
    assert launched == [(["cuda:1", "cuda:0"], ["train", "--steps=9", "--device=auto", "--resume=run"])]
