"""A run of `tiny` with a trained adapter and an evaluation of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from simko.agents import LoraPolicy
from simko.files import digest
from simko.report.counts import Counts, Tally, summarise
from simko.run.folder import RunFolder
from simko.settings import train_config


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One checkpoint, whose adapter is moved as a few steps would move it."""
    path = tmp_path_factory.mktemp("runs") / "run"
    config = train_config({"out": str(path), "device": "cpu", "threads": 1, "lora_rank": 4, "learning_rate": 3e-4})
    policy = LoraPolicy.from_pretrained("tiny", lora_rank=4, device="cpu", dtype="float32")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in policy.trainable_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.02)
    run = RunFolder(path, config)
    optimizer = torch.optim.AdamW([p for _, p in policy.trainable_parameters()])
    with run.opened(config, 0):
        run.save_checkpoint(7, policy, optimizer)
    run.eval_path.mkdir(exist_ok=True)
    adapter = path / "checkpoints" / "step-000007" / "adapter" / "adapter_model.safetensors"
    (run.eval_path / "gsm8k.json").write_text(json.dumps(evaluation(digest(adapter))))
    return path


def evaluation(adapter_sha256: str, **changes: Any) -> dict[str, Any]:
    """The result of an evaluation of an adapter."""
    sides = [counts(right) for right in ((4, 2, 1, 0, 3, 4), (2, 1, 1, 0, 2, 3))]
    facts = {
        "env": "simko/GSM8K-v0", "adapter_sha256": adapter_sha256, "adapter": "a", "model": "tiny", "quantization": "nf4",
        "algorithm": "simko", "step": 7, "n": 4, "problems": 6, "seed": 0, "temperature": 0.6, "top_p": 0.95,
        "max_new_tokens": 300, "verifier": "math", "part": "all", "overlap": 0, "level": None,
    }  # fmt: skip
    return {**facts, **summarise(*sides), **changes}


def counts(right: tuple[int, ...]) -> Counts:
    """Four samples of each problem, of which so many were right."""
    side = Counts()
    for i, correct in enumerate(right):
        side.tallies[f"task {i}"] = Tally(samples=4, correct=correct, answers={"42": (4, correct)})
        side.outcomes["correct"] += correct
        side.outcomes["incorrect"] += 4 - correct
    side.samples, side.tokens = 4 * len(right), 40 * len(right)
    return side
