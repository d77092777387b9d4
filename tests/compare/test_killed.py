"""A comparison that is killed: its children leave, and the same command goes on to the same table."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest
from compare_fakes import FakeClock, FakeJob

from simko.cli import run as simko
from simko.compare import session
from simko.compare.jobs import Job, last_line
from simko.compare.runner import Runner

pytestmark = pytest.mark.usefixtures("default_signals")

ALGORITHMS, SEEDS, STEPS = "grpo,nsr", "1", "8"
SETTINGS = [
    "--algorithms", ALGORITHMS, "--seeds", SEEDS, "--steps", STEPS, "--prompts-per-step", "4", "--group-size", "4",
    "--level", "1", "--max-new-tokens", "16", "--lora-rank", "4", "--checkpoint-every", "1", "--eval-problems", "3",
    "--eval-samples", "4", "--temperatures", "1.0", "--templates", "chat", "--no-random-control",
]  # fmt: skip
SLEEPER = "import os, sys, threading, time; from simko.cli.cell import leave_with_the_parent as leave; \
threading.Thread(target=leave, daemon=True).start(); print(os.getpid(), flush=True); time.sleep(300)"


def until(true: Callable[[], object], rounds: int = 30_000) -> None:
    for _ in range(rounds):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def in_this_process(words: Sequence[str], log: Path) -> FakeJob:
    """A cell without a process of its own: loading torch once is enough."""
    return FakeJob(FakeClock(), 0.0, lambda: simko(list(words)))


def table_of(folder: Path) -> tuple[list[str], dict[str, object]]:
    """The lines of the table but the clock's, and the counts of each arm."""
    results = json.loads((folder / "results.json").read_text())
    counts = {arm["name"]: [(p["seed"], p["samples"], p["correct"]) for p in arm["seeds"]] for arm in results["arms"]}
    curves = {arm["name"]: arm["pass_at_k"] for arm in results["arms"]}
    return sorted(counts), {**counts, "curves": curves, "ids": results["problems"]["ids"]}


@pytest.mark.slow
def test_killed_and_resumed_to_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    monkeypatch.setattr(session, "Runner", partial(Runner, launch=in_this_process, pause=lambda: None))
    assert simko(["compare", *SETTINGS, "--out", str(whole)]) == 0
    (killed / "base").parent.mkdir()
    shutil.copytree(whole / "base", killed / "base")  # so that the first process of its own is a training
    metrics = killed / "runs/grpo/seed-0/metrics.jsonl"
    command = [sys.executable, "-m", "simko", "compare", *SETTINGS, "--out", str(killed)]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= 1)
        children = psutil.Process(parent.pid).children(recursive=True)
        assert children
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    steps = metrics.read_bytes().count(b"\n")
    assert steps < int(STEPS), "the run was over before the kill"
    result = next((killed / "base/seed-0").glob("*.json"))
    before = result.stat().st_mtime_ns

    assert simko(["compare", str(killed)]) == 0
    assert table_of(killed) == table_of(whole)
    assert result.stat().st_mtime_ns == before  # an evaluation that was there is not repeated
    for arm in ALGORITHMS.split(","):
        adapter = f"runs/{arm}/seed-0/checkpoints/step-{int(STEPS):06d}/adapter/adapter_model.safetensors"
        assert (killed / adapter).read_bytes() == (whole / adapter).read_bytes()


def test_a_job_leaves_when_its_parent_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = (
        "import sys, time; from pathlib import Path; from simko.compare.jobs import Job\n"
        f"Job([], Path({str(log)!r}), (sys.executable, '-c', {SLEEPER!r}))\ntime.sleep(300)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    try:
        until(lambda: last_line(log).isdecimal())
        child = psutil.Process(int(last_line(log)))
        assert child.is_running()
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_job_is_asked_to_leave(tmp_path: Path) -> None:
    log = tmp_path / "log"
    job = Job(["a b"], log, (sys.executable, "-c", SLEEPER))
    until(lambda: last_line(log).isdecimal())
    assert job.poll() is None
    job.stop()
    job.wait()
    assert job.poll() == -signal.SIGTERM
    assert log.read_text().startswith("$ simko a b\n")
    job.stop()  # a second time does nothing


def test_a_job_is_no_part_of_the_terminals_group(tmp_path: Path) -> None:
    job = Job([], tmp_path / "log", (sys.executable, "-c", "import os; print(os.getpgid(0))"))
    until(lambda: job.poll() is not None)
    job.wait()
    assert int(last_line(tmp_path / "log")) != os.getpgid(0)
