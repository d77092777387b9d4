"""Planned settings in a run, and the burn-in: it finds the worst case and leaves no trace."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from rich.console import Console

from simko import algorithms, ranks
from simko.build import make_env, make_policy
from simko.config import TrainConfig, as_dict, read_yaml
from simko.device import Peak, release
from simko.errors import UserError
from simko.memory import burn_in
from simko.ranks import Parcel, World
from simko.ranks.parcel import pack
from simko.run.folder import RunFolder
from simko.settings import train_config
from simko.train import train
from studies.plan_check import BASE, VARIANTS, random_folder

QUICK = {
    "steps": 1, "prompts_per_step": 2, "group_size": 4, "lora_rank": 4, "preflight_prompts": 0, "eval_problems": 0,
    "logger": "none", "max_new_tokens": 16, "memory": "8GB", "device": "cpu", "micro_batch_tokens": 512,
}  # fmt: skip


def config_of(**settings: Any) -> TrainConfig:
    return train_config({**QUICK, **settings})


def made(config: TrainConfig) -> tuple[Any, Any, Any, torch.optim.Optimizer]:
    """Policy, environment, method and optimizer as `train` makes them."""
    policy = make_policy(config)
    env, method = make_env(config, policy, "train"), algorithms.get(config.algorithm, **config.method)
    return policy, env, method, torch.optim.AdamW([p for _, p in policy.trainable_parameters()], 1e-3)


# Planned settings


def test_what_is_left_empty_is_planned_and_the_rest_kept() -> None:
    before = train_config({"memory": "8GB", "device": "cpu", "micro_batch_tokens": 333})
    after = burn_in.planned(before)
    assert (after.micro_batch_tokens, after.gradient_checkpointing, after.decode_weights) == (333, False, "merged")
    assert after.cache_bytes == 2 * 2**30
    assert burn_in.planned(after) is after
    with pytest.raises(UserError, match=r"does not fit: .* leave out --micro-batch-tokens"):
        burn_in.planned(replace(after, memory="620MB"))


def test_of_several_ranks_rank_0_plans() -> None:
    config = train_config({"device": "cpu", "logger": "none"})
    chosen = {"micro_batch_tokens": 77, "gradient_checkpointing": True, "decode_weights": "live", "cache_bytes": 1}
    told = [as_dict(config), ["another machine", "cpu", "cpu"], 8e9, chosen]
    wire = Mock(everyone=lambda status, body: [(0, pack(Parcel(told.pop(0)))), (status, body)])
    with ranks.within(World(1, 2, wire)):
        assert burn_in.planned(config) == replace(config, **chosen)
    assert not told


def test_the_defaults_of_tiny_do_not_depend_on_the_machine() -> None:
    """Equal seeds give equal bytes on any machine that holds the defaults."""
    plans = [burn_in.planned(train_config({"memory": size, "device": "cpu"})) for size in ("4GB", "1000GB")]
    assert replace(plans[0], memory=None) == replace(plans[1], memory=None)
    assert plans[0].micro_batch_tokens == 8192


def test_a_run_that_does_not_fit_is_refused_with_what_would() -> None:
    before = train_config({"memory": "300MB", "device": "cpu"})
    with pytest.raises(UserError, match=r"does not fit: .* fits with .*--memory .* --force"):
        burn_in.planned(before)
    assert burn_in.planned(replace(before, force=True)).decode_weights in ("live", "merged")


def test_what_cannot_be_planned_is_trained_with_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    out = io.StringIO()
    after = burn_in.planned(train_config({"model": str(tmp_path), "device": "cpu"}))
    assert (after.micro_batch_tokens, after.gradient_checkpointing) == (8192, False)
    policy, env, method, optimizer = made(burn_in.planned(config_of(burn_in=True)))
    console = Console(file=out, width=300)
    assert burn_in.burn_in(replace(after, burn_in=True), policy, env, method, optimizer, console) == {}
    assert "not planned" in out.getvalue()


def test_a_kl_term_is_planned_and_tried_with_its_second_forward() -> None:
    def kept(**settings: Any) -> list[int]:
        plan = burn_in.plan_of(config_of(**settings), torch.device("cpu"), 8e9)
        return [item.bytes for item in plan.forecast.items if item.name == "log-probs kept"]

    assert kept() == []
    assert kept(kl_coefficient=0.1) == [2 * 4 * 16 * 4]  # answers, tokens, float32
    assert kept(kl_coefficient=0.1, updates_per_batch=2) == [2 * 2 * 4 * 16 * 4]
    config = burn_in.planned(config_of(burn_in=True, kl_coefficient=0.1))
    policy, env, method, optimizer = made(config)
    references: list[bool] = []
    real = burn_in.accumulate_gradients

    def watched(*arguments: Any, step: Any, **options: Any) -> Any:
        references.append(step.ref_logp is not None)
        return real(*arguments, step=step, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(burn_in, "accumulate_gradients", watched)
        entries = burn_in.burn_in(config, policy, env, method, optimizer, Console(quiet=True))
    assert references == [True]
    assert entries["memory"]["measured_update"]


# The burn-in


def test_the_burn_in_leaves_no_trace() -> None:
    config = burn_in.planned(config_of(burn_in=True))
    policy, env, method, optimizer = made(config)
    before = [p.detach().clone() for _, p in policy.trainable_parameters()]
    states = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # beartype itself moves `random`
    memory = burn_in.burn_in(config, policy, env, method, optimizer, Console(quiet=True))["memory"]
    assert torch.equal(states[0], torch.random.get_rng_state())
    assert states[1] == np.random.get_state()[1].tolist()
    assert not optimizer.state
    for old, (_, parameter) in zip(before, policy.trainable_parameters(), strict=True):
        assert parameter.grad is None
        assert torch.equal(old, parameter)
    assert memory["measured_update"] > 0
    assert memory["forecast_rollout"] > 0


def test_the_burn_in_fills_slots_and_micro_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    config = burn_in.planned(config_of(burn_in=True, micro_batch_tokens=256))
    policy, env, method, optimizer = made(config)
    seen: list[int] = []
    real = burn_in.accumulate_gradients

    def watched(policy: Any, method: Any, batch: Any, **options: Any) -> Any:
        prompts = {c.prompt_ids.tobytes(): len(c.prompt_ids) for c in batch.completions}
        seen.append(sum(prompts.values()) + sum(len(c.ids) - 1 for c in batch.completions))
        return real(policy, method, batch, **options)

    monkeypatch.setattr(burn_in, "accumulate_gradients", watched)
    burn_in.burn_in(config, policy, env, method, optimizer, Console(quiet=True))
    assert policy.engine.stats.slots == 8
    assert 128 < seen[0] <= 256


def test_no_device_memory_in_the_burn_in_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    config = burn_in.planned(config_of(burn_in=True))
    policy, env, method, optimizer = made(config)

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(policy.engine, "generate", full)
    with pytest.raises(UserError, match=r"burn-in: out of memory .* --memory"):
        burn_in.burn_in(config, policy, env, method, optimizer, Console(quiet=True))


def test_a_micro_batch_that_had_to_be_halved_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    config = burn_in.planned(config_of(burn_in=True))
    policy, env, method, optimizer = made(config)
    real = policy.hidden_packed

    def small(rows: Any) -> Any:
        if len(rows.ids) > 150:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(rows)

    monkeypatch.setattr(policy, "hidden_packed", small)
    out = io.StringIO()
    memory = burn_in.burn_in(config, policy, env, method, optimizer, Console(file=out, width=300))["memory"]
    assert memory["micro_batch_tokens_that_fit"] <= 150
    assert "warning: micro-batches of 512 tokens did not fit" in out.getvalue()
    assert all(p.grad is None for _, p in policy.trainable_parameters())


def test_a_size_that_is_none_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(UserError, match="--memory is 'much'"):
        burn_in.planned(config_of(memory="much"))


def test_a_run_is_the_same_with_and_without_burn_in(tmp_path: Path) -> None:
    weights, manifests = [], []
    for burn in (False, True):
        run = train(config_of(burn_in=burn, out=str(tmp_path / str(burn))), console=Console(quiet=True))
        checkpoint = run.latest_checkpoint()
        assert checkpoint is not None
        files = sorted(p for p in checkpoint.rglob("*.safetensors"))
        weights.append([p.read_bytes() for p in files])
        manifests.append(json.loads((run.path / "manifest.json").read_text()))
    assert weights[0] == weights[1]
    assert "measured_update" in manifests[1]["memory"]
    assert "measured_update" not in manifests[0]["memory"]
    assert abs(manifests[1]["memory"]["error"]) < 1


def test_the_run_folder_keeps_what_was_planned(tmp_path: Path) -> None:
    run = train(config_of(steps=0, out=str(tmp_path / "run"), micro_batch_tokens=None), console=Console(quiet=True))
    stored = RunFolder.open(run.path).config
    assert (stored.micro_batch_tokens, stored.gradient_checkpointing, stored.decode_weights) == (8192, False, "merged")
    assert read_yaml(run.path / "config.yaml")["cache_bytes"] == 2 * 2**30


# Memory between phases


def test_what_a_rollout_held_is_free_before_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """The merged copy and the cache die with `generate`, not with the next garbage collection."""
    import gc

    from simko.agents import policy as policies
    from simko.types import Sampling

    policy = make_policy(burn_in.planned(config_of()))
    copies: list[Any] = []
    real = policies.plain_copy
    monkeypatch.setattr(policies, "plain_copy", lambda *a, **k: copies.append(weakref.ref(c := real(*a, **k))) or c)
    gc.collect()
    gc.disable()
    try:
        policy.engine.generate([[5, 6, 7]], 2, Sampling(max_new_tokens=3), [1, 2])
        layers = [w for copy in copies if (c := copy()) is not None for w in c.parameters()]
        live = {p.data_ptr() for p in policy.model.parameters()}
        assert copies
        assert [w for w in layers if w.data_ptr() not in live] == []
    finally:
        gc.enable()


def test_the_peak_of_a_stretch_is_seen_and_given_back() -> None:
    device = torch.device("cpu")
    release(device)
    peak = Peak(device)
    peak.start()
    before = peak.read()
    block = torch.ones(64 * 2**20)  # 256 MiB
    del block
    assert before is not None
    assert peak.read() - before > 200 * 2**20  # type: ignore[operator]
    peak.start()
    assert peak.read() - before < 100 * 2**20  # type: ignore[operator]


@pytest.mark.gpu
@pytest.mark.parametrize("memory", ["2.5GB", "6GB"])
def test_the_forecast_is_within_a_tenth_on_a_gpu(tmp_path: Path, memory: str) -> None:
    """A random model of 0.3 B parameters, planned for less memory than the card has."""
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 16, "vocab_size": 64_000}
    heads = {"num_attention_heads": 16, "num_key_value_heads": 4, "tie_word_embeddings": True}
    Qwen2ForCausalLM(Qwen2Config(**sizes, **heads)).to(torch.bfloat16).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained("agents/tiny").save_pretrained(tmp_path)
    settings = {"model": str(tmp_path), "memory": memory, "device": "cuda", "max_new_tokens": 1024, "burn_in": True}
    config = burn_in.planned(train_config({**settings, "prompts_per_step": 8, "group_size": 8}))
    policy, env, method, optimizer = made(config)
    peaks = burn_in.burn_in(config, policy, env, method, optimizer, Console())["memory"]
    assert abs(peaks["error"]) < 0.10


@pytest.mark.slow
def test_the_forecast_is_near_the_peak_of_a_fresh_process(tmp_path: Path) -> None:
    """Within 15 %; docs/how/memory.md has the rows of one machine, with other allocators and kernels they move a little."""
    folder = random_folder("llama", tmp_path)
    settings = {**BASE, "model": str(folder), **VARIANTS["live"], "device": "cpu", "memory": "8GB", "group_size": 4}
    command = [sys.executable, "-m", "studies.plan_check", "--child", json.dumps(settings)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-500:]
    peaks = json.loads(done.stdout.splitlines()[-1])
    if peaks["measured_update"] is not None:  # Linux tells
        assert abs(peaks["error"]) < 0.15
