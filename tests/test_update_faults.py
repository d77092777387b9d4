"""Whole training runs whose device runs out of memory, or whose numbers spoil: the built-in policy, through `train`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from simko.agents.states import HiddenStates
from simko.packing import PackedRows
from simko.run.folder import RunFolder
from simko.settings import train_config
from simko.train import train

SMALL = {
    "prompts_per_step": 4, "group_size": 4, "level": 1, "max_new_tokens": 16, "eval_problems": 0, "preflight_prompts": 0,
    "logger": "none", "lora_rank": 4, "steps": 2, "quantization": "none", "micro_batch_tokens": 4096,
}  # fmt: skip


def run(out: Path, **settings: Any) -> tuple[RunFolder, dict[str, torch.Tensor]]:
    folder = train(train_config({**SMALL, "out": str(out), **settings}), console=Console(file=io.StringIO()))
    adapter = folder.adapter()
    assert adapter is not None
    return folder, load_file(adapter / "adapter_model.safetensors")


def test_a_run_out_of_memory_goes_on_with_the_same_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, expected = run(tmp_path / "plain")
    real = HiddenStates.packed

    def small(self: HiddenStates, rows: PackedRows) -> torch.Tensor:
        if len(rows.ids) > 60:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB")
        return real(self, rows)

    monkeypatch.setattr(HiddenStates, "packed", small)
    halved, weights = run(tmp_path / "halved")
    lines, before = halved.metrics(), plain.metrics()
    assert lines[0]["oom_halvings"] >= 1
    assert lines[1]["oom_halvings"] <= 1  # remembered
    assert [line["updates"] for line in lines] == [line["updates"] for line in before]
    assert lines[0]["grad_norm"] == pytest.approx(before[0]["grad_norm"], rel=1e-4)
    for name, weight in expected.items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=2e-5)


def test_rows_that_spoil_are_masked_and_the_adapter_stays_finite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = HiddenStates.packed

    def spoilt(self: HiddenStates, rows: PackedRows) -> torch.Tensor:
        states = real(self, rows)
        if not torch.is_grad_enabled() or len(rows.prompts) == 1:
            return states
        noise = torch.zeros_like(states)
        noise[rows.prompts[0] - 1] = torch.nan  # the first prompt's answers predict their first token from here
        return states + noise

    monkeypatch.setattr(HiddenStates, "packed", spoilt)
    folder, weights = run(tmp_path / "run")
    lines = folder.metrics()
    assert sum(line["nonfinite_rows"] for line in lines) > 0
    assert sum(line["updates"] for line in lines) == 2
    assert all(bool(torch.isfinite(weight).all()) for weight in weights.values())
