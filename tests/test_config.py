"""Configs: their files byte for byte, what a setting decides, and the schema for editors."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from simko import algorithms
from simko.config import (
    EnvironmentSettings,
    EvalConfig,
    SamplingSettings,
    TrainConfig,
    as_dict,
    deciding,
    names,
    read_yaml,
    write_yaml,
)
from simko.errors import UserError
from simko.evaluate import result_name
from simko.run.folder import RunFolder, sealed
from simko.run.resume import resumed_config
from simko.settings import schema, train_config

STORED = """\
env: simko/Countdown-v0
model: tiny
algorithm: simko
steps: 3
seed: 0
out: runs/a
data: null
keep_good_rows: false
level: null
attempts: 1
template: chat
verifier: null
verifier_workers: 1
max_prompt_tokens: null
max_new_tokens: null
quantization: nf4
adapter: null
lora_rank: 32
lora_alpha: null
device: auto
threads: 1
memory: null
gradient_checkpointing: false
decode_weights: merged
engine: local
cache_bytes: 2147483648
burn_in: null
prompts_per_step: 2
group_size: 4
temperature: 1.0
keep_solved: null
solve_samples: 8
solve_rates: null
updates_per_batch: 1
micro_batch_tokens: 8192
learning_rate: 0.0005
warmup_steps: 0
weight_decay: 0.0
max_grad_norm: 1.0
tis_clip: 0.0
method:
  clip_low: 0.2
  clip_high: 0.2
  kl_coefficient: 0.0
  aggregation: token_mean
  alpha: 0.2
  top_k: 3
  entropy_quantile: 0.8
  top1_penalty: 1.2
  top1_penalty_on: advantage
  entropy_floor: 0.0001
checkpoint_every: 25
keep_checkpoints: 2
logger: tensorboard
preflight_prompts: 16
force: false
eval_problems: 0
eval_samples: 256
eval_temperature: 1.0
eval_top_p: 1.0
# sha256 of the lines above: 8e21238b723c54ac48decfb515be896343fbb379c791638a834aaf06e575c216
"""  # as it lay in the first run folders

DECIDING = """
    adapter algorithm attempts data engine env group_size keep_good_rows keep_solved learning_rate level lora_alpha lora_rank
    max_grad_norm max_new_tokens max_prompt_tokens method model prompts_per_step quantization seed solve_rates
    solve_samples temperature template tis_clip updates_per_batch verifier warmup_steps weight_decay
"""  # as it lay in the first checkpoints' state.json

LATER = [
    "code_seconds",
    "target_modules",
    "random_rewards",
    "columns",
    "env_options",
]  # settings that the first run folders do not have: a file has them where they are set

RESULT: dict[str, Any] = {
    **{"model": "tiny", "quantization": "nf4", "step": 5, "run": "runs/a", "env": "simko/Countdown-v0", "base": {}},
    "adapter_sha256": "9598963b94998f882b5e9454dd573add894f3901ab58309c368c8852c66b92b9",
    **{"data": None, "data_sha256": None, "level": None, "attempts": 1, "template": "chat", "verifier": "expression"},
    **{"max_new_tokens": 64, "n": 8, "problems": 4, "seed": 0, "temperature": 0.6, "top_p": 0.95},
}  # of one of the first results


@pytest.fixture
def stored(tmp_path: Path) -> RunFolder:
    """A run folder with the config above."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text(STORED)
    return RunFolder.open(tmp_path)


def test_a_config_file_keeps_its_bytes(stored: RunFolder) -> None:
    assert sealed(write_yaml(stored.config)) == STORED
    assert sealed(write_yaml(resumed_config(stored, {"steps": "3", "alpha": "0.2"}))) == STORED


def test_a_key_that_yaml_reads_as_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("steps: 1\nno: 2\n")
    with pytest.raises(UserError, match=r"a\.yaml: YAML reads a key as False"):
        read_yaml(tmp_path / "a.yaml")


def test_layers_are_named_in_files_flags_and_python_alike(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("target_modules: [q_proj, v_proj]\n")
    (tmp_path / "b.yaml").write_text("target_modules: q_proj,v_proj\n")
    files = [train_config(read_yaml(tmp_path / f"{name}.yaml")) for name in "ab"]
    flag = TrainConfig(target_modules="q_proj,v_proj")
    assert {config.target_modules for config in [*files, flag]} == {"q_proj,v_proj"}
    assert deciding(flag)["target_modules"] == "q_proj,v_proj"
    assert "target_modules: q_proj,v_proj\n" in write_yaml(flag)
    assert not any("target_modules" in text for text in (write_yaml(TrainConfig()), deciding(TrainConfig())))
    with pytest.raises(UserError, match=r"target_modules is \[3\]; it must be text"):
        TrainConfig(target_modules=[3])  # type: ignore[arg-type]


def test_what_decides_a_run(stored: RunFolder) -> None:
    assert sorted(deciding(stored.config)) == DECIDING.split()
    assert deciding(replace(stored.config, steps=9, device="cpu", eval_samples=2, out="")) == deciding(stored.config)
    assert deciding(replace(stored.config, seed=9)) != deciding(stored.config)


@pytest.mark.parametrize(
    "name", [entry.name for entry in fields(TrainConfig) if entry.name not in ("method", "out", "solve_rates")]
)
def test_a_resumed_run_may_change_what_decides_nothing(stored: RunFolder, name: str) -> None:
    others = {bool: "true", int: "77", float: "0.77", str: "8GB"}
    kinds = {"quantization": "int8", "engine": "vllm", "decode_weights": "live", "logger": "none", "algorithm": "grpo"}
    kinds |= {"keep_solved": "0.1:0.9", "random_rewards": "0.5", "collectives": "gloo"}
    value = getattr(stored.config, name)
    other = kinds.get(name) or others.get(type(value)) or ("true" if name == "burn_in" else "8")
    if name in [*DECIDING.split(), *LATER]:
        with pytest.raises(UserError, match=f"--{name.replace('_', '-')} is .*; leave it out"):
            resumed_config(stored, {name: other})
    else:
        assert getattr(resumed_config(stored, {name: other}), name) != value


OTHER = {"n": 4, "problems": 3, "level": 1, "template": "plain", "attempts": 2, "seed": 5, "max_new_tokens": 20}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "countdown-v0-step000005-n8-t0.6-p0.95-157556a3"),
        (OTHER, "countdown-v0-step000005-n4-t0.6-p0.95-cb702806"),
    ],
)
def test_results_keep_their_names(changes: dict[str, Any], name: str) -> None:
    assert result_name(RESULT | changes) == name
    assert result_name(RESULT | changes | {"overlap": 3, "bad_rows": 2}) == name


