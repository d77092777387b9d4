"""Decoding on a GPU that computes nothing: every tensor is on it, and the host waits once in four steps, for the tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_cuda import CUDA, FREE, fake_cuda, to_fake_cuda
from random_models import FAMILIES, random_model

from simko.agents import LoraPolicy
from simko.agents.engine.graphs import recordable
from simko.agents.engine.slots import Slots
from simko.agents.quantize import lora_layers
from simko.types import Sampling

PROMPTS = [[1, 2, 3], [4, 5, 6, 7]]
TOKENS, LOOKS = 5, 2


def policy_of(folder: Path, quantization: Any = "nf4", **settings: Any) -> LoraPolicy:
    return LoraPolicy.from_pretrained(folder, quantization, lora_rank=4, **settings)


@pytest.mark.parametrize(
    ("family", "quantization", "weights"),
    [
        ("llama", "nf4", "live"),
        ("qwen2-window", "nf4", "merged"),
        ("gemma2", "none", "merged"),
        ("llama", "int8", "merged"),
    ],
)
def test_the_host_waits_for_tokens_and_for_nothing_else(
    model_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, family: str, quantization: str, weights: Any
) -> None:
    policy = policy_of(model_folder(family), quantization, decode_weights=weights)
    with fake_cuda(monkeypatch) as crossings:
        to_fake_cuda(policy)
        answers = policy.engine.generate(PROMPTS, 3, Sampling(max_new_tokens=TOKENS), range(6))
        # what a layer loses by rounding is read; 8-bit layers are not merged
        rounded = weights == "merged" and quantization != "int8"
        merged = sum(1 for _ in lora_layers(policy.model)) if rounded else 0
        assert crossings.waits() == ["to_host"] * (LOOKS + merged)
    assert [len(answer.ids) for group in answers for answer in group] == [TOKENS] * 6


def test_refilled_slots_and_kept_prompts_make_it_wait_no_more(
    model_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of(model_folder(), decode_weights="live")
    policy.engine.slots = 2
    with fake_cuda(monkeypatch) as crossings:
        to_fake_cuda(policy)
        policy.engine.generate(PROMPTS, 3, Sampling(max_new_tokens=TOKENS), range(6), budgets=[TOKENS, 2])
        assert set(crossings.waits()) == {"to_host"}
        assert (
            4 * (crossings.waits().count("to_host") - 2) <= policy.engine.stats.steps
        )  # but for the last of each length


def test_recorded_steps_read_nothing_and_copy_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cuda(monkeypatch) as crossings, torch.no_grad():
        with torch.device(CUDA):
            model = random_model()
        slots = Slots(model, 8, 300, True, lambda step: step)
        slots.start([(1, 2, 3)] * 5)
        crossings.seen.clear()
        for _ in range(3):
            assert slots.step(torch.zeros(5, dtype=torch.int64, device=CUDA)).device == CUDA
        assert crossings.seen == []


@pytest.mark.parametrize("wide", [False, True])
def test_a_nucleus_waits_once_a_step(
    model_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, wide: bool
) -> None:
    policy = policy_of(model_folder(), decode_weights="live")
    with fake_cuda(monkeypatch) as crossings:
        crossings.any_is = wide
        to_fake_cuda(policy)
        policy.engine.generate(PROMPTS, 1, Sampling(top_p=0.9, top_k=7, max_new_tokens=TOKENS), range(2))
        assert sorted(crossings.waits()) == ["read"] * TOKENS + ["to_host"] * LOOKS


def test_the_counter_sees_a_step_that_asks_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dynamic frequencies follow the longest position, so such a model reads it in each step; a recording would fail."""
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
    assert not recordable(random_model(rope_parameters=rope))
    with fake_cuda(monkeypatch) as crossings, torch.no_grad():
        with torch.device(CUDA):
            model = random_model(rope_parameters=rope)
        slots = Slots(model, 2, 64)
        slots.start([(1, 2, 3)])
        crossings.seen.clear()
        slots.step(torch.zeros(1, dtype=torch.int64, device=CUDA))
        assert crossings.waits()


def test_models_whose_steps_ask_the_host_are_not_recorded(model_folder: Callable[..., Path]) -> None:
    assert all(recordable(random_model(family)) for family in FAMILIES)
    assert recordable(policy_of(model_folder()).model)
    assert not recordable(policy_of(model_folder(), "int8").model)


def test_slots_follow_what_is_free_and_not_what_the_driver_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cuda(monkeypatch):
        with torch.device(CUDA):
            model = random_model()
        monkeypatch.setattr("simko.agents.engine.local.LOGIT_BYTES", 0)
        monkeypatch.setattr("simko.agents.engine.local.cache_bytes_per_token", lambda _: 2**20)
        from simko.agents import LocalEngine

        engine = LocalEngine(lambda: model, lambda: None, [1])  # type: ignore[arg-type, return-value]
        # 6 GiB that the driver has, 1 GiB that torch keeps, half of which holds tensors
        assert engine._fitting_rows(model, 1, 110) == (FREE + 2**29) // 2 // 2**20
