"""How a run stands: by its manifest and its lock, whatever else is in the folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from simko.errors import UserError
from simko.files import LOCK, locked
from simko.report.terminal.state import RunReader, status_of


def make_run(path: Path, status: str | None, **manifest: Any) -> Path:
    (path / "checkpoints").mkdir(parents=True)
    (path / "config.yaml").write_text("env: simko/Countdown-v0\nsteps: 30\nmodel: tiny\nunknown: 1\n")
    if status is not None:
        (path / "manifest.json").write_text(json.dumps({"status": status, **manifest}))
    return path


@pytest.mark.parametrize(
    ("said", "held", "status"),
    [
        ("running", True, "running"), ("running", False, "died"), ("finished", True, "evaluating"),
        ("finished", False, "finished"),
        ("stopped", False, "stopped"), ("stopped", True, "starting"), ("failed", False, "failed"), (None, True, "starting"),
        (None, False, "died"), ({"x": 1}, False, "died"),
    ],
)  # fmt: skip
def test_status(said: Any, held: bool, status: str) -> None:
    assert status_of({"status": said, "reason": 5}, held)[0] == status


def test_a_run_that_runs_dies_and_is_finished(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "running")
    reader = RunReader(run)
    with locked(run):
        state = reader.state()
    assert (state.status, state.steps, state.ended, dict(state.config)) == (
        "running", 30, False, {"env": "simko/Countdown-v0", "steps": 30, "model": "tiny"},
    )  # fmt: skip
    assert reader.state().status == "died"
    (run / "manifest.json").write_text('{"status": "failed", "reason": "no space"}')
    state = reader.state()
    assert (state.status, state.reason) == ("failed", "no space")


def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    reader = RunReader(tmp_path / "runs" / "x")
    assert reader.state().status == "waiting"
    (tmp_path / "runs" / "x").mkdir(parents=True)
    with locked(tmp_path / "runs" / "x"):
        assert reader.state().status == "starting"


@pytest.mark.parametrize("make", [lambda p: p.write_text("x"), lambda p: (p.mkdir(), (p / "photo.png").touch())])
def test_what_will_never_be_a_run_is_refused(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "x")
    with pytest.raises(UserError, match="folder"):
        RunReader(tmp_path / "x").state()


def test_checkpoints_and_results(tmp_path: Path) -> None:
    run = make_run(tmp_path, "finished")
    for name in ("step-000025", "step-000050", ".step-000075.writing", "step-000060.damaged", "step-1"):
        (run / "checkpoints" / name).mkdir()
    (run / "checkpoints" / "best").write_text('{"checkpoint": "step-000025", "value": 0.5}')
    (run / "eval").mkdir()
    side = {"pass_at_k": {"1": 0.25, "2": 0.5, "x": 1, "4": "y"}}
    (run / "eval" / "b.json").write_text(json.dumps({"step": 50, **side, "base": side}))
    (run / "eval" / "a.json").write_text(json.dumps({"step": 25, **side, "base": None}))
    state = RunReader(run).state()
    assert (state.checkpoints, state.best) == ((25, 50), 25)
    assert [(result["step"], result["pass_at_k"], result["base"]) for result in state.results] == [
        (25, {1: 0.25, 2: 0.5}, {}), (50, {1: 0.25, 2: 0.5}, {1: 0.25, 2: 0.5}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "[" * 9999, "[1]", '{"status": ', '{"step": "x", "pass_at_k": 3}', '{"step": -1}', "\xff\x00"]
)
def test_damaged_files_are_left_out(text: str, tmp_path: Path) -> None:
    run = make_run(tmp_path, "finished")
    (run / "eval").mkdir()
    for name in ("manifest.json", "config.yaml", "checkpoints/best", "eval/x.json"):
        (run / name).write_bytes(text.encode("latin1"))
    state = RunReader(run).state()
    assert (state.status, state.steps, state.best, state.results) == ("died", 0, None, ())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", None)
    (tmp_path / "elsewhere").write_text('{"status": "finished"}')
    (run / "manifest.json").symlink_to(tmp_path / "elsewhere")
    (run / "eval").mkdir()
    os.mkfifo(run / "eval" / "x.json")
    (run / LOCK).symlink_to(tmp_path / "elsewhere")
    assert (RunReader(run).state().status, RunReader(run).state().results) == ("died", ())
