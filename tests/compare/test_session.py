"""A whole comparison in its folder, with fake cells: results, stopping, and what a call leaves behind."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from compare_fakes import FakeMachine, study

from simko.cli import run as simko
from simko.compare import session
from simko.compare.runner import Runner
from simko.compare.session import Session

pytestmark = pytest.mark.usefixtures("default_signals")

CHOICES = {"temperatures": "0.6,1.0", "templates": "chat,qwen"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    """Cells of every session are fake ones."""
    fake = FakeMachine(
        better=lambda result: 0.5 + 0.25 * (result["temperature"] < 1) + 0.25 * (result["template"] == "qwen")
    )
    monkeypatch.setattr(session, "Runner", partial(Runner, launch=fake, clock=fake.clock, pause=fake.clock.pause))
    return fake


def run(folder: Path, of: Any, **options: Any) -> tuple[Any, Any, Any]:
    return Session(folder, of, **options).run(lambda line: None)


def test_results_hold_the_arms_the_plan_and_the_choices(tmp_path: Path, machine: FakeMachine) -> None:
    _, outcome, result = run(tmp_path / "c", study("grpo", "nsr", seeds=(0, 1), control=True, **CHOICES))
    assert not outcome.missing
    assert [arm["name"] for arm in result["arms"]] == [
        "base", "base with prompt qwen", "base at T 0.6", "grpo", "grpo at T 0.6", "nsr", "nsr at T 0.6",
        "random_rewards", "random_rewards at T 0.6",
    ]  # fmt: skip
    assert all([point["seed"] for point in arm["seeds"]] == [0, 1] for arm in result["arms"])
    assert result["plan"]["arms"]["random_rewards"] == {"algorithm": "grpo", "random_rewards": 0.5}
    assert "base: strongest prompt qwen" in result["notes"]
    assert json.loads((tmp_path / "c/results.json").read_text()) == result
    assert not (tmp_path / "c/.lock").exists()


def test_results_do_not_depend_on_interruptions(tmp_path: Path, machine: FakeMachine) -> None:
    asked = study("grpo", **CHOICES)
    run(tmp_path / "whole/c", asked)
    calls = 0
    while not (result := run(tmp_path / "cut/c", asked, budget_hours=4 / 3600))[2] or result[1].missing:
        calls += 1
    assert calls > 1
    for name in (
        "results.csv",
        "table.md",
        "plan.yaml",
    ):  # results.json hashes the result files, which name their folder
        assert (tmp_path / "cut/c" / name).read_bytes() == (tmp_path / "whole/c" / name).read_bytes()


def test_a_whole_seed_has_results_before_the_next(tmp_path: Path, machine: FakeMachine) -> None:
    run(tmp_path / "c", study("grpo", seeds=(0, 1)), budget_hours=3.5 / 3600)
    result = json.loads((tmp_path / "c/results.json").read_text())
    assert [[point["seed"] for point in arm["seeds"]] for arm in result["arms"]] == [[0, 1], [0]]


def test_a_signal_ends_the_jobs_and_says_how_to_go_on(
    tmp_path: Path, machine: FakeMachine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = partial(Runner, launch=machine, clock=machine.clock, pause=lambda: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setattr(session, "Runner", stopped)
    out = str(tmp_path / "c")
    assert simko(["compare", "--algorithms", "grpo", "--out", out]) == 128 + signal.SIGTERM
    assert f"simko: stopped by SIGTERM; go on with: simko compare {out}" in capsys.readouterr().err.splitlines()
    assert [job.stopped for job in machine.jobs] == [True]
    assert [path.name for path in Path(out).iterdir() if path.name.startswith(".")] == []


def test_a_failed_cell_is_told_and_the_command_fails(
    tmp_path: Path, machine: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.broken = {"runs/grpo": 1}
    out = str(tmp_path / "c")
    words = [
        "compare",
        "--algorithms",
        "grpo",
        "--temperatures",
        "1",
        "--templates",
        "chat",
        "--steps",
        "2",
        "--out",
        out,
    ]
    assert simko([*words, "--json"]) == 1
    output = capsys.readouterr()
    content = json.loads(output.out)
    assert content["missing"] == 1
    assert content["failed"][0].startswith("grpo, seed 0: training failed (exit code 1: last words); see ")
    assert f"simko: go on with: simko compare {out}" in output.err.splitlines()
    machine.broken = {}
    assert simko(["compare", out]) == 0
    assert "grpo" in capsys.readouterr().out


def test_a_sweep_ends_in_a_study_that_a_comparison_takes(
    tmp_path: Path, machine: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text(
        "common: {steps: 2}\narms:\n  grpo: {algorithm: grpo, grid: {learning_rate: [0.1, 0.2]}}\n"
        "  nsr: {algorithm: nsr, grid: {learning_rate: [0.1, 0.2]}}\n"
    )
    assert simko(["sweep", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "s")]) == 0
    assert capsys.readouterr().out.count("<- best") == 2
    tuned = str(tmp_path / "s/tuned.yaml")
    small = ["--temperatures", "1", "--templates", "chat", "--no-random-control"]
    assert simko(["compare", "--config", tuned, "--seeds", "2", "--out", str(tmp_path / "c"), *small]) == 0
    result = json.loads((tmp_path / "c/results.json").read_text())
    assert result["plan"]["tuned"]["sweep"] == "s"
    assert result["plan"]["tuned"]["grid_sha256"] in " ".join(result["notes"])
