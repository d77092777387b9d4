"""`simko watch`: a run from its folder alone, for a person and for a program, while it grows and after it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from timing import HANGS

from simko.cli import run
from simko.cli.watch import _events, _runs_events
from simko.files import locked
from simko.run.records import Records

pytestmark = pytest.mark.usefixtures("default_signals")
HOSTILE = "\x1b]0;t\x07\x1b[2J\u202e\u200b"


def add(folder: Path, *steps: int, reward: float = 0.5) -> None:
    with (folder / "metrics.jsonl").open("a") as out:
        for step in steps:
            line = {"step": step, "reward": reward, "solve_rate": 0.25, "entropy": 1.0, "seconds_update": 2.0}
            out.write(json.dumps(line) + "\n")


def say(folder: Path, status: str, reason: str | None = None) -> None:
    (folder / "manifest.json").write_text(json.dumps({"status": status, "reason": reason}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of 5 steps, of which 2 are done."""
    path = tmp_path / "run"
    (path / "checkpoints" / "step-000002").mkdir(parents=True)
    (path / "config.yaml").write_text("steps: 5\nmodel: tiny\nalgorithm: simko\nenv: e\nlogger: none\n")
    say(path, "running")
    add(path, 1, 2)
    return path


def watched(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["watch", *arguments])
    return code, *capsys.readouterr()


