"""The difficulty pass: solve rates of the base model on disk, and a run on the problems in a range."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeEnv, FakePolicy
from rich.console import Console

from simko import difficulty
from simko.config import TrainConfig
from simko.difficulty import KeptTasks, keep_solved, measured
from simko.envs.verifiers import register_verifier
from simko.errors import TooFewTasksError, UserError
from simko.run.faults import Faults
from simko.run.folder import RunFolder
from simko.run.resume import resumed_config
from simko.schedule import refill_tasks, training_tasks
from simko.settings import train_config
from simko.train import train
from simko.types import Task, TaskSource, Verdict

SETTINGS: dict[str, Any] = {
    "env": "fake", "prompts_per_step": 2, "group_size": 4, "solve_samples": 4, "keep_solved": "0.2:0.8"
}  # fmt: skip


class Rows:
    """Twenty numbers; the last digit of one says how often it is solved."""

    name, size = "rows", 20
    notes: tuple[str, ...] = ("twenty rows",)

    def draw(self, rng: np.random.Generator) -> Task:
        return self.get(str(rng.integers(20)))

    def get(self, task_id: str) -> Task:
        if not task_id.isdigit() or int(task_id) >= 20:
            raise UserError(f"rows: no task '{task_id}'")
        return Task(task_id, f"problem {task_id}", str(int(task_id) % 2))

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        return [self.get(str(i)) for i in range(20 if count is None else count)]


class Env(FakeEnv):
    """The share of right answers grows with the last digit of the task; those that end in 9 have no verdict."""

    def __init__(self) -> None:
        super().__init__(source=Rows())
        self.verifier_name = "fake"

    def grade(self, text: str, task: Task) -> Verdict:
        self.graded.append(task.id)
        digit = int(task.id) % 10
        drawn = blake2b(f"{task.id} {text}".encode(), digest_size=1).digest()[0] % 9
        return Verdict("timeout" if digit == 9 else "correct" if drawn < digit else "incorrect", 0.0)


class Spy(FakePolicy):
    """Counts rollouts with the adapter off."""

    base_calls = 0

    def base(self) -> Any:
        self.base_calls += 1
        return super().base()


def config(**settings: Any) -> TrainConfig:
    return TrainConfig(**{**SETTINGS, **settings})


def rates_of(path: Path, of_policy: Any = None, of_env: Any = None, **settings: Any) -> dict[str, tuple[int, int]]:
    out = Console(file=io.StringIO())
    rates = measured(config(**settings), of_policy or FakePolicy(), of_env or Env(), path, out)
    return {rate.task: (rate.correct, rate.valid) for rate in rates}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difficulty, "chunk_size", lambda max_new_tokens, device: 12)  # three problems of four answers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "solve_rates.jsonl"


def kept(tmp_path: Path, **settings: Any) -> Any:
    chosen = config(out=str(tmp_path), **settings)
    run, console = RunFolder(tmp_path, chosen), Console(file=io.StringIO())
    return keep_solved(chosen, FakePolicy(), Env(), run, Faults(), console)


def test_the_base_model_answers_and_every_task_has_a_line(path: Path) -> None:
    policy, env = Spy(), Env()
    rates = rates_of(path, policy, env)
    assert policy.base_calls == 7  # 20 tasks, three at a time
    assert policy.active
    first, *lines = map(json.loads, path.read_text().splitlines())
    assert [line["task"] for line in lines] == [str(i) for i in range(20)]
    assert rates == {line["task"]: (line["correct"], line["valid"]) for line in lines}
    assert set(lines[0]) == {"task", "correct", "valid"}
    assert (first["solve_samples"], first["temperature"], first["verifier"]) == (4, 1.0, "fake")
    assert rates["9"] == (0, 0)
    assert rates["0"] == (0, 4)
    assert len(env.graded) <= 80


def test_the_pass_is_the_same_bytes_and_is_not_repeated(path: Path, tmp_path: Path) -> None:
    rates_of(path)
    other = tmp_path / "other.jsonl"
    rates_of(other)
    assert other.read_bytes() == path.read_bytes()
    env = Env()
    rates_of(path, of_env=env)
    assert env.graded == []
    rates_of(tmp_path / "seed.jsonl", seed=5)
    assert (tmp_path / "seed.jsonl").read_bytes() != path.read_bytes()


@pytest.mark.parametrize("cut", [1, 7, 200, 333, 600])
def test_a_pass_that_was_killed_goes_on_to_the_same_bytes(path: Path, cut: int) -> None:
    rates_of(path)
    whole = path.read_bytes()
    header = len(whole.splitlines(keepends=True)[0])
    path.write_bytes(whole[: header + cut])
    env = Env()
    rates_of(path, of_env=env)
    assert path.read_bytes() == whole
    lines = whole[: header + cut].count(b"\n") - 1
    assert set(env.graded) == {str(i) for i in range(lines // 3 * 3, 20)}


@pytest.mark.parametrize(
    "harm",
    [
        lambda line: b"[" * 100_000 + b"\n",
        lambda line: line.replace(b'"valid": 4', b'"valid": 5'),
        lambda line: line.replace(b'"correct": ', b'"correct": -'),
        lambda line: line.replace(b'"valid": 4', b'"valid": true'),
        lambda line: line.replace(b'"task": "5"', b'"task": "6"'),
        lambda line: b"\xff\n",
        lambda line: b"\n",
    ],
)
def test_a_damaged_line_is_measured_again(path: Path, harm: Callable[[bytes], bytes]) -> None:
    rates_of(path)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:6], harm(lines[6]), *lines[7:]]))
    rates_of(path)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 0.7}, "its temperature is 1.0, this run has 0.7"),
        ({"solve_samples": 8}, "its solve_samples is 4, this run has 8"),
        ({"template": "plain"}, "its template is chat, this run has plain"),
        ({"env": "other"}, "its env is fake, this run has other"),
        ({"quantization": "none"}, "its quantization is nf4, this run has none"),
    ],
)
def test_rates_of_something_else_are_refused(path: Path, tmp_path: Path, change: dict[str, Any], words: str) -> None:
    rates_of(path)
    before = path.read_bytes()
    with pytest.raises(UserError, match=rf"{path}: line 1: {words}; put back what it was, or delete"):
        rates_of(path, **change)
    with pytest.raises(UserError, match=rf"{words}; leave --solve-rates out"):
        rates_of(tmp_path / "new.jsonl", solve_rates=str(path), **change)
    assert path.read_bytes() == before
    assert not (tmp_path / "new.jsonl").exists()


@pytest.mark.parametrize("what", ["weights", "verifier", "max_new_tokens", "data"])
def test_rates_of_another_model_verifier_budget_or_data_are_refused(path: Path, what: str) -> None:
    rates_of(path)
    policy, env = FakePolicy(), Env()
    if what == "weights":
        policy.fingerprint = "another"  # type: ignore[attr-defined]
    elif what == "verifier":
        env.verifier_name = "another"
    elif what == "max_new_tokens":
        env.max_new_tokens = 9
    else:
        env.source.get = lambda task_id: Task(task_id, "another problem", "0")
    with pytest.raises(UserError, match=f"line 1: its {what} is "):
        rates_of(path, policy, env)


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"[1]\n", b"\xff\xfe", b"[" * 100_000, b'{"format": 2}\n'])
def test_a_file_that_holds_no_rates_is_one_line(path: Path, tmp_path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match="line 1 does not say what they are rates of; leave --solve-rates out"):
        rates_of(tmp_path / "new.jsonl", solve_rates=str(path))


def test_a_file_that_is_not_there_is_one_line(path: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UserError, match=rf"solve rates {place}: .*; leave --solve-rates out"):
            rates_of(path, solve_rates=str(place))


def test_rates_serve_a_run_of_another_seed_and_are_copied(path: Path, tmp_path: Path) -> None:
    rates_of(path)
    copy, env = tmp_path / "copy.jsonl", Env()
    rates_of(copy, of_env=env, seed=3, solve_rates=str(path))
    assert env.graded == []
    assert copy.read_bytes() == path.read_bytes()  # its first line states the seed that they were measured with
    half, whole = tmp_path / "half.jsonl", path.read_bytes()
    half.write_bytes(b"".join(whole.splitlines(keepends=True)[:11]))
    copy.unlink()
    rates_of(copy, seed=3, solve_rates=str(half))
    assert copy.read_bytes() == whole
    path.unlink()
    rates_of(copy, of_env=env, seed=3, solve_rates=str(path))  # the run has its own by now
    assert env.graded == []


def test_only_tasks_in_the_closed_range_are_kept(tmp_path: Path) -> None:
    env = kept(tmp_path, keep_solved="0.25:0.75")
    rates = rates_of(tmp_path / "solve_rates.jsonl")
    inside = {task for task, (correct, valid) in rates.items() if valid and 0.25 <= correct / valid <= 0.75}
    assert {0.25, 0.75} <= {correct / valid for task, (correct, valid) in rates.items() if task in inside}
    assert {task.id for task in env.source.tasks(None, 0)} == inside
    trained = {t.id for step in range(1, 25) for t in training_tasks(env.source, 0, step, 2)}
    refilled = {t.id for step in range(1, 25) for t in refill_tasks(env.source, 0, step, 1, 4, ())}
    assert trained == inside
    assert refilled == inside
    assert env.max_new_tokens == 8


def test_a_kept_source_is_a_source(tmp_path: Path) -> None:
    source = kept(tmp_path).source
    assert isinstance(source, TaskSource)
    assert (source.name, source.notes, source.bad_rows) == ("rows", ("twenty rows",), ())
    ids = {task.id for task in source.tasks(None, 0)}
    assert source.size == len(ids) == len(source.tasks(None, 7))
    rng = np.random.default_rng(0)
    assert {source.draw(rng).id for _ in range(400)} == ids
    chosen = [task.id for task in source.tasks(3, 1)]
    assert len(set(chosen)) == 3
    assert chosen == [task.id for task in source.tasks(3, 1)]
    assert set(chosen) <= ids
    assert source.get(chosen[0]).id == chosen[0]
    with pytest.raises(TooFewTasksError):
        source.tasks(len(ids) + 1, 0)
    for unknown in ("0", "nope"):
        with pytest.raises(UserError):
            source.get(unknown)


def test_too_few_kept_tasks_are_one_line_with_counts(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"keeps 0 of 20 problems \(\d+ below, 0 inside, \d+ above, 2 without any verdict\)"
    ):
        kept(tmp_path, keep_solved="0.3:0.4")
    with pytest.raises(
        UserError, match=r"a step takes 19; widen the range, or lower --prompts-per-step to \d+; with --solve"
    ):
        kept(tmp_path, prompts_per_step=19)
    few = KeptTasks(Rows(), frozenset({"1"}))
    assert [task.id for task in training_tasks(few, 0, 1, 2)] == ["1"]


def test_generated_problems_are_refused_and_without_the_setting_nothing_happens(tmp_path: Path) -> None:
    chosen, console = config(out=str(tmp_path)), Console(file=io.StringIO())
    run = RunFolder(tmp_path, chosen)
    with pytest.raises(
        UserError, match=r"generated without end; leave it out and take --sampling refill, or .* --level"
    ):
        keep_solved(chosen, FakePolicy(), FakeEnv(), run, Faults(), console)
    env = FakeEnv()
    assert keep_solved(replace(chosen, keep_solved=None), FakePolicy(), env, run, Faults(), console) is env
    assert list(tmp_path.iterdir()) == []


def test_faults_of_the_pass_are_not_those_of_step_1(tmp_path: Path) -> None:
    faults = Faults()
    faults.count("grade_raised")
    chosen = config(out=str(tmp_path))
    keep_solved(chosen, FakePolicy(), Env(), RunFolder(tmp_path, chosen), faults, Console(file=io.StringIO()))
    assert faults.take() == {}


@pytest.mark.parametrize(
    "text", ["", "0.1", "0.9:0.1", "-0.1:0.5", "0:1.5", "a:b", "0.1:nan", "0.1:0.5:0.9", ":", "0.1-0.9"]
)
def test_a_range_that_is_none_is_one_line(text: str) -> None:
    with pytest.raises(
        UserError, match=r"keep_solved is .*; it must be LOW:HIGH, two solve rates from 0 to 1, as 0.1:0.9"
    ):
        TrainConfig(keep_solved=text)
    assert TrainConfig(keep_solved="0:1").keep_solved == "0:1"


def test_another_range_or_file_makes_another_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, train_config({"keep_solved": "0.1:0.9", "solve_rates": "a", "out": str(tmp_path)}))
    for key, value in (("keep_solved", "0.2:0.9"), ("solve_samples", "3"), ("solve_rates", "b")):
        with pytest.raises(UserError, match=f"--{key.replace('_', '-')} is {value}, the run has .*; leave it out"):
            resumed_config(run, {key: value})
    assert resumed_config(run, {"keep_solved": "0.1:0.9"}) == run.config


def test_rates_without_a_range_are_refused() -> None:
    with pytest.raises(UserError, match=r"solve_rates is 'x', and keep_solved is empty; give --keep-solved"):
        TrainConfig(solve_rates="x")


# A whole run


def chance(response: str, gold: str) -> bool:
    """Right or wrong by the first byte: how often differs from problem to problem."""
    return blake2b(response[:1].encode() + gold.encode(), digest_size=1).digest()[0] % 3 == 0


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    register_verifier("chance", chance)
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"problem": f"{i} =", "answer": str(i)}) + "\n" for i in range(30)))
    return {
        "env": f"jsonl:{data}", "verifier": "chance", "keep_solved": "0.2:0.6", "solve_samples": 8, "max_new_tokens": 4,
        "prompts_per_step": 2, "group_size": 4, "eval_problems": 0, "preflight_prompts": 2, "logger": "none", "lora_rank": 4,
        "steps": 3, "checkpoint_every": 1,
    }  # fmt: skip


def run_of(settings: dict[str, Any], out: Path, **more: Any) -> RunFolder:
    return train(train_config({**settings, "out": str(out), **more}), console=Console(file=io.StringIO()))


def test_a_run_trains_on_kept_problems_alone_and_resumes(settings: dict[str, Any], tmp_path: Path) -> None:
    whole = run_of(settings, tmp_path / "whole")
    lines = [json.loads(line) for line in whole.solve_rates_path.read_text().splitlines()[1:]]
    inside = {line["task"] for line in lines if 0.2 <= line["correct"] / line["valid"] <= 0.6}
    assert 2 <= len(inside) < len(lines)
    assert {row["task"] for step in (1, 2, 3) for row in whole.records.rollouts(step)} <= inside

    torn = tmp_path / "torn"
    shutil.copytree(whole.path, torn)
    shutil.rmtree(torn / "checkpoints" / "step-000003")
    resumed = train(RunFolder.open(torn).config, resume=RunFolder.open(torn), console=Console(file=io.StringIO()))
    weights = "checkpoints/step-000003/adapter/adapter_model.safetensors"
    assert (torn / weights).read_bytes() == (whole.path / weights).read_bytes()
    assert resumed.solve_rates_path.read_bytes() == whole.solve_rates_path.read_bytes()

    killed = tmp_path / "killed"  # in the midst of the pass
    for name in ("checkpoints", "rollouts", "verdicts", "eval"):
        (killed / name).mkdir(parents=True)
    shutil.copy(whole.path / "config.yaml", killed)
    (killed / "solve_rates.jsonl").write_bytes(whole.solve_rates_path.read_bytes()[:700])
    train(RunFolder.open(killed).config, resume=RunFolder.open(killed), console=Console(file=io.StringIO()))
    assert (killed / "solve_rates.jsonl").read_bytes() == whole.solve_rates_path.read_bytes()
    assert (killed / weights).read_bytes() == (whole.path / weights).read_bytes()


def test_rates_outlive_a_run_that_is_refused_for_them(settings: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(UserError, match=r"keeps \d+ of \d+ problems"):
        run_of(settings, out, keep_solved="0.99:0.995")
    assert [path.name for path in out.iterdir()] == ["solve_rates.jsonl"]
    measured_then = (out / "solve_rates.jsonl").read_bytes()
    other = run_of(settings, tmp_path / "other", solve_rates=str(out / "solve_rates.jsonl"), steps=0)
    assert other.solve_rates_path.read_bytes() == measured_then
    run = run_of(settings, out, steps=0)
    assert run.solve_rates_path.read_bytes() == measured_then
