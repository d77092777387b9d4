"""`simko compare` and `simko sweep` as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fake_arms import a_run

from simko.cli import run as simko
from simko.files import locked

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--steps", "2", "--prompts-per-step", "4", "--group-size", "4", "--temperatures", "1", "--templates", "chat"]


def last_error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0].removeprefix("simko: error: ")


def test_a_dry_run_says_what_would_be_done_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c"
    assert (
        simko(["compare", "--algorithms", "grpo,simko", "--alpha", "0.4", *SMALL, "--out", str(out), "--dry-run"]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[-2:] == ["ready", "32,768"]  # 128 problems x 256 samples
    assert lines[2].split() == ["grpo,", "seed", "0:", "training", "ready", "32"]
    assert lines[-1] == (
        "trainings 0/3, evaluations 0/4, left unknown until the first run is done; 131,168 answers to sample"
    )
    assert not out.exists()


def test_seeds_by_a_flag_replace_those_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("seeds: 5\narms: {grpo: {algorithm: grpo}}\n")
    assert simko(["compare", "--config", str(study), "--seeds", "5,7", "--out", str(tmp_path / "x"), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split("seed ")[1].split(":")[0] for line in lines if "seed " in line} == {"5", "7"}


def test_the_frontier_studys_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = ROOT / "studies/frontier/tune.yaml"
    assert simko(["sweep", str(study), "--out", str(tmp_path / "s"), "--dry-run", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["cells"]) == 66
    assert content["cells"][1] == {
        "cell": "grpo-1, seed 100: tuning problems at T 1", "state": "waiting", "answers": "3,072",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["compare"], "compare: --out is empty"),
        (["compare", "--out", "OUT"], "there is no arm; name methods"),
        (["compare", "--algorithms", "grpp", "--out", "OUT"], "arm grpp: "),
        (["compare", "--algorithms", "grpo", "--alpa", "1", "--out", "OUT"], "config: unknown key 'alpa'"),
        (["compare", "--algorithms", "grpo", "--learning-rate", "x", "--out", "OUT"], "config: learning_rate is 'x'"),
        (
            ["compare", "--algorithms", "grpo", "--seeds", "x", "--out", "OUT"],
            "config: seeds is wrong; give a number of seeds",
        ),
        (["compare", "--algorithms", "grpo", "--eval-samples", "1", "--out", "OUT"], "config: eval_samples is 1"),
        (["compare", "--config", "none.yaml", "--out", "OUT"], "config none.yaml: No such file"),
        (["compare", "none", "other"], "compare: none: no such file or folder"),
        (["compare", "none", "--algorithms", "grpo"], "compare: none is compared as it is, and nothing is trained"),
        (["compare", "none", "--steps", "3"], "compare: none is compared as it is"),
        (["compare", "none", "--dry-run"], "compare: none is compared as it is"),
        (["compare", "none", "--budget", "1"], "compare: none is compared as it is"),
        (["compare", "none", "--jobs", "2"], "compare: none is compared as it is"),
        (["compare", "--algorithms", "grpo", "--out", "FILE"], "FILE is not a folder; give another --out"),
        (["sweep", "--out", "OUT"], "there is no arm"),
        (["sweep", "FILE", "--out", "OUT"], "sweep: no arm has a grid; give"),
        (["compare", "--config", "GRID", "--out", "OUT"], "compare: the arms have grids to try"),
        (["sweep", "FILE", "FILE", "--out", "OUT"], "sweep: FILE, FILE are 2 studies; give one at a time"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("arms: {grpo: {algorithm: grpo}}\n")
    Path("GRID").write_text("arms: {grpo: {algorithm: grpo, grid: {learning_rate: [0.1, 0.2]}}}\n")
    assert simko(words) == 2
    assert last_error(capsys).startswith(line)
    assert not Path("OUT").exists()


def test_one_process_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = f"import time; from pathlib import Path; from simko.files import locked\nwith locked(Path({str(tmp_path)!r})):\n"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{code} print(1, flush=True)\n time.sleep(300)"], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert simko(["compare", "--algorithms", "grpo", "--out", str(tmp_path)]) == 2
        assert last_error(capsys) == f"folder {tmp_path} is in use by another process; wait for it or stop it"
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_rank_of_a_launcher_compares_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert simko(["compare", "--algorithms", "grpo", "--out", str(tmp_path / "c"), "--budget", "0"]) == 2
    assert "WORLD_SIZE=2" in last_error(capsys)
    assert not (tmp_path / "c").exists()


def test_without_budget_only_the_plan_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "c")
    assert simko(["compare", "--algorithms", "grpo,nsr", *SMALL, "--out", out, "--budget", "0"]) == 0
    output = capsys.readouterr()
    assert "no final result yet" in output.out
    notes = output.err.splitlines()
    assert notes[0] == (
        "simko: 7 runs and evaluations are missing (the budget is spent), the first: base, seed 0: final problems at T 1"
    )
    assert notes[1] == f"simko: go on with: simko compare {out}"
    assert [path.name for path in Path(out).iterdir()] == ["plan.yaml"]
    with locked(Path(out)):
        pass
    assert simko(["compare", out, "--reference", "nsr", "--budget", "0"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"simko: go on with: simko compare {out} --reference nsr"
    assert simko(["compare", "--algorithms", "psr", "--out", out, "--dry-run"]) == 0
    assert "psr, seed 0: training" in capsys.readouterr().out
    assert simko(["compare", "--algorithms", "grpo", "--learning-rate", "0.1", "--out", out]) == 2
    assert last_error(capsys).startswith("arm grpo: learning_rate was 0.0005, and it is 0.1 now")
    assert simko(["sweep", "--out", out]) == 2
    assert last_error(capsys).startswith("sweep: no arm has a grid")


def test_results_that_exist_are_not_written_over_a_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = a_run(tmp_path / "run").parent.parent, tmp_path / "c"
    out.mkdir()
    (out / "plan.yaml").touch()
    assert simko(["compare", str(run), "--out", str(out)]) == 2
    line = f"compare: {out} is the folder of a comparison, which has its own results; give another --out"
    assert last_error(capsys) == line
    assert [path.name for path in out.iterdir()] == ["plan.yaml"]
