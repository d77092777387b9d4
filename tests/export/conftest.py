"""A run of `tiny` with a trained adapter and an evaluation of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from export_fakes import evaluation

from simko.agents import LoraPolicy
from simko.files import digest
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
