"""verifiers: `results.jsonl` with its metadata, and `traces.jsonl`."""

from __future__ import annotations

import json
from pathlib import Path

from foreign_files import episode, jsonl, refusal, rollout, trace

from simko.report.foreign import read


def results(folder: Path, *rows: object) -> Path:
    jsonl(folder / "results.jsonl", rows)
    about = {"env_id": "gsm8k", "model": "org/model", "sampling_args": {"temperature": 1.0, "max_tokens": 64}}
    (folder / "metadata.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def test_a_reward_of_one_is_correct(tmp_path: Path) -> None:
    folder = results(tmp_path / "a1", rollout(0, 1.0), rollout(0, 0.5), rollout(1, 0.7 + 0.2 + 0.1), rollout(1, 0))
    (arm,) = read(folder)
    assert arm.counts == {"0": (2, 1), "1": (2, 1)}
    facts = {"env": "verifiers/gsm8k", "verifier": "reward == 1", "temperature": 1.0, "max_new_tokens": 64, "n": 2}
    assert facts.items() <= arm.facts.items()
    assert (arm.arm, arm.source, arm.foreign, arm.facts["partial"]) == ("org/model", "verifiers", True, 1)
    assert read(folder / "results.jsonl") == [arm]


def test_a_rollout_that_failed_is_not_counted(tmp_path: Path) -> None:
    failed = rollout(0, 0.0, error={"error": "Timeout"})
    (arm,) = read(results(tmp_path, rollout(0, 1.0), failed, rollout(0, None), rollout(0, float("inf"))))
    assert (arm.counts, arm.facts["ungraded"]) == ({"0": (1, 1)}, 3)


def test_its_completions_can_be_graded_by_us(tmp_path: Path) -> None:
    folder = results(tmp_path, rollout(0, 0.0), rollout(0, 1.0, "\\boxed{3}"), rollout(0, 1.0, error={}))
    (arm,) = read(folder, verifier="math")
    assert (arm.counts, arm.source, arm.facts["ungraded"]) == ({"0": (2, 1)}, "completions", 1)
    assert (arm.facts["verifier"], arm.facts["env"], arm.facts["temperature"]) == ("math", "verifiers/gsm8k", 1.0)


def test_traces_add_up_their_rewards(tmp_path: Path) -> None:
    half = {"a": {"score": 1.0, "weight": 0.5}, "b": {"score": 1.0, "weight": 0.5}, "c": None}
    rows = [
        episode(0, trace(half)),
        episode(0, trace({"a": {"score": 1.0, "weight": 0.25}})),
        episode(1, trace({"a": {"score": 1.0}})),
        episode(1, trace({"a": None})),
        episode(1, trace({"a": {"score": 1.0}}, ok=False)),
    ]
    jsonl(tmp_path / "run" / "traces.jsonl", rows)
    (arm,) = read(tmp_path / "run")
    assert arm.counts == {"0": (2, 1), "1": (1, 1)}
    assert (arm.arm, arm.facts["partial"], arm.facts["ungraded"]) == ("run", 1, 2)
    facts = {"env": "verifiers/gsm8k", "model": "org/model", "temperature": 0.8}
    assert facts.items() <= arm.facts.items()


def test_the_models_last_message_is_graded(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "t.jsonl", [episode(0, trace({}, "\\boxed{2}")), episode(0, trace({}, "\\boxed{3}"))])
    assert read(path, verifier="math")[0].counts == {"0": (2, 1)}


def test_each_agent_is_an_arm(tmp_path: Path) -> None:
    one, none = {"r": {"score": 1.0}}, {"r": {"score": 0.0}}
    path = jsonl(tmp_path / "t.jsonl", [episode(0, trace(one, agent="solver"), trace(none, agent="critic"))])
    assert {arm.arm: arm.counts for arm in read(path)} == {"t:solver": {"0": (1, 1)}, "t:critic": {"0": (1, 0)}}
    assert [arm.counts for arm in read(path, filter="solver")] == [{"0": (1, 1)}]
    assert "no trace of agent 'judge'; it has: critic, solver" in refusal(path, filter="judge")
    assert "choose one with --filter to grade it" in refusal(path, verifier="math")


def test_broken_runs_are_one_line(tmp_path: Path) -> None:
    assert ":1: field 'example_id' is None" in refusal(results(tmp_path / "a", {**rollout(0, 1), "example_id": None}))
    folder = results(tmp_path / "b", rollout(0, 1.0))
    (folder / "metadata.json").write_text("[" * 100_000)
    assert "metadata.json: not JSON" in refusal(folder)
    (folder / "metadata.json").write_text("[]")
    assert "metadata.json: not a JSON object" in refusal(folder)
    path = jsonl(tmp_path / "t.jsonl", [{"task": 5, "traces": []}])
    assert "an episode without 'task.data'" in refusal(path)
    assert "no sample with a verdict" in refusal(jsonl(path, [episode(0, 5, None, trace({}))]))
