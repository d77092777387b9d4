"""Adapter configurations: plain ones are read, hostile or wrong ones are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from simko.agents.adapter import read_config
from simko.errors import UserError

PLAIN = {"peft_type": "LORA", "base_model_name_or_path": "m", "r": 2, "target_modules": ["q_proj", "v_proj"]}


def adapter(folder: Path, **changes: Any) -> Path:
    (folder / "adapter_config.json").write_text(json.dumps(PLAIN | changes))
    save_file({"base_model.model.q_proj.lora_A.weight": torch.zeros(2, 8)}, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize("names", [["q_proj"], "all-linear", ["model.layers.0.self_attn.q_proj"]])
def test_plain_names_are_read(tmp_path: Path, names: Any) -> None:
    assert read_config(adapter(tmp_path, target_modules=names, rank_pattern={"q_proj": 1}), "m").r == 2


@pytest.mark.parametrize(
    "change",
    [
        {"target_modules": "(.*)*(.*)*(.*)*q"}, {"target_modules": [3]}, {"target_modules": {"a": 1}},
        {"exclude_modules": ".*_proj"}, {"rank_pattern": {"(.*)*(.*)*x": 2}}, {"rank_pattern": ["q_proj"]},
        {"alpha_pattern": {"a|b": 2}}, {"rank_pattern": {"q_proj": 10**9}}, {"rank_pattern": {"q_proj": "2"}},
        {"r": 10**9}, {"r": 3}, {"r": 0}, {"r": True}, {"r": None}, {"r": 2.0}, {"r": [2]},
    ],
)  # fmt: skip
def test_expressions_and_ranks_that_are_not_the_weights_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"adapter_config.json: .* (plain module names|is not that of)"):
        read_config(adapter(tmp_path, **change), "m")


def test_without_weights_no_rank_is_built_that_none_would_train(tmp_path: Path) -> None:
    adapter(tmp_path, r=10**6)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"junk")
    with pytest.raises(UserError, match="rank 1000000"):
        read_config(tmp_path, "m")
