"""Arms of one seed share the initial adapter, the tasks of step 1 and the answers of step 1."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from test_train import files, small_run

ARMS: dict[str, dict[str, Any]] = {
    "grpo": {"algorithm": "grpo"},
    "simko": {"algorithm": "simko", "alpha": 0.5, "learning_rate": 1e-4},
    "random_rewards": {"algorithm": "grpo", "random_rewards": 0.5},
}


def first_step(path: Path) -> list[tuple[str, str, list[int]]]:
    with gzip.open(path / "rollouts/000001.jsonl.gz", "rt") as source:
        return [(row["problem"], row["text"], row["ids"]) for row in map(json.loads, source)]


@pytest.fixture(scope="module")
def one_step(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("paired")
    runs = {name: small_run(folder / name, 1, **arm).path for name, arm in ARMS.items()}
    return {**runs, "seed 1": small_run(folder / "other", 1, algorithm="grpo", seed=1).path}


def test_answers_of_the_first_step_are_shared(one_step: dict[str, Path]) -> None:
    first = first_step(one_step["grpo"])
    assert first_step(one_step["simko"]) == first
    assert first_step(one_step["random_rewards"]) == first
    assert {row[0] for row in first_step(one_step["seed 1"])} != {row[0] for row in first}


def test_the_initial_adapter_is_shared(tmp_path: Path) -> None:
    before = {name: files(small_run(tmp_path / name, 0, **arm)) for name, arm in ARMS.items()}
    weights = {name: content["adapter/adapter_model.safetensors"] for name, content in before.items()}
    assert weights["simko"] == weights["grpo"] == weights["random_rewards"]
    other = files(small_run(tmp_path / "other", 0, algorithm="grpo", seed=1))
    assert other["adapter/adapter_model.safetensors"] != weights["grpo"]
