from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import simko.envs
from simko.cli import app
from simko.envs.audit.rows import Audit, audit
from simko.envs.data.rows import Pair, RowSource
from simko.errors import UserError
from simko.types import Task


class Paired(RowSource):
    """Ten tasks; `wrong` of their forty pairs say the opposite of what is so."""

    wrong = 0
    rows = 12
    published = 20

    def __init__(self, split: str = "train", level: Any = None, data: Any = None) -> None:
        if split == "eval":
            raise UserError("paired: has no split 'eval'")
        super().__init__("paired", split, [Task(f"p{i}", f"{i}?", str(i)) for i in range(10)])
        self.notes.append("two are missing")

    def pairs(self) -> Any:
        for n in range(200):
            task = self._tasks[n % 10]
            yield task, f"\\boxed{{{task.gold}}}", n >= self.wrong, "again"
        yield Pair(self._tasks[0], "\\boxed{77}", False, "other", "no reason")


@simko.envs.verifier("audit_all")
def everything(response: str, gold: str) -> bool:
    return True


def register(name: str, verifier: str = "math") -> str:
    info = simko.envs.EnvInfo(f"audit/{name}-v0", name, "test_rows:Paired", verifier, source="test")
    simko.envs.registry.register(info)
    return info.id


@pytest.mark.parametrize(("wrong", "passes"), [(0, True), (2, True), (3, False)])
def test_pairs(monkeypatch: pytest.MonkeyPatch, wrong: int, passes: bool) -> None:
    monkeypatch.setattr(Paired, "wrong", wrong)
    (entry,) = audit(register("Paired"), checks=False)
    assert (entry.split, entry.rows, entry.published, entry.tasks) == ("train", 12, 20, 10)
    assert entry.gold == entry.other_gold == (10, 10)
    assert entry.pairs == {"again": (200 - wrong, 200), "other": (1, 1)}
    assert len(entry.findings) == wrong
    assert entry.passed is passes
    assert entry.notes == ("two are missing",)


def test_a_verifier_that_takes_everything_fails() -> None:
    (entry,) = audit(register("All", "audit_all"), checks=False)
    assert entry.other_gold == (0, 10)
    assert not entry.passed
    assert any("grades correct on" in line for line in entry.findings)


def test_checks_count() -> None:
    entry = Audit("a/B-v0", "train", gold=(1, 1), other_gold=(1, 1), checks=(12, 13))
    assert not entry.passed
    (real,) = audit("simko/TreeMDP-v0")[:1]
    assert real.passed
    assert real.checks[0] == real.checks[1] > 10


def test_without_data_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (entry,) = audit("simko/AIME24-v0", str(tmp_path))
    assert "has no aime24" in str(entry.unavailable)
    with pytest.raises(UserError, match="no environment"):
        audit("simko/Nope-v0")


def row(i: int) -> str:
    return json.dumps(
        {"question": f"What is {i} + {i}?", "answer": f"{i}+{i}=<<{i}+{i}={2 * i}>>{2 * i}\n#### {2 * i}"}
    )


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "gsm8k_train.jsonl").write_text("".join(row(i) + "\n" for i in range(30)))
    run = CliRunner().invoke
    done = run(app, ["env", "audit", "simko/GSM8K-v0", "--data", str(tmp_path), "--no-checks"])
    assert done.exit_code == 0, done.output
    assert "30 / 7473" in done.output
    assert "1 of 1 sets passed" in done.output
    done = run(app, ["env", "audit", "simko/GSM8K-v0", "--data", str(tmp_path), "--no-checks", "--json"])
    output = json.loads(done.output)
    assert output["passed"] is True
    assert output["sets"][0]["pairs"]["worked solution"] == [30, 30]
    bad = {"id": "b", "problem": "?", "answer": "5", "solution": "So #### 6"}
    (tmp_path / "gsm8k_train.jsonl").write_text("".join(row(i) + "\n" for i in range(9)) + json.dumps(bad) + "\n")
    done = run(app, ["env", "audit", "simko/GSM8K-v0", "--data", str(tmp_path), "--no-checks"])
    assert done.exit_code == 1
    assert "FAILED" in done.output
    assert "worked solution of b" in done.output


def test_rng_is_not_needed() -> None:
    assert Paired().draw(np.random.default_rng(0)).id.startswith("p")


def test_several_golds_of_one_problem_are_told_by_audit_and_check(tmp_path: Path) -> None:
    golds = [("5 + 6?", 11), ("5 + 6?", 12), *((f"5 + {n}?", 5 + n) for n in range(7, 40))]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"problem": p, "answer": gold}) + "\n" for p, gold in golds))
    told = "1 problem has several gold answers (2 rows), as 'a/1' ('11') and 'a/2' ('12')"
    entries = audit("simko/JSONL-v0", str(path), checks=False)
    assert [sum(told in note for note in entry.notes) for entry in entries].count(1) == 1
    for command in (["check", f"jsonl:{path}"], ["audit", "simko/JSONL-v0", "--data", str(path), "--no-checks"]):
        done = CliRunner().invoke(app, ["env", *command])
        assert done.exit_code == 0, done.output
        assert told in " ".join(done.output.split())


class Twice(Paired):
    """A source by hand, without notes on its golds: each problem is there with two of them."""

    def __init__(self, split: str = "train", level: Any = None, data: Any = None) -> None:
        super().__init__(split)
        self._set([Task(f"{i}/{gold}", f"{i}?", str(gold)) for i in range(5) for gold in (i, 7)])

    def check_golds(self, verifier: str, grade: Any) -> None:
        pass


def test_sources_by_hand_are_told_too() -> None:
    simko.envs.registry.register(
        simko.envs.EnvInfo("audit/Twice-v0", "Twice", "test_rows:Twice", "math", source="test")
    )
    (entry,) = audit("audit/Twice-v0", checks=False)
    assert "5 problems have several gold answers (10 rows)" in entry.notes[-1]
