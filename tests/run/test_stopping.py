"""A run that is stopped, refused by the disk or plagued by faults: nothing is lost, and it goes on to the same bytes."""

from __future__ import annotations

import errno
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from rich.console import Console
from test_train import files, quiet, small_run, timeless

from simko.agents.engine.local import LocalEngine
from simko.cli import run as simko
from simko.envs import TokenEnv
from simko.errors import UserError
from simko.run.folder import RunFolder
from simko.run.signals import Stopped
from simko.run.tracker import Progress
from simko.settings import train_config
from simko.train import train
from simko.types import Task, Verdict

pytestmark = pytest.mark.usefixtures("default_signals")

STEPS = 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run that nothing happened to."""
    return small_run(tmp_path_factory.mktemp("whole") / "run", STEPS)


def resumed(path: Path) -> RunFolder:
    run = RunFolder.open(path)
    return train(run.config, resume=run, console=quiet())


def assert_same(run: RunFolder, whole: RunFolder) -> None:
    assert timeless(run) == timeless(whole)
    assert files(run) == files(whole)
    assert not [path for path in run.path.rglob(".*")]
    for path in sorted(whole.verdicts_path.iterdir()):
        assert (run.verdicts_path / path.name).read_bytes() == path.read_bytes()


def at_call(number: int, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do `act` when the environment is asked for its `number`-th verdict."""
    real, calls = TokenEnv.grade, 0

    def grade(self: TokenEnv, text: str, task: Task) -> Verdict:
        nonlocal calls
        calls += 1
        if calls == number:
            act()
        return real(self, text, task)

    monkeypatch.setattr(TokenEnv, "grade", grade)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_a_rollout_saves_the_step_before_and_resumes_to_the_same_bytes(
    number: int, tmp_path: Path, whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    graded = [len(path.read_text().splitlines()) for path in sorted(whole.verdicts_path.iterdir())]
    with monkeypatch.context() as patched:
        at_call(sum(graded[:2]) + 2, lambda: os.kill(os.getpid(), number), patched)
        with pytest.raises(Stopped) as caught:
            small_run(tmp_path / "run", STEPS, checkpoint_every=100)
    assert caught.value.code == 128 + number
    run = RunFolder.open(tmp_path / "run")
    assert [path.name for path in run.checkpoints()] == ["step-000002"]
    manifest = run.manifest()
    assert (manifest["status"], manifest["reason"]) == ("stopped", signal.Signals(number).name)
    assert_same(again := resumed(run.path), whole)
    assert (again.manifest()["status"], again.manifest()["reason"]) == ("finished", None)


def test_a_signal_in_an_update_finishes_and_saves_the_step(
    tmp_path: Path, whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.optim.AdamW.step

    def step(self: torch.optim.AdamW, *arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", step)
        with pytest.raises(Stopped):
            small_run(tmp_path / "run", STEPS, checkpoint_every=100)
    run = RunFolder.open(tmp_path / "run")
    assert [path.name for path in run.checkpoints()] == ["step-000001"]
    assert_same(resumed(run.path), whole)


def test_workers_and_interval_do_not_change_a_byte(tmp_path: Path, whole: RunFolder) -> None:
    other = small_run(tmp_path / "run", STEPS, verifier_workers=3, checkpoint_every=1)
    assert_same(other, whole)


def test_a_verdict_stands_when_the_step_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verifier says the opposite after the kill, and is not asked."""
    with monkeypatch.context() as patched:
        at_call(6, lambda: os.kill(os.getpid(), signal.SIGTERM), patched)
        with pytest.raises(Stopped):
            small_run(tmp_path / "run", 1)
    path = tmp_path / "run" / "verdicts" / "000001.jsonl"
    noted = path.read_bytes().splitlines()
    asked = []

    def turncoat(self: TokenEnv, text: str, task: Task) -> Verdict:
        asked.append(text)
        return Verdict("timeout", 0.0)

    monkeypatch.setattr(TokenEnv, "grade", turncoat)
    run = resumed(tmp_path / "run")
    assert len(noted) >= 5
    assert set(noted) <= set(path.read_bytes().splitlines())
    assert len(noted) + len(asked) == len(path.read_bytes().splitlines())
    timed_out = sum(row["outcome"] == "timeout" for row in run.records.rollouts(1))
    assert run.metrics()[0].get("fault_verifier_timeout", 0) == timed_out < 16


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(
    tmp_path: Path, whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.write, 500_000

    def write(handle: int, data: Any) -> int:
        nonlocal left
        left -= len(data)
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        with pytest.raises(
            UserError, match=r"No space left on device; free some space and go on with: simko train --res"
        ):
            small_run(tmp_path / "run", STEPS, checkpoint_every=1)
    run = RunFolder.open(tmp_path / "run")
    assert not [path for path in run.path.rglob(".*")]
    assert_same(resumed(run.path), whole)


def test_a_logger_that_fails_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    config = train_config({"steps": 0, "out": str(tmp_path / "run"), "logger": "tensorboard", "eval_problems": 0})
    out = io.StringIO()
    real = Path.mkdir

    def mkdir(self: Path, *arguments: Any, **options: Any) -> None:
        if self.name == "tensorboard":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        real(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "mkdir", mkdir)
        train(config, console=Console(file=out, width=200))
    assert "fault: logger tensorboard failed" in out.getvalue()


def test_logits_that_are_not_finite_cost_the_step_and_five_in_a_row_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = LocalEngine.generate, 0

    def generate(self: LocalEngine, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2 or calls > 3:
            raise FloatingPointError("logits are not finite")
        return real(self, *arguments, **options)

    monkeypatch.setattr(LocalEngine, "generate", generate)
    with pytest.raises(UserError, match="5 steps in a row were skipped: the model's logits were not finite"):
        small_run(tmp_path / "run", 20, checkpoint_every=100)
    run = RunFolder.open(tmp_path / "run")
    faults = [line.get("fault_engine_nonfinite", 0) for line in run.metrics()]
    assert faults == [0, 1, 0, 1, 1, 1, 1, 1]
    assert run.manifest()["status"] == "failed"
    assert run.manifest()["reason"].startswith("stopped: 5 steps in a row were skipped")
    assert [path.name for path in run.checkpoints()] == ["step-000008"]
    weights = files(run)["adapter/adapter_model.safetensors"]
    assert np.isfinite(np.frombuffer(weights[-4096:], np.float32)).all()


def test_rubbish_for_verdicts_is_masked_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = TokenEnv.grade

    def grade(self: TokenEnv, text: str, task: Task) -> Any:
        return "rubbish" if len(text) % 2 else real(self, text, task)

    monkeypatch.setattr(TokenEnv, "grade", grade)
    out = io.StringIO()
    config = train_config({**small(), "steps": 2, "out": str(tmp_path / "run")})
    run = train(config, console=Console(file=out, width=200))
    lines = run.metrics()
    assert all(line["fault_verifier_error"] == line["verifier_failed"] > 0 for line in lines)
    assert sum(line.get("fault_grade_rubbish", 0) for line in lines) > 0
    assert "answers for which the environment gave no verdict (masked)" in out.getvalue()


def small() -> dict[str, Any]:
    from test_train import SMALL

    return dict(SMALL)


def test_the_command_line_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_call(20, lambda: os.kill(os.getpid(), signal.SIGTERM), monkeypatch)
    flags = [x for name, value in small().items() for x in (f"--{name.replace('_', '-')}", str(value))]
    assert simko(["train", *flags, "--steps", "9", "--out", str(tmp_path / "run")]) == 143
    err = capsys.readouterr().err
    assert err == f"simko: stopped by SIGTERM; go on with: simko train --resume {tmp_path / 'run'}\n"


@pytest.mark.slow
def test_nothing_grows_over_hundreds_of_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process, looks = psutil.Process(), {}

    def look(self: Progress, step: int, *_: Any) -> None:
        if step >= 40 and step % 5 == 0:  # allocators and kernels have seen most shapes by then
            children = process.children(recursive=True)
            looks[step] = (process.memory_info().rss, process.num_fds(), process.num_threads(), len(children))

    monkeypatch.setattr(Progress, "step", look)
    sizes = {"prompts_per_step": 1, "max_new_tokens": 8}
    run = small_run(tmp_path / "run", 150, checkpoint_every=20, logger="tensorboard", **sizes)
    assert sum(line["updates"] for line in run.metrics()) > 20
    early, late = ([looks[step] for step in range(first, first + 20, 5)] for first in (40, 135))
    assert {tuple(counts) for _, *counts in early + late} == {tuple(looks[40][1:])}
    assert min(late)[0] - min(early)[0] < 16 * 2**20  # the least of a few looks: a peak between two is no growth


def test_a_resume_that_is_refused_leaves_the_manifest_as_it_was(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", 1)
    run.write_manifest({"status": "running"})  # as after kill -9
    before = (run.path / "manifest.json").read_bytes()
    run.records.metrics_path.write_text("{}\n")
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 1: damaged"):
        resumed(run.path)
    assert (run.path / "manifest.json").read_bytes() == before
