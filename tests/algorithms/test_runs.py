"""Each method trains the built-in policy for three steps. A run that is killed before its last checkpoint resumes to the same
bytes: adapter, optimizer, the state of the method, metrics and answers.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from algorithms.test_compose import NAMES
from rich.console import Console
from safetensors.torch import load_file
from test_glossary import undescribed

from simko import algorithms
from simko.algorithms.grpo import ClippedLoss
from simko.run.folder import RunFolder
from simko.settings import train_config
from simko.train import train

SMALL: dict[str, Any] = {
    "prompts_per_step": 2, "group_size": 4, "level": 1, "max_new_tokens": 7, "eval_problems": 0, "preflight_prompts": 0,
    "logger": "none", "lora_rank": 2, "quantization": "none", "checkpoint_every": 1, "keep_checkpoints": 3, "steps": 3,
    "micro_batch_tokens": 256, "gradient_checkpointing": False, "decode_weights": "merged", "cache_bytes": 10**8,
    "learning_rate": 3e-3,
}  # fmt: skip
FOUR = {"base_problems": 1, "base_samples": 4}
SETTINGS: dict[str, dict[str, Any]] = {
    "aer": {"aer_start": 0.01, "aer_kappa": 1.0, "aer_eta": 1.0},
    "eepo": {"eepo_entropy": 99.0, "eepo_window": 1, "eepo_step": 0.1},
    "siren": {"siren_quantile": 0.0, "siren_beta": 1.0},
    "pass_at_k": {"pass_k": 2, "group_size": 6, "seed": 2},
    "simko_pass_at_k": {"pass_k": 2, "group_size": 6, "seed": 2},
    "self": {"prompts_per_step": 4, "seed": 3, **FOUR},
    "dph_rl": FOUR,
    "dapo": {"refill_rounds": 2},
    "high_entropy_tokens": {"refill_rounds": 2},
}
STATE = {"aer": "loss", "siren": "loss", "eepo": "sampling"}
"""The part that carries a state from step to step."""
FILES = ("adapter/adapter_model.safetensors", "optimizer.safetensors", "state.json", "method.safetensors")


def run(out: Path, name: str, resume: RunFolder | None = None, **settings: Any) -> RunFolder:
    config = train_config({**SMALL, "algorithm": name, **SETTINGS.get(name, {}), **settings, "out": str(out)})
    return train(config, resume=resume, console=Console(file=io.StringIO()))


def shown(run: RunFolder) -> tuple[Any, ...]:
    """What a run left on disk: the files of its last checkpoint, its metrics but for seconds, and its answers."""
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    files = {name: (checkpoint / name).read_bytes() for name in FILES if (checkpoint / name).exists()}
    metrics = [{key: value for key, value in line.items() if "seconds" not in key} for line in run.metrics()]
    return checkpoint.name, files, metrics, [row["text"] for row in run.records.rollouts(3)]


def states(run: RunFolder) -> list[dict[str, Any]]:
    """What the method carried after each step, by part."""
    paths = sorted(run.checkpoints_path.glob("step-*/state.json"))
    return [json.loads(path.read_text())["method"] for path in paths]


def kill_before_the_last_checkpoint(run: RunFolder) -> RunFolder:
    shutil.rmtree(run.checkpoints_path / "step-000003")
    return RunFolder.open(run.path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunFolder]:
    """The three steps of a method, taken once for all tests of it."""
    folder = tmp_path_factory.mktemp("runs")
    return cache(lambda name: run(folder / name, name))


@pytest.mark.parametrize("name", NAMES.split())
def test_three_steps_and_a_resume_to_the_same_bytes(trained: Callable[[str], RunFolder], name: str) -> None:
    whole = trained(name)
    lines, expected, carried = whole.metrics(), shown(whole), states(whole)
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert lines[-1]["updates"] > 0, "the step after the resume has to move the adapter"
    assert lines[-1]["grad_norm"] > 0
    assert sum(line["nonfinite_rows"] for line in lines) == 0
    assert undescribed({metric for line in lines for metric in line}) == [], (
        "docs/reference/metrics.md has no row for these"
    )
    resumed = run(whole.path, name, resume=kill_before_the_last_checkpoint(whole))
    assert shown(resumed) == expected
    assert states(resumed) == carried
    assert [sorted(state) for state in carried] == [[STATE[name]] if name in STATE else []] * 3


def test_every_method_with_a_state_is_named() -> None:
    found = {name for name in NAMES.split() if algorithms.get(name).initial_state()}
    assert found <= set(STATE)
    assert set(STATE) <= set(NAMES.split())


@pytest.mark.parametrize("name", STATE)
def test_the_state_moves_and_is_in_the_checkpoint(trained: Callable[[str], RunFolder], name: str) -> None:
    lines, carried = trained(name).metrics(), [state[STATE[name]] for state in states(trained(name))]
    if name == "eepo":
        assert [state["entropies"] for state in carried] == [[pytest.approx(line["entropy"])] for line in lines]
        assert [line["eepo_forgot"] for line in lines] == [0.0, 1.0, 1.0]
        assert lines[-1]["eepo_grad_norm"] > 0
    elif name == "siren":
        assert {state["anchor"] for state in carried} == {lines[0]["siren_entropy"]}
        assert lines[0]["siren_penalty"] == 0 < lines[-1]["siren_penalty"]
    else:
        assert {state["first_entropy"] for state in carried} == {lines[0]["entropy"]}
        weights = [line["aer_weight"] for line in lines] + [carried[-1]["weight"]]
        for weight, after, line in zip(weights, weights[1:], lines, strict=False):
            wanted = lines[0]["entropy"] - line["entropy"]
            assert (after - weight) * wanted >= 0
            assert abs(after - weight) <= 0.1 * 0.05 + 1e-12
        assert weights[-1] != weights[0]


def test_tensors_of_a_state_are_in_the_checkpoint_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No method of ours carries a tensor, so one is made here: a count by step, on the loss of GRPO."""
    monkeypatch.setattr(ClippedLoss, "initial_state", lambda self: {"seen": torch.zeros(2)})
    monkeypatch.setattr(ClippedLoss, "end_step", lambda self, state, metrics: {"seen": state["seen"] + 1})
    whole = run(tmp_path / "grpo", "grpo")
    expected = shown(whole)
    assert shown(run(whole.path, "grpo", resume=kill_before_the_last_checkpoint(whole))) == expected
    checkpoint = whole.latest_checkpoint()
    assert checkpoint is not None
    assert load_file(checkpoint / "method.safetensors")["loss.seen"].tolist() == [3.0, 3.0]
