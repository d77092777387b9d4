"""Evaluation from target to result, on a fake policy and environment; and once on the built-in model."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import simko.envs
from simko.config import EvalConfig, TrainConfig
from simko.errors import TooFewTasksError, UserError
from simko.evaluate import choose_tasks, chunks, count_overlap, evaluate, sample_counts
from simko.report import Counts
from simko.rollout import rollout
from simko.run.folder import RunFolder
from simko.run.target import resolve, sampling_settings
from simko.types import Completion, Generation, Group, Sampling, Task, Verdict

EOS, CORRECT, WRONG, NOTHING, BREAKS = 0, 1, 2, 3, 4
OUTCOMES = {CORRECT: "correct", WRONG: "incorrect", NOTHING: "no_answer", BREAKS: "timeout"}


@dataclass
class FakeEngine:
    """It is right with a chance that grows with the prompt. Each sequence depends on its own seed alone."""

    skill: float = 0.9
    calls: list[int] = field(default_factory=list)

    def generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int], budgets: Any = None
    ) -> list[list[Generation]]:
        assert len(seeds) == n * len(prompts)
        self.calls.append(len(seeds))
        return [[self.answer(p, seeds[i * n + j]) for j in range(n)] for i, p in enumerate(prompts)]

    def answer(self, prompt: Sequence[int], seed: int) -> Generation:
        draw, other = np.random.default_rng(seed).random(2)
        token = CORRECT if draw < self.skill * prompt[0] / 10 else WRONG if other < 0.8 else NOTHING
        ids = [token, WRONG, WRONG] if other > 0.95 else [token, EOS]
        return Generation(np.array(ids), np.zeros(len(ids), np.float32), "length" if len(ids) == 3 else "stop")


class FakePolicy:
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.engine = FakeEngine()

    @contextmanager
    def base(self) -> Iterator[FakePolicy]:
        self.engine.skill /= 3
        yield self
        self.engine.skill *= 3

    def trainable_parameters(self) -> list[tuple[str, torch.Tensor]]:
        return []

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(b"weights")


class FakeEpisode:
    budget_left = 3

    def __init__(self, task: Task) -> None:
        self.task, self.prompt_ids, self.ids, self.sampled = task, [int(task.problem.split()[-1])], [], []
        self.done = self.truncated = False

    def extend(self, tokens: list[int]) -> int:
        self.ids, self.sampled = list(tokens), [True] * len(tokens)
        self.done, self.truncated = True, len(tokens) == 3
        return len(tokens)

    @property
    def text(self) -> str:
        return str(self.ids[0])


class FakeEnv:
    """Problem i has the prompt i; five of them, one of which may break the verifier."""

    stop, stop_ids, max_new_tokens, verifier_name = (), frozenset({EOS}), 3, "fake"

    def __init__(self, size: int | None = 5, breaks: str = "") -> None:
        made = [Task(f"fake/eval/{i}", f"problem {i}", "1") for i in range(1, 6)]
        self.source = SimpleNamespace(size=size, tasks=lambda count, seed: made[:count])
        self.breaks = breaks

    def begin(self, task: Task) -> FakeEpisode:
        if task.gold == "too long":
            raise UserError(f"task '{task.id}' is too long")
        return FakeEpisode(task)

    def grade(self, text: str, task: Task) -> Verdict:
        token = BREAKS if task.id == self.breaks and int(text) != CORRECT else int(text)
        return Verdict(OUTCOMES[token], float(token == CORRECT), text if token in (CORRECT, WRONG) else None)


def empty_run(path: Path, **settings: Any) -> RunFolder:
    run = RunFolder(path, TrainConfig(**settings))
    with run.opened(run.config, 0):
        return run


def a_run(path: Path, problems: Sequence[str] = ("problem 77",), step: int = 7, **settings: Any) -> RunFolder:
    """A run that trained on `problems` and saved one checkpoint."""
    run = empty_run(path, steps=step, **settings)
    ids = np.arange(2)
    trained = Completion(ids, ids, np.zeros(2, np.float32), ids >= 0, "1", "stop", Verdict("correct", 1.0, "1"))
    run.records.add(1, [Group(Task(f"t{i}", text, "1"), (trained,)) for i, text in enumerate(problems)], {})
    policy: Any = FakePolicy()
    run.save_checkpoint(step, policy, torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))]))
    return run


def run_evaluation(config: EvalConfig, **env: Any) -> tuple[dict[str, Any], str]:
    out = io.StringIO()
    result = evaluate(config, Console(file=out, width=200), policy=FakePolicy(), env=FakeEnv(**env))
    return result, out.getvalue()


def test_chunks_cover_every_sample_once() -> None:
    tasks = [Task(str(i), "", "") for i in range(7)]
    for n in (1, 3, 8, 20):
        for chunk in (1, 3, 8, 50, 1000):
            seen = [
                (t.id, first + i) for part, first, size in chunks(tasks, n, chunk) for t in part for i in range(size)
            ]
            assert sorted(seen) == sorted((t.id, i) for t in tasks for i in range(n))
            assert all(len(part) * size <= chunk for part, _, size in chunks(tasks, n, chunk))


def test_chunks_change_the_work_and_not_the_counts() -> None:
    env, tasks = FakeEnv(), FakeEnv().source.tasks(None, 0)
    results, calls = [], []
    for chunk in (1, 7, 40, 1000):
        policy = FakePolicy()
        results.append(sample_counts(policy, env, tasks, 20, Sampling(), seed=3, chunk=chunk))
        calls.append(len(policy.engine.calls))
        assert max(policy.engine.calls) <= chunk
    assert all(counts == results[0] for counts in results)
    assert calls == [100, 15, 3, 1]
    assert results[0] != sample_counts(FakePolicy(), env, tasks, 20, Sampling(), seed=4)


def test_counts_are_those_of_the_rollout() -> None:
    env, policy = FakeEnv(breaks="fake/eval/2"), FakePolicy()
    tasks = env.source.tasks(None, 0)
    heard: list[int] = []
    counts = sample_counts(policy, env, tasks, 30, Sampling(0.6, 0.95), 5, lambda c: heard.append(c.samples), chunk=30)
    expected = Counts()
    expected.add(rollout(policy.engine, env, tasks, 30, Sampling(0.6, 0.95), seed=5))
    assert counts == expected
    assert heard == [30, 60, 90, 120, 150]
    assert counts.truncated > 0
    assert counts.outcomes["timeout"] > 0
    assert counts.tallies["fake/eval/2"].samples == 30 - counts.outcomes["timeout"]


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
    assert {path.suffix for path in run.eval_path.iterdir()} == {".json", ".png"}  # nothing half-written left behind


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
    ]  # fmt: skip
    files = [run_evaluation(EvalConfig(target, **{"n": 4, **variant}))[0]["file"] for variant in variants]
    assert len(set(files)) == len(files)
    assert "step000007-n4-t0.6-p0.95" in files[0]
    assert run_evaluation(EvalConfig(target, n=4, temperature=1.0, top_p=1.0))[0]["file"] == files[4]


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


def test_how_many_problems() -> None:
    asked: list[int | None] = []

    def tasks(count: int | None, seed: int) -> list[Task]:
        asked.append(count)
        return [Task("a", "problem 1", "")]

    env: Any = FakeEnv()
    for size, problems in ((500, None), (None, None), (500, 20), (None, 20)):
        env.source = SimpleNamespace(size=size, tasks=tasks)
        choose_tasks(env, problems, 0)
    assert asked == [None, 100, 20, 20]


def test_a_split_with_fewer_problems_is_measured_whole(tmp_path: Path) -> None:
    """It is not refused at the end of a training run, for a number that nobody chose."""
    rows = [{"problem": f"1 + {n}", "answer": str(1 + n)} for n in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = simko.envs.make("simko/JSONL-v0", split="eval", data=str(tmp_path / "rows.jsonl"))
    assert 0 < len(choose_tasks(few, 128, 0)) == few.source.size < 60
    generated = simko.envs.make("simko/Arithmetic-v0", split="eval", level=1)
    assert 0 < len(choose_tasks(generated, 10_000, 0)) < 10_000


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


def test_a_prompt_that_is_too_long_is_found_before_sampling() -> None:
    env: Any = FakeEnv()
    env.source.tasks = lambda count, seed: [Task("a", "problem 1", ""), Task("b", "problem 2", "too long")]
    with pytest.raises(UserError, match="'b' is too long"):
        choose_tasks(env, None, 0)


def test_no_problem_is_an_error() -> None:
    env: Any = FakeEnv()
    env.source.tasks = lambda count, seed: []
    with pytest.raises(UserError, match="no problem"):
        choose_tasks(env, None, 0)


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


GSM = "A shop sold {} pens and then 2 more. How many pens?"


def test_training_rows_of_another_data_set_are_refused_by_their_text(tmp_path: Path) -> None:
    """GSM8K-train-like rows in an evaluation file: other ids, columns, spacing and case, the same problems."""
    run = a_run(tmp_path / "run", [GSM.format(n) for n in range(40)], env="simko/GSM8K-v0")
    rows = [{"id": f"own-{n}", "problem": GSM.format(n).upper().replace(" ", "  "), "answer": n + 2} for n in (3, 90)]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tasks = simko.envs.make(f"jsonl:{path}", split="all").source.tasks(None, 0)
    with pytest.raises(UserError, match=r"1 of 2 problems are among the training prompts .* one is task 'own-3'"):
        count_overlap(run, tasks, allow=False)
    assert count_overlap(run, tasks[1:], allow=False) == 0


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
        f"{path}:2: no field 'answer' (it has: problem); each row needs problem and answer",
    )
