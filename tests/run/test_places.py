"""Paths of a run mean what they meant when it began, and what has moved is known by its content."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from simko.cli import run
from simko.config import EvalConfig, TrainConfig, read_yaml
from simko.errors import UserError
from simko.fields import entries
from simko.run.folder import RunFolder
from simko.run.places import absolute, may_move, placed
from simko.run.resume import resumed_config
from simko.settings import train_config

FLAGS = [
    *(
        "--steps",
        "1",
        "--prompts-per-step",
        "2",
        "--group-size",
        "2",
        "--preflight-prompts",
        "0",
        "--eval-problems",
        "0",
    ),
    *("--logger", "none", "--force", "--max-new-tokens", "4", "--lora-rank", "2", "--quantization", "none"),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, which is the working folder, with a model and a file of problems."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    shutil.copytree(str(resources.files("simko.agents") / "tiny"), "model")
    rows = [{"problem": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(20)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "elsewhere").mkdir()
    return tmp_path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command; returns its last line of stderr, or the empty text if it went well."""

    def command(*arguments: str) -> str:
        capsys.readouterr()
        code = run(arguments)
        err = capsys.readouterr().err.strip()
        assert code in (0, 2), err
        return err.splitlines()[-1] if code else ""

    return command


@pytest.mark.parametrize("kind", [TrainConfig, EvalConfig])
def test_a_tilde_is_the_home_folder_in_every_path(kind: Any, home: Path) -> None:
    paths = [entry.name for entry in entries(kind) if entry.metadata.get("path")]
    assert {"data", "out", "adapter", "model"} <= set(paths)
    assert kind is EvalConfig or "solve_rates" in paths
    for name in paths:
        others = {"target": "tiny"} if kind is EvalConfig else {"keep_solved": "0:1"}
        config = kind(**{**others, name: "~/a/b"})
        assert getattr(config, name) == str(home / "a" / "b")
    Path("run.yaml").write_text("out: ~/runs/x\n")
    assert train_config(read_yaml("~/run.yaml")).out == str(home / "runs" / "x")
    assert RunFolder.is_run("~/runs/x") is False


def test_what_exists_becomes_absolute_and_names_stay(home: Path) -> None:
    config = absolute(TrainConfig(model="model", data="./rows.jsonl", adapter="elsewhere"))
    rates = absolute(TrainConfig(keep_solved="0:1", solve_rates="~/rows.jsonl"))
    assert rates.solve_rates == str(home / "rows.jsonl")
    assert (config.model, config.data) == (str(home / "model"), str(home / "rows.jsonl"))
    assert config.adapter == str(home / "elsewhere")
    assert placed("env", "jsonl:rows.jsonl") == f"jsonl:{home / 'rows.jsonl'}"
    (home / "tiny").mkdir()
    for name, value in [
        ("model", "tiny"),
        ("model", "org/name"),
        ("env", "simko/GSM8K-v0"),
        ("data", None),
        ("data", "gone"),
    ]:
        assert placed(name, value) == value
    before = TrainConfig()
    assert absolute(before) is before


def test_only_a_place_may_move() -> None:
    assert may_move("model", "a", "b")
    assert may_move("env", "jsonl:a", "jsonl:b")
    assert not may_move("env", "simko/GSM8K-v0", "jsonl:b")
    assert not may_move("data", None, "b")
    assert not may_move("seed", 1, 2)


