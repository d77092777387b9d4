"""`make gpu`: parts are chosen, a broken step is a row, results are merged, and the page says what they mean."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common import Result, Sample
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import goals, page, readers
from benchmarks.gpu.parts import PARTS, Setting
from benchmarks.gpu.steps import Step, run_step

CARD = {"cuda": True, "device": "NVIDIA Card 9", "memory": 8e9, "versions": {"torch": "2.13", "trl": None}}


def step(name: str, code: str, **options: Any) -> Step:
    return Step(name, ("-c", code), lambda out: {"values": json.loads(out)}, **options)


def run(name: str, code: str, limit: float = 60, **options: Any) -> dict[str, Any]:
    return run_step(step(name, code, **options), limit, {})


def row(name: str, status: str = "ok", **values: float) -> dict[str, Any]:
    findings = {"values": {key.replace("__", " / "): value for key, value in values.items()}}
    date = "2026-01-02T03:04:05+00:00"
    return {
        "name": name,
        "command": "python",
        "date": date,
        "seconds": 1.0,
        "status": status,
        "message": "a|b\x1b[2J",
    } | {"findings": findings}


def test_a_step_gives_values_and_says_how_it_ran() -> None:
    result = run("s", "import os; print('{\"x\": %s}' % os.environ['LEVEL'])", environ={"LEVEL": "7"})
    assert (result["status"], result["findings"]) == ("ok", {"values": {"x": 7}})
    assert result["command"].startswith("LEVEL=7 python -c ")


@pytest.mark.parametrize(
    ("code", "limit", "message"),
    [
        ("import sys; print('{}'); sys.exit('out of paper')", 60, "exit 1: out of paper"),
        ("print('not json')", 60, "cannot be read (JSONDecodeError"),
        ("import time; time.sleep(60)", 1, "killed after "),
        ("print('{}')", 0, "no time was left"),
    ],
)
def test_a_step_that_fails_is_a_row_with_its_message(code: str, limit: float, message: str) -> None:
    result = run("s", code, limit)
    assert result["status"] == "failed"
    assert message in result["message"]


def test_a_long_run_is_asked_to_stop_and_that_is_no_failure(default_signals: None) -> None:
    asleep = Step("s", ("-c", "import time; time.sleep(60)"), lambda _: {}, stop_s=0.5)
    assert run_step(asleep, 30, {})["status"] == "ok"
    assert run_step(replace(asleep, stop_s=None), 1, {})["status"] == "failed"


@pytest.fixture
def two_parts(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    fakes = {
        1: lambda _: [step("breaks", "1 / 0"), step("works", "print('{\"x\": 1}')")],
        2: lambda setting: [step("model", f"print('{{\"small\": {int(setting.small)}}}')")],
    }
    monkeypatch.setattr(command, "PARTS", fakes)
    monkeypatch.delenv("SIMKO_TEST_MODEL", raising=False)
    monkeypatch.delenv("SIMKO_GPU_STAND_IN", raising=False)

    def on(machine: dict[str, Any]) -> None:
        monkeypatch.setattr(command, "ask", lambda _: dict(machine))

    return on


def test_parts_run_alone_and_are_merged(two_parts: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    two_parts(CARD)
    where = ["--out", str(tmp_path), "--scratch", str(tmp_path / "scratch")]
    assert command.main(["--part", "2", *where]) == 0
    assert command.main(["--part", "1", *where]) == 1  # a step of it fails; the next one runs all the same
    stored = json.loads((tmp_path / "nvidia-card-9.json").read_text())
    assert [*stored["parts"]] == ["1", "2"]
    assert [s["status"] for s in stored["parts"]["1"]["steps"]] == ["failed", "ok"]
    assert stored["parts"]["2"]["steps"][0]["findings"] == {"values": {"small": 0}}
    text = (tmp_path / "nvidia-card-9.md").read_text()
    assert "ZeroDivisionError" in text
    assert text.startswith("# NVIDIA Card 9")
    assert "torch 2.13; not there: trl" in text


def test_without_a_gpu_it_is_one_line_and_a_stand_in_is_named_so(
    two_parts: Callable[[dict[str, Any]], None], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    two_parts({"cuda": False, "device": "CPU", "versions": {}, "why": "torch finds no CUDA device"})
    where = ["--part", "2", "--out", str(tmp_path), "--scratch", str(tmp_path / "scratch")]
    assert command.main(where) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "no CUDA device: torch finds no CUDA device" in err
    monkeypatch.setenv("SIMKO_GPU_STAND_IN", "cpu")
    assert command.main(where) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stand-in-cpu.json", "stand-in-cpu.md"]
    assert "No GPU was used" in (tmp_path / "stand-in-cpu.md").read_text().splitlines()[0]
    assert command.main([*where, "--model", str(tmp_path)]) == 2
    assert "has no config.json" in capsys.readouterr().err


def test_goals_are_judged_in_words() -> None:
    steps = [
        row("head and its floor", simko__two_GEMMs=0), row("decode, batch 64", ours__generate=0.19),
        row("decode, batch 256", ours__generate=0.3), row("forecast, 0.3B", **{"error, absolute": 0.05}),
        row("step beside TRL", "failed"),
    ]  # fmt: skip
    steps[0]["findings"]["values"] = {"simko / two GEMMs": float("nan")}
    text = page.render(page.merged({}, 2, steps, CARD))
    verdicts = [line.split(" | ")[1:3] for line in text.splitlines() if line.startswith("| ")][1:8]
    assert verdicts == [
        ["nan times", "not met"],
        ["0.19 of its time", "met"],
        ["0.3 of its time", "not met"],
        ["-", "not measured"],
        ["5 % off", "met in part, the rest is not measured"],
        ["-", "not measured: a\\|b\N{REPLACEMENT CHARACTER}[2J"],
        ["-", "not measured: a\\|b\N{REPLACEMENT CHARACTER}[2J"],
    ]
    stand_in = page.render(page.merged({}, 2, steps, CARD | {"cuda": False}))
    assert "| met" not in stand_in
    assert "\x1b" not in text + stand_in


def test_every_goal_has_a_step_that_measures_it(tmp_path: Path) -> None:
    setting = Setting(False, None, tmp_path, tmp_path)
    steps = {s.name: s for make in PARTS.values() for s in make(setting)}
    assert {value.rpartition(".")[0] for goal in goals.GOALS for value in goal.values[:1]} <= steps.keys()
    assert "--memory 8GB" in steps["SimKO run, within 8GB"].shown()
    named = Setting(False, "/somewhere/model", tmp_path, tmp_path)
    shown = [s.shown() for make in PARTS.values() for s in make(named)]
    assert any("$MODEL" in named.portable(text) for text in shown)
    assert not any("/somewhere" in named.portable(text) for text in shown)


def test_a_benchmark_is_read_into_its_ratio() -> None:
    samples = {name: Sample(role, [{"wall_s": s}]) for name, role, s in (("a", "ours", 2.0), ("b", "peer", 8.0))}
    result = Result("x", "x", samples, missing={"c": "pip install c"}, setting={"n": 3})
    found = readers.benchmark(
        json.dumps(result.to_json()), {"a / b": ("wall_s", "a", "b"), "a / c": ("wall_s", "a", "c")}
    )
    assert found["values"] == {"a / b": 0.25}
    assert any("c was left out" in note for note in found["notes"])


def test_tests_are_counted_and_the_failed_ones_named() -> None:
    found = readers.tests("FAILED tests/a.py::b - AssertionError: no\n1 failed, 6 passed, 2 skipped in 3.21s\n")
    assert found["values"] == {"failed": 1, "passed": 6, "skipped": 2}
    assert found["notes"] == ["tests/a.py::b: AssertionError: no"]


def test_a_stopped_run_is_read_from_its_folder(tmp_path: Path) -> None:
    lines = [{"step": n, "reward": n / 10, "seconds_update": 2.0} for n in range(1, 11)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "manifest.json").write_text(
        json.dumps({"status": "stopped", "memory": {"measured_update": 5e9, "error": 0.02}})
    )
    table = readers.training("cap: 8.00 GB\n", tmp_path)["tables"][0]["rows"]
    assert ["reward: first fifth, last fifth", "0.15 and 0.95"] in table
    assert ["memory: forecast over measured", "+2.0%"] in table
    assert ["cap", "8.00 GB"] in table


def test_a_step_of_the_real_script_runs_on_the_stand_in(tmp_path: Path) -> None:
    """Random weights are written, planned for, and tried; the measured peak stands beside the forecast."""
    setting = Setting(True, None, tmp_path, tmp_path)
    (wanted,) = [s for s in PARTS[3](setting) if s.name == "forecast, 0.3B"]
    result = run_step(wanted, 120, {"CUDA_VISIBLE_DEVICES": ""})
    assert result["status"] == "ok", result["message"]
    assert result["findings"]["values"]["forecast_update"] > 1e8
    if sys.platform.startswith("linux"):
        assert result["findings"]["values"]["error, absolute"] < 0.5
    (note,) = result["findings"]["notes"]
    assert "cap none: there is no GPU" in note
