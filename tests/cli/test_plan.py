"""`simko plan`: a verdict first, 80 columns, exit code 0 or 1, and no weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simko.cli import run

ROOT = Path(__file__).resolve().parents[2]
MODEL = ["--model", "Qwen2.5-1.5B", "--max-new-tokens", "1024", "--prompts-per-step", "8"]


def test_a_plan_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", *MODEL, "--memory", "6GB"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("fits: ")
    assert max(map(len, lines)) <= 80
    for part in ("weights (nf4)", "adapter", "optimizer", "cache of keys", "activations", "download", "64 slots"):
        assert part in out


def test_a_small_model_is_counted_in_millions(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--device", "cpu"]) == 0
    assert "tiny: 0.9 M parameters" in capsys.readouterr().out


def test_a_plan_that_does_not_fit_says_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--model", "Qwen2.5-7B", "--memory", "8GB", "--max-new-tokens", "4096"]) == 1
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("does not fit: ")
    assert second.startswith("  fits if: --max-new-tokens ")


def test_json_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", *MODEL, "--memory", "6GB", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    for phase in ("rollout", "update"):
        parts = sum(item["bytes"] for item in plan["items"] if item["phase"] in ("both", phase))
        assert parts == pytest.approx(plan[f"{phase}_bytes"])
    assert plan["fits"] is True
    assert plan["download_bytes"] == pytest.approx(2 * plan["shape"]["parameters"])


def test_an_engine_that_is_not_planned_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for engine, has_note in (("local", False), ("generate_batch", True)):
        command = ["plan", *MODEL, "--memory", "6GB", "--engine", engine]
        assert run(command) == 0
        out = capsys.readouterr().out
        assert ("engine generate_batch: what it takes" in out) is has_note
        assert max(map(len, out.splitlines())) <= 80
        assert run([*command, "--json"]) == 0
        assert (json.loads(capsys.readouterr().out)["note"] is not None) is has_note


def test_an_engine_on_another_card_or_in_a_share_of_this_one(capsys: pytest.CaptureFixture[str]) -> None:
    def planned(*flags: str) -> tuple[int, dict[str, Any]]:
        return run(["plan", *MODEL, "--memory", "12GB", *flags, "--json"]), json.loads(capsys.readouterr().out)

    def item(plan: dict[str, Any], name: str) -> float:
        return sum(entry["bytes"] for entry in plan["items"] if entry["name"] == name)

    _, local = planned()
    code, server = planned("--engine", "vllm-server", "--engine-url", "http://a:1")
    assert code == 0
    assert not {"cache of keys and values", "merged copy", "prefill"} & {entry["name"] for entry in server["items"]}
    assert server["rollout_bytes"] < local["rollout_bytes"]
    assert server["update_bytes"] == local["update_bytes"]
    code, shared = planned("--engine", "vllm", "--engine-share", "0.5")
    assert code == 0
    assert item(shared, "vLLM, awake") == 6e9
    assert shared["rollout_bytes"] == pytest.approx(server["rollout_bytes"] + 6e9)
    code, greedy = planned("--engine", "vllm", "--engine-share", "0.9")
    assert code == 1
    share = next(line for line in greedy["fits_if"] if line.startswith("--engine-share"))
    assert planned("--engine", "vllm", *share.split())[0] == 0
    code, small = planned("--engine", "vllm", "--engine-share", "0.05")
    assert code == 1
    assert small["verdict"].startswith(
        "does not fit: vLLM's share of 0.60 GB does not hold its weights and one answer, "
    )
    assert share in small["fits_if"]
    assert run(["plan", *MODEL, "--memory", "12GB", "--engine", "vllm"]) == 0
    out = capsys.readouterr().out
    assert "decoded by vllm" in out
    assert max(map(len, out.splitlines())) <= 80


def test_settings_that_are_given_are_planned_with(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--micro-batch-tokens", "2048", "--no-gradient-checkpointing", "--alpha", "0.3"]
    assert run(["plan", *MODEL, "--memory", "8GB", *flags, "--json"]) == 1
    plan = json.loads(capsys.readouterr().out)
    assert plan["settings"]["micro_batch_tokens"] == 2048
    assert plan["fits_if"][0].startswith("leave out --micro-batch-tokens")


def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--model", "Qwen2.5-1.4B"], ["--memory", "much"], ["--nonsense", "1"], ["--env", "no/Such-v0"]):
        assert run(["plan", *arguments]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)


def test_the_table_has_every_model_and_says_what_was_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    from simko.memory.shapes import BUILT_IN

    assert run(["plan", "--table"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == list(BUILT_IN)
    assert all("not yet run on a GPU" in line for line in lines[2:])
    assert next(line for line in lines if "Qwen2.5-1.5B" in line).split(" | ")[5] == "fits"  # 6 GB


def test_planning_loads_no_model_library() -> None:
    """And the arithmetic itself, with what it reads, not even torch (the methods' settings do)."""
    code = (
        "import sys; from simko.memory import lookup; seen = 'torch' in sys.modules; "
        "from simko.cli import run; code = run(['plan', '--device', 'cpu']); "
        "print([seen, *(m for m in ('transformers', 'peft') if m in sys.modules)], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr.strip()) == (0, "[False]")