@pytest.mark.parametrize("source", [["--env", "simko/JSONL-v0", "--data", "rows.jsonl"], ["--env", "jsonl:rows.jsonl"]])
def test_a_run_is_used_from_another_folder_and_after_a_move(
    home: Path, source: list[str], said: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said("train", *FLAGS, "--model", "./model", *source, "--out", "run") == ""
    monkeypatch.chdir("elsewhere")
    assert said("train", "--resume", "../run", "--steps", "2", "--model", "../model") == ""
    assert said("sample", "../run", "-n", "1", "--problems", "1", "--split", "train") == ""

    (home / "model").rename(home / "moved")
    (home / "rows.jsonl").rename(home / "moved.jsonl")
    flag = "--data" if "--data" in source else "--env"
    place = str(home / "moved.jsonl") if flag == "--data" else f"jsonl:{home / 'moved.jsonl'}"
    for command in (
        ["train", "--steps", "3", "--resume", "../run"],
        ["sample", "../run", "-n", "1", "--problems", "1"],
    ):
        assert "its model" in said(*command)
        assert "say where it is now with --model PATH" in said(*command)
        assert f"say where it is now with {flag}" in said(*command, "--model", "../moved")
    assert (
        said("sample", "../run", "-n", "1", "--problems", "1", "--model", "../moved", flag, place, "--split", "train")
        == ""
    )
    assert said("train", "--resume", "../run", "--steps", "3", "--model", "../moved", flag, place) == ""
    assert said("export", "../run", "--merged", "whole", "--model", "../moved") == ""
    moved = RunFolder.open("../run").config
    assert (moved.model, len(RunFolder.open("../run").metrics())) == (str(home / "moved"), 3)


def test_other_weights_and_other_rows_are_another_run(home: Path, said: Callable[..., str]) -> None:
    assert (
        said("train", *FLAGS, "--model", "model", "--env", "simko/JSONL-v0", "--data", "rows.jsonl", "--out", "run")
        == ""
    )
    folder = RunFolder.open("run")
    shutil.copytree("model", "other")
    weights = load_file("other/model.safetensors")
    first = sorted(weights)[0]
    save_file({**weights, first: weights[first] + 1}, "other/model.safetensors", metadata={"format": "pt"})
    Path("other.jsonl").write_text(Path("rows.jsonl").read_text() + '{"problem": "x", "answer": "1"}\n')
    with pytest.raises(UserError, match=r"--model is .*other, whose weights are not those of .*model; leave it out"):
        resumed_config(folder, {"model": "other"})
    with pytest.raises(UserError, match=r"--data is .*other.jsonl, the run has .*rows.jsonl; leave it out"):
        resumed_config(folder, {"data": "other.jsonl"})
    shutil.copy("rows.jsonl", "copy.jsonl")
    assert resumed_config(folder, {"data": "copy.jsonl"}).data == str(home / "copy.jsonl")
    assert "not trained on the weights" in said("sample", "run", "-n", "1", "--model", "other")
    assert "tiny is a model" in said("sample", "tiny", "-n", "1", "--model", "model")
    manifest = json.loads(Path("run/manifest.json").read_text())
    Path("run/manifest.json").write_text(json.dumps({**manifest, "weights_sha256": None}))
    assert folder.weights_sha256() == manifest["weights_sha256"], "an older run has it beside its adapter"


def test_a_run_of_an_older_version_keeps_its_relative_paths(home: Path, said: Callable[..., str]) -> None:
    assert said("train", *FLAGS, "--model", "model", "--out", "run") == ""
    folder = RunFolder.open("run")
    folder.keep(replace(folder.config, model="./model"))
    assert said("train", "--resume", "run", "--steps", "2") == ""
    assert RunFolder.open("run").config.model == "./model"


def test_with_other_memory_the_plan_is_made_anew(home: Path, said: Callable[..., str]) -> None:
    assert said("train", *FLAGS, "--out", "run") == ""
    folder = RunFolder.open("run")
    assert folder.config.cache_bytes is not None
    resumed = resumed_config(folder, {"memory": "4GB"})
    assert (resumed.cache_bytes, resumed.micro_batch_tokens, resumed.decode_weights) == (None, None, "auto")
    assert resumed_config(folder, {"memory": "4GB", "cache_bytes": 7}).cache_bytes == 7
    assert resumed_config(folder, {}) == folder.config


def test_a_module_that_is_not_here_is_named_and_not_fetched(
    home: Path, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("places_task.py").write_text(
        "import simko.envs\n\n\n"
        "@simko.envs.task('places/Double-v0', verifier='exact', max_new_tokens=4)\n"
        "def double(rng, level):\n    n = int(rng.integers(9))\n    return f'{n} + {n}?', str(2 * n)\n"
    )
    assert said("train", *FLAGS, "--env", "places_task:places/Double-v0", "--out", "run") == ""
    monkeypatch.chdir("elsewhere")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(home)])
    monkeypatch.delitem(sys.modules, "places_task")
    line = said("train", "--resume", "../run", "--steps", "2")
    assert f"no module places_task here; the run found it in {home}: go there, or set PYTHONPATH={home}" in line
    monkeypatch.chdir(home)
    assert said("train", "--resume", "run", "--steps", "2") == ""
