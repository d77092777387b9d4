"""Whole runs of `simko train` by several processes: what one process leaves, killed and resumed with another number of them."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from ranks.kit import DEADLINE, environment, merged, run_world, until
from safetensors.torch import load_file

from simko.cli import run as simko
from simko.run.folder import RunFolder

minutes = pytest.mark.skipif("SIMKO_TEST_KILLS" not in os.environ, reason="minutes: part of `make faults`")
STEPS = 4
SMALL: dict[str, Any] = {
    "steps": STEPS, "prompts_per_step": 4, "group_size": 4, "checkpoint_every": 2, "keep_checkpoints": 9, "logger": "none",
    "preflight_prompts": 2, "force": True, "eval_problems": 2, "eval_samples": 4, "eval_every": 2, "eval_every_problems": 2,
    "eval_every_samples": 4,
}  # fmt: skip
FAR: dict[str, Any] = {"checkpoint_every": 100, "eval_problems": 0, "eval_every": 0, "preflight_prompts": 0}
"""No checkpoint is due before the end: what is saved is saved because the run ended."""
LAUNCHED = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m")


def train(
    out: Path, *launcher: str, program: str = "simko", resume: bool = False, FAULT: str = "", **settings: Any
) -> subprocess.CompletedProcess[str]:
    flags = ["--resume", str(out), "--checkpoint-every", "2"] if resume else merged(SMALL, {**settings, "out": out})
    variables = environment(**({"FAULT": FAULT} if FAULT else {}))
    command = [sys.executable, *launcher, program, "train", *flags]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=DEADLINE)


def failed(out: Path, size: int, fault: str, **settings: Any) -> list[tuple[int, str]]:
    command = ["-m", "ranks.run_child", "train", *merged(SMALL, {**FAR, **settings, "out": out})]
    return run_world(size, command, out.with_name("log"), FAULT=fault)


def resumed(out: Path, size: int) -> list[tuple[int, str]]:
    return run_world(size, ["-m", "simko", "train", "--resume", str(out)], out.with_name("again"))


def told(ends: list[tuple[int, str]]) -> list[list[str]]:
    """The lines of each rank that tell of an error."""
    return [[line for line in output.splitlines() if "error:" in line] for _, output in ends]


def rows(run: Path, step: int) -> tuple[list[dict[str, Any]], list[float]]:
    """The answers of a step without seconds, and their log-probs."""
    with gzip.open(run / "rollouts" / f"{step:06d}.jsonl.gz") as packed:
        answers = [json.loads(line) for line in packed]
    logprobs = [value for row in answers for value in row.pop("logprobs")]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in answers], logprobs


def assert_same(run: Path, whole: Path) -> None:
    """Rollouts and verdicts are equal; metrics, adapter and moments are equal but for rounding."""
    one, two = (RunFolder.open(path).metrics() for path in (whole, run))
    assert [line["step"] for line in two] == list(range(1, STEPS + 1))
    for a, b in zip(one, two, strict=True):
        assert {name for name in a if "heldout" not in name} == {name for name in b if "heldout" not in name}
        for name in a.keys() & b.keys():
            if not name.startswith("seconds"):
                assert b[name] == pytest.approx(a[name], rel=1e-4, abs=1e-5), name
    for path in sorted((whole / "verdicts").iterdir()):
        assert (run / "verdicts" / path.name).read_bytes() == path.read_bytes()
    for step in range(1, STEPS + 1):
        (expected, logprobs), (answers, others) = rows(whole, step), rows(run, step)
        assert answers == expected
        assert others == pytest.approx(logprobs, abs=5e-5)
    last = f"checkpoints/step-{STEPS:06d}"
    for name in ("adapter/adapter_model.safetensors", "optimizer.safetensors"):
        ours, theirs = load_file(run / last / name), load_file(whole / last / name)
        assert ours.keys() == theirs.keys()
        for key in ours:  # a step of Adam is 5e-4
            torch.testing.assert_close(ours[key], theirs[key], rtol=1e-3, atol=5e-5)


def names(run: Path) -> list[str]:
    """What a run has on disk, but for results of evaluations, whose names hash the adapter."""
    return sorted(p.relative_to(run).as_posix() for p in run.rglob("*") if p.parent.name != "eval")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    path = tmp_path_factory.mktemp("one") / "run"
    assert simko(["train", *merged(SMALL, {"out": path})]) == 0
    return path


def assert_quiet(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 4/4") == 1, "one rank speaks"
    assert [path.name for path in folder.iterdir()] == ["run"], "rank 1 writes nothing"


def test_a_run_of_two_is_killed_and_goes_on_to_what_one_process_leaves(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = train(run, *LAUNCHED, program="ranks.run_child", checkpoint_every=4, FAULT="1:update:3:SIGKILL")
    assert first.returncode == 1
    (line,) = [line for line in first.stderr.splitlines() if "simko: error:" in line]
    assert "another of the 2 processes has ended" in line
    assert f"simko train --resume {run}" in line
    assert [path.name for path in RunFolder.open(run).checkpoints()] == ["step-000002"], "the last whole step"
    ends = resumed(run, 2)
    assert [(code, output.count("step 4/4")) for code, output in ends] == [(0, 1), (0, 0)], "one rank speaks"
    assert_same(run, whole)
    results = [next((root / "eval").glob("*.json")) for root in (run, whole)]
    counts, expected = (json.loads(path.read_text())["counts"] for path in results)
    assert counts == expected
    assert (run / "heldout.jsonl").read_bytes() == (whole / "heldout.jsonl").read_bytes()


@minutes
def test_two_processes_leave_what_one_leaves(whole: Path, tmp_path: Path) -> None:
    assert_quiet(train(tmp_path / "run", *LAUNCHED), tmp_path)
    assert_same(tmp_path / "run", whole)
    assert names(tmp_path / "run") == names(whole)


@minutes
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_a_random_moment_and_resumed_three_times(seed: int, whole: Path, tmp_path: Path) -> None:
    """Three times a rank is killed at a moment by chance, and the run goes on with two or three processes."""
    run, chance = tmp_path / "run", random.Random(seed)
    for trial in range(4):
        flags = ["--resume", str(run)] if RunFolder.is_run(run) else merged(SMALL, {"out": run})
        size = chance.choice((2, 3)) if trial else 2
        command = [sys.executable, *LAUNCHED[:3], str(size), "-m", "simko", "train", *flags]
        log = tmp_path / f"log{trial}"
        with log.open("w") as output:
            launcher = subprocess.Popen(command, env=environment(), stdout=output, stderr=subprocess.STDOUT)
        try:
            if trial < 3:
                step, ranks = chance.randint(trial, STEPS - 1), psutil.Process(launcher.pid).children
                until(partial(begun, run, step, ranks, size))
                time.sleep(4 * chance.random())
                for victim in chance.sample(ranks(), 1) if ranks() else ():
                    victim.kill()
            code = launcher.wait(DEADLINE)
        finally:
            launcher.terminate()
            launcher.wait()
        assert code == 0 or trial < 3, log.read_text()
    assert_same(run, whole)


def begun(run: Path, step: int, ranks: Callable[[], list[psutil.Process]], size: int) -> bool:
    """Whether a run has recorded so many steps, and its ranks are there."""
    return steps_of(run) >= step and len(ranks()) >= size


def steps_of(run: Path) -> int:
    """How many steps a run has recorded."""
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@minutes
@pytest.mark.parametrize(("place", "size", "then"), [("rollout", 2, 3), ("update", 3, 1), ("update", 2, 2)])
def test_a_rank_that_is_killed_ends_the_others_and_the_run_goes_on(
    place: str, size: int, then: int, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    ends = failed(run, size, f"1:{place}:3:SIGKILL")
    assert [code for code, _ in ends] == [2, -9, 2][:size]
    for rank, lines in enumerate(told(ends)):
        assert len(lines) == (rank != 1), "one line for each that lives"
        assert all(f"another of the {size} processes has ended" in line and str(run) in line for line in lines)
    assert [path.name for path in RunFolder.open(run).checkpoints()] == ["step-000002"], "the last whole step"
    assert [code for code, _ in resumed(run, then)] == [0] * then
    assert_same(run, whole)


@minutes
def test_a_rank_without_the_folder_that_is_killed_takes_nothing_along(whole: Path, tmp_path: Path) -> None:
    ends = failed(tmp_path / "run", 2, "0:update:3:SIGKILL", checkpoint_every=1)
    assert [code for code, _ in ends] == [-9, 2]
    assert len(told(ends)[1]) == 1
    assert [code for code, _ in resumed(tmp_path / "run", 2)] == [0, 0]
    assert_same(tmp_path / "run", whole)


@minutes
@pytest.mark.parametrize(("what", "codes"), [("error", [2, 2]), ("SIGTERM", [143, 143])])
def test_what_happens_to_rank_1_alone_ends_both_and_is_told_once(what: str, codes: list[int], tmp_path: Path) -> None:
    ends = failed(tmp_path / "run", 2, f"1:rollout:3:{what}")
    assert [code for code, _ in ends] == codes
    run = RunFolder.open(tmp_path / "run")
    assert [path.name for path in run.checkpoints()] == ["step-000002"]
    if what == "error":
        assert told(ends) == [[], ["simko: error: environment broken: begin raised; mend it"]]
        assert run.manifest()["reason"] == "rank 1: environment broken: begin raised; mend it"
    else:
        assert [output.count("go on with") for _, output in ends] == [1, 0]


@minutes
def test_adapters_that_differ_end_the_run(tmp_path: Path) -> None:
    ends = failed(tmp_path / "run", 2, "1:any:2:drift", digest_every=2)
    assert [code for code, _ in ends] == [2, 2]
    (line,) = [line for lines in told(ends) for line in lines]
    assert "step 2: the adapter of rank 1 is not that of rank 0" in line
    assert [step for step in RunFolder.open(tmp_path / "run").records.recorded_steps()] == [1]