def test_once_prints_the_present_state(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(folder):
        code, out, err = watched(capsys, str(folder), "--once")
    assert (code, err) == (0, "")
    assert "running" in out
    assert "step 2 of 5  2 s a step  6 s left" in out
    code, out, _ = watched(capsys, str(folder), "--once")
    assert "died" in out
    assert "killed, or the machine went down" in out


def test_without_a_terminal_it_says_how_to_follow(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = watched(capsys, str(folder))
    assert (code, "step 2 of 5" in out, "--json follows" in err) == (0, True, True)


def test_a_program_gets_steps_and_the_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say(folder, "stopped", "SIGTERM")
    code, out, _ = watched(capsys, str(folder), "--json")
    first, second, end = map(json.loads, out.splitlines())
    assert (code, first["event"], first["step"], second["step"], second["metrics"]["reward"]) == (0, "step", 1, 2, 0.5)
    assert (end["event"], end["status"], end["reason"], end["checkpoint"]) == ("end", "stopped", "SIGTERM", 2)
    _, out, _ = watched(capsys, str(folder), "--json", "--once")
    (state,) = map(json.loads, out.splitlines())
    assert (state["event"], state["step"]) == ("state", 2)


def until_it_waits(events: Iterator[dict[str, Any] | None]) -> list[dict[str, Any]]:
    found = []
    while (event := next(events)) is not None:
        found.append(event)
    return found


def test_a_run_is_followed_from_before_it_begins_through_a_rewind(folder: Path) -> None:
    begun = folder.with_name("begun")
    events = _events(begun, once=False)
    assert until_it_waits(events) == []
    folder.rename(begun)
    with locked(begun):
        assert [event["step"] for event in until_it_waits(events)] == [1, 2]
        assert until_it_waits(events) == []
        add(begun, 3, 4)
        assert [event["step"] for event in until_it_waits(events)] == [3, 4]
        Records(begun).rewind(2)
        add(begun, 3, reward=0.75)
        assert [(event["step"], event["metrics"]["reward"]) for event in until_it_waits(events)] == [(3, 0.75)]
        say(begun, "finished")
        assert until_it_waits(events) == []  # it is being evaluated
        add(begun, 4)
    step, end = events
    assert step is not None
    assert end is not None
    assert (step["step"], end["event"], end["status"]) == (4, "end", "finished")


def test_a_comparison_is_followed_to_its_end(folder: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    (study / "runs" / "simko").mkdir(parents=True)
    (study / "plan.yaml").write_text("arms: {simko: {}}\nseeds: 1\n")
    folder.rename(study / "runs" / "simko" / "seed-0")
    events = _runs_events(study, once=False)
    with locked(study):
        (event,) = until_it_waits(events)
        assert (event["planned"], event["runs"][0]["status"], event["runs"][0]["step"]) == (1, "died", 2)
        assert until_it_waits(events) == []
        say(study / "runs" / "simko" / "seed-0", "finished")
        assert [event["runs"][0]["status"] for event in until_it_waits(events)] == ["finished"]
    (end,) = events
    assert end is not None
    assert end["event"] == "end"


def test_a_comparison_is_a_list_of_runs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study" / "runs" / "simko").mkdir(parents=True)
    (tmp_path / "study" / "plan.yaml").write_text("arms: {simko: {}, grpo: {}}\nseeds: [0]\n")
    folder.rename(tmp_path / "study" / "runs" / "simko" / "seed-0")
    code, out, _ = watched(capsys, str(tmp_path / "study"), "--once")
    assert (code, "0 of 2 runs finished" in out, "2/5" in out) == (0, True, True)


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = watched(capsys, str(tmp_path / "x"), "--once")
    assert (code, out) == (2, "")
    assert "leave --once out to wait for it" in err
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / f"a{HOSTILE}.png").touch()
    code, out, err = watched(capsys, str(tmp_path / "photos"))
    assert (code, out) == (2, "")
    assert "is not a run folder" in err
    assert "\x1b" not in err


def test_nothing_in_the_folder_drives_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"steps": 5, "model": HOSTILE, "algorithm": HOSTILE, "env": HOSTILE, "logger": "none"}
    (folder / "config.yaml").write_text(json.dumps(config))
    say(folder, "failed", HOSTILE)
    with (folder / "metrics.jsonl").open("a") as out_file:
        out_file.write(json.dumps({"step": 3, HOSTILE: 1.0, "heldout_pass_1": 0.5}) + "\n")
    hostile = folder.with_name(f"run{HOSTILE}")
    folder.rename(hostile)
    for arguments in (["--once"], ["--json"], ["--once", "--json"]):
        code, out, err = watched(capsys, str(hostile), *arguments)
        assert code == 0
        assert not (set(HOSTILE) - set("]0;t[2J")) & set(out + err)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signals of POSIX")
def test_ctrl_c_is_130_without_a_traceback(folder: Path) -> None:
    command = [sys.executable, "-m", "simko", "watch", str(folder), "--json", "--every", "0.1"]
    with locked(folder):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["step"] == 1  # it watches
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANGS)
    assert (process.returncode, err) == (130, "simko: interrupted\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a terminal of POSIX")
def test_on_a_terminal_it_draws_until_the_run_ends(folder: Path) -> None:
    import pty

    say(folder, "finished")
    head, tail = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    command = [sys.executable, "-m", "simko", "watch", str(folder)]
    process = subprocess.Popen(command, stdin=tail, stdout=tail, stderr=tail, env=environment, close_fds=True)
    os.close(tail)
    data = b""
    while True:
        try:
            part = os.read(head, 65536)
        except OSError:  # Linux says so at the end
            break
        if not part:
            break
        data += part
    os.close(head)
    assert process.wait(HANGS) == 0
    text = data.decode()
    assert "\x1b[?1049h" in text  # a screen of its own
    left = text.split("\x1b[?1049l")[1]  # and on the usual one the last state stays
    assert "step 2 of 5" in left


def test_neither_command_loads_torch(folder: Path) -> None:
    (folder / "rollouts").mkdir()
    program = (
        "import sys\nfrom simko.cli import run\n"
        f"assert run(['watch', {str(folder)!r}, '--once']) == 0\n"
        f"run(['inspect', {str(folder)!r}])\n"
        "import simko.report.terminal.shades\n"
        "print(sorted({'torch', 'transformers', 'matplotlib'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=HANGS)
    assert out.stdout.splitlines()[-1] == "[]"
