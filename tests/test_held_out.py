"""Looks during training: the run is the same with and without them, a resumed one has the same, and what they say."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from simko.config import EvalConfig
from simko.envs.split import is_tuning
from simko.errors import UserError
from simko.evaluate import evaluate
from simko.run.folder import RunFolder
from simko.settings import train_config
from simko.train import train

SMALL = {
    "prompts_per_step": 4, "group_size": 4, "level": 1, "max_new_tokens": 16, "eval_problems": 0, "preflight_prompts": 0,
    "logger": "none", "lora_rank": 4, "checkpoint_every": 2,
}  # fmt: skip
LOOKS = {"eval_every": 2, "eval_every_problems": 3, "eval_every_samples": 4}


def small_run(out: Path, steps: int, resume: RunFolder | None = None, **settings: Any) -> tuple[RunFolder, str]:
    console = Console(file=io.StringIO(), width=200)
    run = train(train_config({**SMALL, "out": str(out), "steps": steps, **settings}), resume=resume, console=console)
    return run, console.file.getvalue()  # type: ignore[attr-defined]


def lines(run: RunFolder, looks: bool = True) -> list[dict[str, Any]]:
    skip = ("seconds",) if looks else ("seconds", "heldout")
    return [{k: v for k, v in line.items() if not k.startswith(skip)} for line in run.metrics()]


def weights(run: RunFolder) -> dict[str, bytes]:
    latest = run.latest_checkpoint()
    assert latest is not None
    names = ["adapter/adapter_model.safetensors", "optimizer.safetensors", "state.json"]
    return {name: (latest / name).read_bytes() for name in names}


def test_looks_change_nothing_and_a_resumed_run_has_the_same(tmp_path: Path) -> None:
    without, _ = small_run(tmp_path / "without", 4)
    assert not without.records.looks_path.exists()
    assert "eval_every" not in (without.path / "config.yaml").read_text()
    whole, printed = small_run(tmp_path / "whole", 4, **LOOKS)
    assert weights(whole) == weights(without)
    assert lines(whole, looks=False) == lines(without)
    assert [look.step for look in whole.records.looks()] == [0, 2, 4]
    of_a_look = [f"heldout_{what}_{k}" for what in ("fell", "pass") for k in (1, 2)]
    assert [sorted(k for k in line if k.startswith("heldout")) for line in whole.metrics()] == [
        [], of_a_look, [], of_a_look,
    ]  # fmt: skip
    assert "step 0  pass@1 " in printed
    assert "(3 held-out problems x 4 samples)" in printed

    stopped, _ = small_run(tmp_path / "stopped", 4, **LOOKS)
    shutil.rmtree(stopped.checkpoints_path / "step-000004")  # as if killed after the look of step 4 was written
    with stopped.records.looks_path.open("ab") as file:
        file.write(b'{"step": 6, "cou')
    resumed, _ = small_run(stopped.path, 4, resume=RunFolder.open(stopped.path), **LOOKS)
    assert lines(resumed) == lines(whole)
    assert weights(resumed) == weights(whole)
    assert resumed.records.looks_path.read_bytes() == whole.records.looks_path.read_bytes()


def test_looks_are_at_tuning_problems_and_the_evaluation_is_on_the_others(tmp_path: Path) -> None:
    run, printed = small_run(tmp_path / "run", 1, eval_problems=3, eval_samples=2, **LOOKS)
    looked_at = set(run.records.looks()[0].counts)
    source = evaluated_env(run).source
    assert all(is_tuning(source.content(source.get(task))) for task in looked_at)
    (result,) = (json.loads(path.read_text()) for path in run.eval_path.glob("*.json"))
    assert result["part"] == "final"
    assert not any(is_tuning(source.content(source.get(task))) for task in result["counts"])
    assert "watched on tuning problems (--eval-every)" in printed

    def again(**settings: Any) -> tuple[str, str]:
        out = Console(file=io.StringIO(), width=200)
        part = evaluate(EvalConfig(str(run.path), n=1, problems=2, base=False, **settings), out)["part"]
        return part, out.file.getvalue()  # type: ignore[attr-defined]

    assert again()[0] == "final"
    part, said = again(part="all")
    assert part == "all"
    assert "--part final leaves them out" in said
    assert again(env="simko/Arithmetic-v0", level=1)[0] == "all"


def evaluated_env(run: RunFolder) -> Any:
    import simko.envs

    return simko.envs.make(run.config.env, split="eval", level=run.config.level)


def test_looks_may_begin_in_a_resumed_run(tmp_path: Path) -> None:
    run, _ = small_run(tmp_path / "run", 1)
    run, _ = small_run(run.path, 2, resume=RunFolder.open(run.path), **LOOKS)
    assert [look.step for look in run.records.looks()] == [1, 2]


def test_a_damaged_file_of_looks_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    run, _ = small_run(tmp_path / "run", 2, **LOOKS)
    metrics = run.records.metrics_path.read_bytes()
    for damage in (b"[1]\n", b'{"step": 2, "counts": {"a": [1, 2]}}\n', b'{"step": 2, "counts": {"a": [1, true]}}\n'):
        run.records.looks_path.write_bytes(damage)
        with pytest.raises(UserError, match=r"heldout\.jsonl: damaged .*; delete it"):
            small_run(run.path, 3, resume=RunFolder.open(run.path), **LOOKS)
        assert run.records.metrics_path.read_bytes() == metrics


def test_an_environment_without_tuning_problems_is_refused_before_step_1(tmp_path: Path) -> None:
    for name, first in (("train", 0), ("eval", 100)):
        rows = [{"problem": text, "answer": "1"} for n in range(first, first + 9) if not is_tuning(text := f"{n} + 1")]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="the tuning part of the evaluation split has no problem"):
        small_run(tmp_path / "run", 1, env=f"jsonl:{tmp_path}", **LOOKS, **{"level": None})
    assert not (tmp_path / "run").exists()
