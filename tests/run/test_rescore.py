from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from simko.cli import app
from simko.config import TrainConfig, write_yaml
from simko.errors import UserError
from simko.run.folder import RunFolder
from simko.run.rescore import rescore


def row(sample: int, text: str, outcome: str, task: str = "t1", gold: str = "42", step: int = 1) -> dict[str, Any]:
    reward = float(outcome == "correct")
    return {
        "step": step, "task": task, "level": "", "problem": "?", "gold": gold, "sample": sample, "text": text,
        "finish": "stop", "outcome": outcome, "reward": reward, "extracted": None, "seconds": 0.0, "ids": [1],
        "sampled": None, "logprobs": [-1.0],
    }  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    for name in ("checkpoints", "rollouts"):
        (path / name).mkdir(parents=True)
    config = TrainConfig(env="simko/GSM8K-v0", algorithm="grpo", out=str(path))
    (path / "config.yaml").write_text(write_yaml(config))
    rows = [
        row(0, "\\boxed{42}", "correct"), row(1, "\\boxed{43}", "incorrect"), row(2, "\\boxed{42.0}", "incorrect"),
        row(3, "\\boxed{41}", "timeout"),
        row(0, "\\boxed{7}", "correct", "t2", "7"), row(1, "\\boxed{7}", "correct", "t2", "7"),
        row(0, "\\boxed{7}", "correct", "t2", "7"), row(1, "\\boxed{8}", "incorrect", "t2", "7"),
    ]  # fmt: skip
    packed = gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode())
    (path / "rollouts" / "000001.jsonl.gz").write_bytes(packed)
    return path


def test_rewards_and_signs(run: Path) -> None:
    report = rescore(RunFolder.open(run))
    assert (report.verifier, report.stored_verifier) == ("math", "math")
    assert (report.completions, report.groups) == (8, 3)
    assert report.rewards_changed == 1
    assert report.outcomes == {"incorrect -> correct": 1, "timeout -> incorrect": 1}
    by_sample = {change.sample: change for change in report.changes}
    assert by_sample[2].sign == (-1, 1)
    assert by_sample[3].sign == (0, -1)
    assert (report.signs_changed, report.groups_changed) == (2, 1)
    assert report.mean_reward == (0.5, 0.625)


def test_parts_of_a_reward_are_compared_and_decide_the_sign(run: Path) -> None:
    from simko.envs.verifiers import register_verifier
    from simko.types import Verdict

    config = TrainConfig(env="simko/GSM8K-v0", algorithm="grpo", out=str(run), method={"advantage": "several"})
    (run / "config.yaml").write_text(write_yaml(config))
    rows = [row(i, "x" * i, "incorrect") | {"reward": 0.5, "parts": {"short": 0.5 * i}} for i in range(2)]
    packed = gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode())
    (run / "rollouts" / "000001.jsonl.gz").write_bytes(packed)

    def same(response: str, gold: str) -> Verdict:
        return Verdict("incorrect", 0.5, parts={"short": 0.5 * len(response)})

    def other(response: str, gold: str) -> Verdict:
        return Verdict("incorrect", 0.5, parts={"short": -0.5 * len(response)})

    register_verifier("parts-same", same)
    register_verifier("parts-other", other)
    opened = RunFolder.open(run)
    assert (rescore(opened, "parts-same").rewards_changed, rescore(opened, "parts-same").changes) == (0, [])
    report = rescore(opened, "parts-other")
    assert (report.rewards_changed, report.signs_changed) == (1, 2)
    assert [change.sign for change in report.changes] == [(-1, 1), (1, -1)]


def test_another_verifier(run: Path) -> None:
    report = rescore(RunFolder.open(run), "exact:boxed")
    assert report.outcomes == {"timeout -> incorrect": 1}
    assert report.rewards_changed == 0
    with pytest.raises(UserError, match="no verifier"):
        rescore(RunFolder.open(run), "nope")


def test_the_command_writes_only_where_told(run: Path, tmp_path: Path) -> None:
    before = sorted((p, p.read_bytes()) for p in run.rglob("*") if p.is_file())
    invoke = CliRunner().invoke
    done = invoke(app, ["verify", "rescore", str(run)])
    assert done.exit_code == 0, done.output
    assert "0.5000 -> 0.6250" in done.output
    assert "- -> +" in done.output
    out = tmp_path / "changes.jsonl"
    output = json.loads(invoke(app, ["verify", "rescore", str(run), "--json", "--out", str(out)]).output)
    assert output["signs_changed"] == 2
    assert len(out.read_text().splitlines()) == 2
    assert sorted((p, p.read_bytes()) for p in run.rglob("*") if p.is_file()) == before


def test_a_file_that_cannot_be_written_is_one_line(run: Path, tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "no" / "such.jsonl", tmp_path / ("n" * 300)):
        error = CliRunner().invoke(app, ["verify", "rescore", str(run), "--out", str(out)]).exception
        assert isinstance(error, UserError)
        assert str(error).startswith(f"--out {out}: ")


def test_what_is_no_text_on_stdin_is_read_all_the_same() -> None:
    done = CliRunner().invoke(app, ["verify", "explain", "42", "-"], input=b"\xff\xfe The answer is 42.")
    assert done.exit_code == 0, done.exception
    assert "correct" in done.output


def test_a_run_without_rollouts(run: Path) -> None:
    (run / "rollouts" / "000001.jsonl.gz").unlink()
    with pytest.raises(UserError, match="no rollouts"):
        rescore(RunFolder.open(run))
