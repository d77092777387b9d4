"""Evaluation from target to result, on a fake policy and environment; and once on the built-in model."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from eval_fakes import FakeEnv, FakePolicy, a_run, empty_run, run_evaluation
from rich.console import Console

import simko.envs
from simko.config import EvalConfig, TrainConfig
from simko.errors import TooFewTasksError, UserError
from simko.eval_tasks import count_overlap
from simko.evaluate import evaluate
from simko.run.samples import read_samples
from simko.run.target import resolve, sampling_settings
from simko.types import Sampling, Task, Verdict


def test_a_run_from_end_to_end(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    result, printed = run_evaluation(EvalConfig(str(run.path), n=40, seed=1))
    assert {k: result[k] for k in ("model", "env", "split", "n", "problems", "temperature", "top_p", "seed")} == {
        "model": "tiny", "env": "simko/Countdown-v0", "split": "eval", "n": 40, "problems": 5, "temperature": 0.6,
        "top_p": 0.95, "seed": 1,
    }  # fmt: skip
    assert (result["algorithm"], result["step"], result["overlap"]) == ("simko", 7, 0)
    assert list(result["pass_at_k"]) == list(result["base"]["pass_at_k"]) == ["1", "2", "4", "8", "16", "32", "40"]
    assert result["pass_at_k"]["1"] > result["base"]["pass_at_k"]["1"] + 0.1
    correct = [row["correct"] / row["samples"] for row in result["counts"].values()]
    assert result["pass_at_k"]["1"] == pytest.approx(np.mean(correct))
    assert result["interval"]["1"][0] < result["pass_at_k"]["1"] < result["interval"]["1"][1]
    assert set(result["majority_at_k"]) == set(result["pass_at_k"])
    assert sum(result["outcomes"].values()) == 200
    assert 0 < result["truncated"] < 0.2
    assert result["verdicts"]["1"] == ("better" if result["difference"]["1"][1] > 0 else "not decided")
    assert result["first_loss"]["grid"] == [1, 2, 4, 8, 16]
    assert result["versions"]["simko"]
    assert "temperature 0.6, top-p 0.95" in printed
    assert result["plot"] in printed

    file = Path(result["file"])
    assert file.parent == run.eval_path
    assert json.loads(file.read_text()) == json.loads(json.dumps(result))
    assert Path(result["plot"]).read_bytes().startswith(b"\x89PNG")
    assert {path.suffix for path in run.eval_path.iterdir()} == {
        ".json",
        ".png",
        ".gz",
    }  # nothing half-written left behind
    assert result["samples"] == str(file.with_suffix(".samples.jsonl.gz"))
    assert result["samples"] in printed


def test_every_answer_is_kept_and_gives_the_counts_again(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    result, _ = run_evaluation(EvalConfig(str(run.path), n=6, seed=1))
    rows = list(read_samples(result["samples"]))
    assert [(r["task"], r["sample"]) for r in rows] == [(task, i) for task in result["counts"] for i in range(6)] * 2
    for side, counts in (("trained", result["counts"]), ("base", result["base"]["counts"])):
        of_side = [row for row in rows if row["side"] == side]
        assert {task: sum(r["outcome"] == "correct" for r in of_side if r["task"] == task) for task in counts} == {
            task: count["correct"] for task, count in counts.items()
        }
    first = Path(result["samples"]).read_bytes()
    assert Path(run_evaluation(EvalConfig(str(run.path), n=6, seed=1))[0]["samples"]).read_bytes() == first


def test_answers_are_left_out_on_request(tmp_path: Path) -> None:
    result, _ = run_evaluation(EvalConfig("tiny", n=4, samples=False, out=str(tmp_path)))
    assert result["samples"] is None
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".png"}


def test_a_disk_that_fills_up_with_answers_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError, match=r"samples\.jsonl\.gz: No space left.*--no-samples"):
        run_evaluation(EvalConfig("tiny", n=4, out=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_base_is_left_out_on_request_and_where_nothing_was_trained(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    assert run_evaluation(EvalConfig(str(run.path), n=4, base=False))[0]["base"] is None
    result, _ = run_evaluation(EvalConfig("tiny", n=4, out=str(tmp_path / "out")))
    assert (result["base"], result["adapter"], result["step"]) == (None, None, None)


def test_names_differ_where_numbers_may_and_repeat_otherwise(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    target = str(run.path)
    variants = [
        {}, {"n": 5}, {"seed": 1}, {"problems": 3}, {"training_sampling": True}, {"top_p": 1.0}, {"base": False},
        {"level": 2}, {"template": "plain"}, {"env": "simko/Arithmetic-v0"},
        {"part": "final"}, {"part": "tuning"}, {"problem_seed": 1},
    ]  # fmt: skip
    files = [run_evaluation(EvalConfig(target, **{"n": 4, **variant}))[0]["file"] for variant in variants]
    assert len(set(files)) == len(files)
    assert "step000007-n4-t0.6-p0.95" in files[0]
    assert run_evaluation(EvalConfig(target, n=4, temperature=1.0, top_p=1.0))[0]["file"] == files[4]
    assert run_evaluation(EvalConfig(target, n=4, part="all", problem_seed=0))[0]["file"] == files[0]


def test_the_seed_of_the_problems_is_not_that_of_the_samples(tmp_path: Path) -> None:
    target, out = "tiny", str(tmp_path)
    asked: list[int] = []

    def evaluated(**settings: int) -> dict[str, Any]:
        env: Any = FakeEnv()
        tasks = env.source.tasks
        env.source.tasks = lambda count, seed: asked.append(seed) or tasks(count, seed)
        config = EvalConfig(target, n=30, out=out, **settings)
        return evaluate(config, Console(file=io.StringIO()), policy=FakePolicy(), env=env)

    first, other = evaluated(seed=1), evaluated(seed=2, problem_seed=1)
    assert asked == [1, 1]
    assert [(r["seed"], r["problem_seed"], r["part"]) for r in (first, other)] == [(1, 1, "all"), (2, 1, "all")]
    assert first["counts"] != other["counts"]


def test_a_part_is_measured_and_named(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    results = {part: run_evaluation(EvalConfig(str(run.path), n=4, part=part)) for part in ("all", "tuning", "final")}
    tuning, final = (set(results[part][0]["counts"]) for part in ("tuning", "final"))
    assert not tuning & final
    assert tuning | final == set(results["all"][0]["counts"])
    assert "held-out, tuning part" in results["tuning"][1]
    assert "-tuning-n4" in results["tuning"][0]["file"]


def test_other_weights_under_the_same_path_have_another_name(tmp_path: Path) -> None:
    names = []
    for weights in (b"one", b"two"):
        (tmp_path / "adapter_model.safetensors").write_bytes(weights)
        config = EvalConfig("tiny", n=4, adapter=str(tmp_path), out=str(tmp_path / "out"))
        names.append(run_evaluation(config)[0]["file"])
    assert names[0] != names[1]


def test_problems_seen_in_training_are_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", ["Problem  2", "problem 4", "problem 99"])
    message = r"2 of 5 problems .* one is task 'fake/eval/2'; .*--allow-overlap"
    with pytest.raises(UserError, match=message):
        run_evaluation(EvalConfig(str(run.path), n=4))
    assert not list(run.eval_path.iterdir())
    result, printed = run_evaluation(EvalConfig(str(run.path), n=4, allow_overlap=True))
    assert result["overlap"] == 2
    assert "2 of them seen in training" in printed
    assert count_overlap(None, FakeEnv().source.tasks(None, 0), allow=False) == 0


def test_an_adapter_inside_a_run_brings_the_runs_prompts(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", ["problem 2"])
    config = EvalConfig("tiny", n=4, adapter=str(run.adapter()), out=str(tmp_path))
    with pytest.raises(UserError, match="1 of 5 problems"):
        run_evaluation(config)
    assert resolve(config).step == 7


def test_fewer_problems_than_asked_for_are_said(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")

    def few(count: int | None, seed: int) -> list[Task]:
        if count != 2:
            raise TooFewTasksError("fake: has 2 tasks", 2)
        return [Task(f"fake/eval/{i}", f"problem {i}", "1") for i in (1, 2)]

    env: Any = FakeEnv()
    env.source.tasks = few
    out = io.StringIO()
    config = EvalConfig(str(run.path), n=2, problems=5, base=False)
    result = evaluate(config, Console(file=out, width=200), policy=FakePolicy(), env=env)
    assert result["problems"] == 2
    assert "5 problems were asked for, and the split has 2" in out.getvalue()


def test_sampling_settings() -> None:
    train = TrainConfig(temperature=0.8)
    assert sampling_settings(EvalConfig("x"), train) == Sampling(0.6, 0.95)
    assert sampling_settings(EvalConfig("x", temperature=1.0, top_p=0.5), train) == Sampling(1.0, 0.5)
    assert sampling_settings(EvalConfig("x", training_sampling=True), train) == Sampling(0.8)
    assert sampling_settings(EvalConfig("x", temperature=0.0, n=1), train) == Sampling(0.0, 0.95)
    with pytest.raises(UserError, match="same answer 256 times"):
        sampling_settings(EvalConfig("x", temperature=0.0), train)
    with pytest.raises(UserError, match="training_sampling fixes"):
        sampling_settings(EvalConfig("x", training_sampling=True, temperature=1.0), train)


def test_a_runs_settings_and_what_overrides_them(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", env="simko/Countdown-v0", level=3, template="plain", threads=2, quantization="int8")
    target = resolve(EvalConfig(str(run.path)))
    assert (target.settings.level, target.settings.template, target.settings.quantization) == (3, "plain", "int8")
    assert (target.settings.threads, target.adapter, target.step) == (
        2,
        run.path / "checkpoints/step-000007/adapter",
        7,
    )
    other = resolve(EvalConfig(str(run.path), env="simko/Arithmetic-v0", max_new_tokens=9)).settings
    assert (other.env, other.level, other.max_new_tokens) == ("simko/Arithmetic-v0", None, 9)
    assert (other.template, other.quantization) == ("plain", "int8")


def test_targets_that_cannot_be_evaluated(tmp_path: Path) -> None:
    empty = empty_run(tmp_path / "empty")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    for target, mend in {
        str(empty.path): "no checkpoint yet.*--resume",
        str(adapter): "is an adapter; .*--adapter",
        str(tmp_path): "neither a run nor a model",
        str(tmp_path / "gone"): "there is no folder",
        "runs/gone": "there is no folder",
        "some/hub-model": "give --env",
    }.items():
        with pytest.raises(UserError, match=mend):
            resolve(EvalConfig(target))
    assert resolve(EvalConfig(str(empty.path)), in_memory=True).step is None
    assert resolve(EvalConfig("tiny")).settings.env == "simko/Countdown-v0"
    assert resolve(EvalConfig("some/hub-model", env="simko/GSM8K-v0")).settings.model == "some/hub-model"


def test_best_and_newest_have_results_of_their_own(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", step=1, checkpoint_every=1)
    target = str(run.path)
    with run.opened(run.config):
        fake: Any = FakePolicy()
        run.save_checkpoint(2, fake, torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))]))
    best, newest = (run_evaluation(EvalConfig(target, n=4, best=best))[0] for best in (True, False))
    assert (best["step"], newest["step"]) == (1, 2)
    assert best["file"] != newest["file"]
    assert Path(best["file"]).is_file()
    assert Path(newest["file"]).is_file()


def test_the_best_of_what_has_none_is_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", step=7)  # no whole interval
    with pytest.raises(UserError, match=r"no best checkpoint yet.*leave --best out"):
        resolve(EvalConfig(str(run.path), best=True))
    with pytest.raises(UserError, match="--best is for run folders, and tiny is not one"):
        resolve(EvalConfig("tiny", best=True))
    with pytest.raises(UserError, match="name two adapters"):
        resolve(EvalConfig(str(run.path), best=True, adapter=str(tmp_path)))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    (run.path / "checkpoints/step-000007/adapter/adapter_model.safetensors").write_bytes(b"other weights")
    with pytest.raises(UserError, match="damaged"):
        resolve(EvalConfig(str(run.path)))


def test_where_the_result_cannot_go_is_found_before_sampling(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="give another --out"):
        run_evaluation(EvalConfig("tiny", out=str(tmp_path / "file" / "out")))


def test_a_verifier_that_always_fails_is_an_error(tmp_path: Path) -> None:
    class Broken(FakeEnv):
        def grade(self, text: str, task: Task) -> Verdict:
            return Verdict("error", 0.0)

    with pytest.raises(UserError, match="failed on every answer"):
        evaluate(EvalConfig("tiny", n=4, out=str(tmp_path)), Console(file=io.StringIO()), FakePolicy(), Broken())


@pytest.mark.slow
def test_the_built_in_model(tmp_path: Path) -> None:
    """The real policy and environment: held-out problems, a repeated evaluation with the same counts."""
    config = EvalConfig("tiny", n=16, problems=8, temperature=1.0, top_p=1.0, out=str(tmp_path), threads=1)
    first, again = (evaluate(config, Console(file=io.StringIO())) for _ in range(2))
    assert all(task.startswith("countdown/eval/") for task in first["counts"])
    assert first["counts"] == again["counts"]
    assert first["file"] == again["file"]
    assert 0 < first["pass_at_k"]["1"] < first["pass_at_k"]["16"]


def test_rows_left_out_are_counted_and_said(tmp_path: Path) -> None:
    env: Any = FakeEnv()
    env.source.bad_rows, env.source.notes = ("a.jsonl:3: not JSON",), ["two are known to be bad"]
    out = io.StringIO()
    config = EvalConfig(str(a_run(tmp_path / "run").path), n=4)
    result = evaluate(config, Console(file=out, width=200), policy=FakePolicy(), env=env)
    assert result["bad_rows"] == 1
    assert "data: two are known to be bad" in out.getvalue()
    assert "data: 1 bad rows are left out, the first: a.jsonl:3: not JSON" in out.getvalue()


def test_keep_good_rows_reaches_the_environment(tmp_path: Path) -> None:
    from simko.build import make_env

    path = tmp_path / "own.jsonl"
    path.write_text('{"problem": "1 + 1?", "answer": "2"}\n{"problem": "1 + 2?"}\n')
    policy: Any = SimpleNamespace(tokenizer=None, eos_ids=frozenset())
    settings = TrainConfig(env="simko/JSONL-v0", data=str(path))
    policy.tokenizer = simko.envs.ByteTokenizer()
    with pytest.raises(UserError, match=r"own\.jsonl:2: no field 'answer'"):
        make_env(settings, policy, "all")
    settings = resolve(EvalConfig("tiny", env="simko/JSONL-v0", data=str(path), keep_good_rows=True)).settings
    assert make_env(settings, policy, "all").source.bad_rows == (  # type: ignore[attr-defined]
        f"{path}:2: no field 'answer' (it has: problem); each row needs problem and answer, or name the column: "
        "--columns answer=COLUMN",
    )
