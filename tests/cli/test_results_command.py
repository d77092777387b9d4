"""`simko results`: arms shown, converted, and refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simko.cli import run as simko
from simko.envs import make
from simko.report.foreign import read

ENV = "simko/Countdown-v0"


def ran(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    capsys.readouterr()
    code = simko(["results", *map(str, arguments)])
    return code, *capsys.readouterr()


def refusal(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    code, out, err = ran(capsys, *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    return line.removeprefix("simko: error: ")


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A result of `simko eval`, of a run and its base model, in a run folder."""
    tasks = [task.id for task in make(ENV, split="eval").source.tasks(2, 0)]

    def side(*correct: int) -> dict[str, Any]:
        counts = {task: {"samples": 4, "correct": c} for task, c in zip(tasks, correct, strict=True)}
        return {"counts": counts, "answers": {tasks[0]: {"1+2": [correct[0], correct[0]]}}, "pass_at_k": {"1": 0.5}}

    content = {
        "model": "tiny", "adapter": "/x", "adapter_sha256": "0a", "run": "/r", "algorithm": "simko", "step": 5, "env": ENV,
        "level": None, "verifier": "expression", "n": 4, "temperature": 0.6, **side(3, 1), "base": side(1, 0),
    }  # fmt: skip
    run = tmp_path / "run"
    (run / "eval").mkdir(parents=True)
    (run / "config.yaml").touch()
    path = run / "eval" / "r.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_arms_are_listed(capsys: pytest.CaptureFixture[str], result: Path) -> None:
    for target in (result, result.parent.parent):
        code, out, err = ran(capsys, target)
        assert (code, err) == (0, "")
        header, trained, base = out.splitlines()
        assert header.split() == ["ARM", "SEED", "SOURCE", "ENV", "VERIFIER", "PROBLEMS", "N", "PASS@1", "%"]
        assert trained.split() == ["simko", "-", "simko", ENV, "expression", "2", "4", "50.0"]
        assert base.split() == ["base", "-", "simko", ENV, "expression", "2", "4", "12.5"]
    rows = json.loads(ran(capsys, result, "--json")[1])
    assert [(row["arm"], row["pass_at_1"], row["foreign"]) for row in rows] == [
        ("simko", 0.5, False),
        ("base", 0.125, False),
    ]


def test_counts_are_written_and_read_back(capsys: pytest.CaptureFixture[str], result: Path, tmp_path: Path) -> None:
    out = tmp_path / "base.jsonl"
    assert ran(capsys, result, "--format", "counts", "--arm", "base", "-o", out) == (0, "", "")
    assert sorted(read(out)[0].counts.values()) == [(4, 0), (4, 1)]
    code, text, _ = ran(capsys, result, "--format", "counts", "--arm", "base")
    assert (code, text) == (0, out.read_text(encoding="utf-8"))
    _, text, _ = ran(capsys, out, "--format", "csv")
    assert text.splitlines()[0].startswith("arm,seed,problem,samples,correct,source,env")
    assert "base,,countdown/eval/" in text
    assert "our verifiers have not seen these answers" in ran(capsys, out)[2]


def test_every_eval_ever_is_a_folder(capsys: pytest.CaptureFixture[str], result: Path, tmp_path: Path) -> None:
    code, out, err = ran(capsys, result, "--format", "every-eval-ever", "-o", tmp_path / "eee")
    files = [Path(line) for line in out.splitlines()]
    assert (code, err, len(files)) == (0, "", 4)
    assert all(path.is_file() for path in files)
    line = json.loads(files[0].read_text(encoding="utf-8").splitlines()[0])
    assert line["input"]["raw"].startswith("Using")
    assert json.loads(files[1].read_text(encoding="utf-8"))["model_info"]["id"] == "unknown/tiny-simko"
    arguments = (result, "--format", "every-eval-ever", "-o", tmp_path / "eee", "--arm", "simko", "--model-id", "me/m")
    assert "/countdown-v0/me/m/" in ran(capsys, *arguments)[1]


def test_a_file_does_not_choose_what_is_opened(
    capsys: pytest.CaptureFixture[str], result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its environment may be a module or a file; neither is touched because a result names it."""
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    content = json.loads(result.read_text())
    for env in ("evil:my/Env-v0", f"jsonl:{tmp_path}/secret.jsonl"):
        result.write_text(json.dumps({**content, "env": env}))
        code, _, err = ran(capsys, result, "--format", "every-eval-ever", "-o", tmp_path / "eee", "--arm", "base")
        assert code == 0
        assert "the texts of its problems are left out" in err


def test_completions_are_graded_on_the_way(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    task = make("simko/Arithmetic-v0", split="eval").source.tasks(1, 0)[0]
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps({"id": task.id, "text": text}) + "\n" for text in (task.gold, "0.5")))
    code, out, err = ran(capsys, path, "--env", "simko/Arithmetic-v0", "--format", "counts")
    assert (code, json.loads(out), err) == (0, {"id": task.id, "c": 1, "n": 2}, "")


def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], result: Path, tmp_path: Path) -> None:
    run = result.parent.parent
    assert "did you mean 'counts'?" in refusal(capsys, result, "--format", "count")
    assert "say in which format" in refusal(capsys, result, "-o", "x")
    assert "choose with --arm: simko, base" in refusal(capsys, result, "--format", "counts")
    assert "has no arm 'bas'; did you mean 'base'?" in refusal(capsys, result, "--arm", "bas")
    assert "leave --verifier out" in refusal(capsys, run, "--verifier", "math")
    assert "give a folder with --out" in refusal(capsys, result, "--format", "every-eval-ever")
    record = ("--format", "every-eval-ever", "-o", tmp_path / "e")
    assert "names one model" in refusal(capsys, result, *record, "--model-id", "a/b")
    assert "is not developer/model" in refusal(capsys, result, *record, "--arm", "base", "--model-id", "b")
    assert "choose another place" in refusal(capsys, result, "--format", "csv", "-o", tmp_path / "no" / "x.csv")
    (tmp_path / "s.json").write_text("{}")
    assert "s.json" in refusal(capsys, tmp_path / "s.json")
    content = json.loads(result.read_text())
    content["counts"] = {"a": {"samples": 1, "correct": True}}
    result.write_text(json.dumps(content))
    assert "damaged" in refusal(capsys, result)
    assert "no result of an evaluation" in refusal(capsys, _empty(tmp_path))


def test_of_several_seeds_the_way_to_one_is_told(
    capsys: pytest.CaptureFixture[str], result: Path, tmp_path: Path
) -> None:
    for seed in (0, 1):
        place = tmp_path / f"c/runs/grpo/seed-{seed}/eval"
        place.mkdir(parents=True)
        (place / "r.json").write_text(json.dumps({**json.loads(result.read_text()), "base": None}))
    first = tmp_path / "c/runs/grpo/seed-0/eval/r.json"
    line = refusal(capsys, tmp_path / "c", "--format", "counts")
    assert line.endswith(
        f"has 2 seeds of arm 'grpo', and a file of counts holds one; name the result of one seed, as {first}"
    )
    record = ("--format", "every-eval-ever", "-o", tmp_path / "e", "--model-id", "a/b")
    assert refusal(capsys, tmp_path / "c", *record).endswith(f"name the result of one seed, as {first}")
    assert ran(capsys, first, "--format", "counts")[0] == 0


def _empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.yaml").touch()
    return tmp_path / "empty"