@pytest.mark.parametrize("key", [*names(EnvironmentSettings, True), *names(SamplingSettings, True)])
def test_every_setting_that_decides_is_in_the_name_of_a_result(key: str) -> None:
    other = "simko/Other-v0" if key == "env" else 99
    assert result_name(RESULT | {key: other})[-8:] != result_name(RESULT)[-8:]


def test_train_and_eval_share_the_environment() -> None:
    trained, evaluated = ({f.name: f.metadata for f in fields(config)} for config in (TrainConfig, EvalConfig))
    for name in names(EnvironmentSettings):
        assert trained[name] == evaluated[name], name
        assert getattr(EvalConfig("x"), name) is None
    assert all(about["help"] for about in (trained | evaluated).values())


def test_a_config_is_checked_in_the_order_of_its_file() -> None:
    with pytest.raises(UserError, match="model is 3; it must be text"):
        TrainConfig(tis_clip=-1, steps=-1, model=3)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="target is empty"):
        EvalConfig()
    assert list(as_dict(EvalConfig("x")))[:2] == ["n", "problems"]


def test_importance_weights_are_on_where_vllm_samples() -> None:
    given = {"engine": "vllm-server", "engine_url": "http://a:1"}
    assert TrainConfig(**given).tis_clip == train_config(given).tis_clip == TrainConfig(engine="vllm").tis_clip == 2.0
    assert train_config(given | {"tis_clip": "0"}).tis_clip == TrainConfig(**given, tis_clip=0).tis_clip == 0.0
    assert "tis_clip: 2.0\n" in write_yaml(train_config(given))
    assert TrainConfig(engine="generate_batch").tis_clip == 0.0


def test_a_method_that_is_no_mapping_is_refused() -> None:
    for method in (3, "alpha", [1]):
        with pytest.raises(UserError, match=r"method is .*; it must be a mapping"):
            TrainConfig(method=method)  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "text"), [("8GB", "8GB"), (8, "8"), (7.5, "7.5")])
def test_memory_is_a_size(size: Any, text: str) -> None:
    assert TrainConfig(memory=size).memory == text


@pytest.mark.parametrize("size", ["much", "0", -1, True, "8XB"])
def test_memory_that_is_no_size_is_refused(size: Any) -> None:
    with pytest.raises(UserError, match=r"memory is .*; (give a size like 8GB|it must be text)"):
        TrainConfig(memory=size)


# The schema for editors


def test_the_schema_has_every_setting_of_a_training_file() -> None:
    content = schema()
    settings = {name for method in algorithms.names() for name in algorithms.settings(method)}
    assert set(content["properties"]) == {*names(TrainConfig), *settings, "about"}
    assert content["additionalProperties"] is False
    about = content["properties"]
    assert (about["steps"]["type"], about["steps"]["minimum"], about["steps"]["default"]) == ("integer", 0, 200)
    assert about["quantization"]["enum"] == ["nf4", "int8", "none"]
    assert about["learning_rate"]["exclusiveMinimum"] == 0
    assert about["alpha"]["maximum"] == about["method"]["properties"]["alpha"]["maximum"] == 1
    assert about["level"]["description"].startswith("difficulty")
    json.dumps(content)


def test_the_schema_has_every_setting_of_an_evaluation_file() -> None:
    content = schema("eval")
    assert set(content["properties"]) == {*names(EvalConfig), "about"}
    assert {"type": "null"} in content["properties"]["template"]["anyOf"]


def test_a_config_of_the_defaults_is_what_the_schema_says() -> None:
    resolved, about = train_config({"model": "some/model"}), schema()["properties"]
    for name in set(names(TrainConfig)) - {"model", "method", "tis_clip"}:
        assert getattr(resolved, name) == about[name]["default"], name
    assert (resolved.tis_clip, about["tis_clip"]["default"]) == (0.0, None)


def test_files_leave_younger_settings_out_where_they_have_their_default() -> None:
    config = train_config({"eval_every": 5, "eval_every_problems": 16})
    assert as_dict(config)["eval_every"] == 5
    assert "eval_every_problems" not in as_dict(config)
    assert "eval_every" not in as_dict(train_config({}))


def test_pydantic_waits_for_the_first_config() -> None:
    code = "import sys, simko.config, simko.cli; print([m for m in ('pydantic', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
