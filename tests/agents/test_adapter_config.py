"""Adapter configurations: plain LoRA is read as PEFT reads it; all else is refused by name; hostile files cost nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from simko.agents.adapter_config import base_of, read_config
from simko.errors import UserError

PLAIN = {"peft_type": "LORA", "base_model_name_or_path": "m", "r": 2, "target_modules": ["q_proj", "v_proj"]}
LAYERS = ["layers.0.q_proj", "layers.1.q_proj"]


def adapter(folder: Path, **changes: Any) -> Path:
    (folder / "adapter_config.json").write_text(json.dumps(PLAIN | changes))
    weights = {f"base_model.model.{layer}.lora_A.weight": torch.zeros(2, 8) for layer in LAYERS}
    save_file(weights, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize("names", [["q_proj"], ["model.layers.0.self_attn.q_proj"]])
def test_plain_names_are_read(tmp_path: Path, names: Any) -> None:
    config = read_config(adapter(tmp_path, target_modules=names, rank_pattern={"q_proj": 1}), "m")
    assert config.target_modules == set(names)
    assert config.rank_pattern == {"q_proj": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"target_modules": "(.*)*(.*)*(.*)*q"}, {"target_modules": "all-linear"}, {"target_modules": None},
        {"exclude_modules": "(.*)*(.*)*(.*)*x"}, {"layers_to_transform": 0, "layers_pattern": "(.*)*(.*)*x"},
        {"target_modules": [".*q_proj"]},
    ],
)  # fmt: skip
def test_where_expressions_name_the_layers_the_weights_do(tmp_path: Path, change: dict[str, Any]) -> None:
    config = read_config(adapter(tmp_path, **change), "m")
    assert config.target_modules == set(LAYERS)
    assert [config.exclude_modules, config.layers_to_transform, config.layers_pattern] == [None] * 3
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match="names no layer; give a folder that PEFT saved"):
        read_config(tmp_path, "m")


@pytest.mark.parametrize("numbers", [0, [1], [0, 1]])
@pytest.mark.parametrize("pattern", [None, "layers", ["layers", "h"]])
def test_layers_are_chosen_by_number(tmp_path: Path, numbers: Any, pattern: Any) -> None:
    config = read_config(adapter(tmp_path, layers_to_transform=numbers, layers_pattern=pattern), "m")
    assert (config.layers_to_transform, config.layers_pattern) == (numbers, pattern)


@pytest.mark.parametrize(
    "change",
    [
        {"target_modules": [3]}, {"target_modules": {"a": 1}}, {"exclude_modules": 3}, {"layers_pattern": [None]},
        {"layers_to_transform": ["0"]}, {"layers_to_transform": "0"}, {"layers_to_transform": [True]},
        {"rank_pattern": ["q_proj"]}, {"rank_pattern": {"q_proj": 10**9}}, {"rank_pattern": {"q_proj": "2"}},
        {"rank_pattern": {"(.*)*": 3}}, {"rank_pattern": {f"l{i}": 2 for i in range(10**4)}},
        {"alpha_pattern": {"(.*)*(.*)*x": 2}}, {"alpha_pattern": {".*.*.*x": 2}}, {"alpha_pattern": {"(a|a)(a|a)": 2}},
        {"alpha_pattern": {"(": 2}}, {"alpha_pattern": ["q_proj"]}, {"alpha_pattern": {"q_proj": "2"}},
        {"lora_alpha": "8"}, {"lora_alpha": True}, {"lora_alpha": float("nan")}, {"lora_alpha": 1e30},
        {"r": 10**9}, {"r": 3}, {"r": 0}, {"r": True}, {"r": None}, {"r": 2.0}, {"r": [2]}, {"peft_type": 3},
    ],
)  # fmt: skip
def test_values_of_a_wrong_kind_or_beyond_the_weights_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"adapter_config.json: .*(give |is not that of|in place of|not the conf)"):
        read_config(adapter(tmp_path, **change), "m")


def test_without_weights_no_rank_is_built_that_none_would_train(tmp_path: Path) -> None:
    adapter(tmp_path, r=10**6)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"junk")
    with pytest.raises(UserError, match="rank 1000000"):
        read_config(tmp_path, "m")


@pytest.mark.parametrize("start", [True, False, None, "gaussian", "Gaussian", "eva", "orthogonal"])
def test_a_first_value_that_leaves_the_base_alone_is_read(tmp_path: Path, start: Any) -> None:
    assert read_config(adapter(tmp_path, init_lora_weights=start), "m").init_lora_weights is True


@pytest.mark.parametrize(
    "start", ["pissa", "PiSSA", "pissa_niter_16", "olora", "corda", "loftq", "lora_ga", "something new", 7, ["pissa"]]
)
def test_a_first_value_that_changes_the_base_is_refused(tmp_path: Path, start: Any) -> None:
    with pytest.raises(UserError, match=r"init_lora_weights is .*path_initial_model_for_weight_conversion") as caught:
        read_config(adapter(tmp_path, init_lora_weights=start), "m")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        ({"init_lora_weights": "mica"}, "set it to true"),
        ({"use_dora": True}, "merge_and_unload"), ({"modules_to_save": ["lm_head"]}, "merge_and_unload"),
        ({"trainable_token_indices": [3]}, "merge_and_unload"), ({"bias": "lora_only"}, "merge_and_unload"),
        ({"kasa_config": {"beta": 1e-4}}, "merge_and_unload"), ({"target_parameters": ["w"]}, "merge_and_unload"),
        ({"use_bdlora": {"nblocks": 2}}, "merge_and_unload"), ({"peft_type": "IA3"}, "merge_and_unload"),
        ({"lora_bias": True}, "train a new one"), ({"layer_replication": [[0, 2]]}, "train a new one"),
        ({"alora_invocation_tokens": [5]}, "train a new one"), ({"use_qalora": True}, "train a new one"),
        ({"arrow_config": {"top_k": 3}}, "train a new one"), ({"monteclora_config": {"a": 1}}, "train a new one"),
        ({"peft_type": "PROMPT_TUNING"}, "train a new one"), ({"peft_type": "PREFIX_TUNING"}, "train a new one"),
        ({"velora_config": {"scale": 1.0}}, "null"), ({"megatron_config": {"a": 1}}, "null"),
        ({"use_tomorrows_idea": True}, "use_tomorrows_idea; delete a key"), ({"a_new_number": 0.5}, "a_new_number"),
    ],
)  # fmt: skip
def test_what_is_not_plain_lora_is_refused_by_name_with_a_mend(
    tmp_path: Path, change: dict[str, Any], mend: str
) -> None:
    with pytest.raises(UserError, match=mend) as caught:
        read_config(adapter(tmp_path, **change), "m")
    key, value = next(iter(change.items()))
    assert (value if key == "peft_type" else key) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_keys_that_mean_nothing_to_the_weights_are_passed_over(tmp_path: Path) -> None:
    """A file of PEFT 0.21 as it is, and one of an older PEFT with keys that are gone."""
    import dataclasses

    from peft import LoraConfig

    every = LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=0.1, revision="main", fan_in_fan_out=True).to_dict()
    every |= {"target_modules": ["q_proj"], "peft_type": "LORA", "enable_lora": None, "merge_weights": False, "odd": []}
    every |= {"loftq_config": {"loftq_bits": 4}, "eva_config": {"rho": 2.0}, "auto_mapping": {"unsloth_fixed": True}}
    config = read_config(adapter(tmp_path, **every), "m")
    assert {entry.name for entry in dataclasses.fields(config)} >= {"target_modules", "r"}
    assert config.lora_dropout == 0.0


@pytest.mark.parametrize(("stored", "name"), [("org/toy", "org/toy"), (None, None), ("", None)])
def test_the_name_of_the_base_is_read_and_decides_nothing(tmp_path: Path, stored: Any, name: Any) -> None:
    folder = adapter(tmp_path, base_model_name_or_path=stored)
    assert base_of(folder) == name
    assert read_config(folder, "another/model").base_model_name_or_path == "another/model"
