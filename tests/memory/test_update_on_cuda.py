"""An update and the trial of the plan on a GPU that computes nothing: no tensor of it is left on the host.

The gradient itself is not computed: without a card, torch's engine for it refuses. `tests/head/test_head_on_cuda.py` calls the
backward of the loss head by hand.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fake_cuda import CUDA, FREE, fake_cuda, to_fake_cuda
from test_burn_in import config_of

from simko import algorithms
from simko.agents import LoraPolicy
from simko.memory import burn_in
from simko.memory.forecast import Job, Settings, forecast
from simko.memory.lookup import facts
from simko.sizes import CUDA_CONTEXT_BYTES

JOB = Job("cuda", "nf4", 16, prompts=2, group_size=4, longest_prompt=12, max_new_tokens=33)
SETTINGS = Settings(300, False, "live", 2**28)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(value: torch.Tensor, parameters: list[torch.Tensor], **_: Any) -> tuple[torch.Tensor, ...]:
        assert value.requires_grad
        return tuple(torch.zeros_like(parameter) for parameter in parameters)

    monkeypatch.setattr(torch.autograd, "grad", zeros)


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize(("name", "packs"), [("simko", True), pytest.param("siren", False, marks=pytest.mark.slow)])
def test_the_worst_case_of_the_plan(monkeypatch: pytest.MonkeyPatch, name: str, packs: bool) -> None:
    policy = LoraPolicy.from_pretrained("tiny")
    monkeypatch.setattr(policy._states, "_packs", packs)
    method = algorithms.get(name)
    with fake_cuda(monkeypatch):
        to_fake_cuda(policy)
        assert {p.device for _, p in policy.trainable_parameters()} == {CUDA}
        optimizer = torch.optim.AdamW([p for _, p in policy.trainable_parameters()], 1e-4)
        assert burn_in.try_update(policy, method, optimizer, JOB, SETTINGS, 1.0) == 300
        expected = forecast(facts("tiny").shape, JOB, SETTINGS)
        burn_in.try_rollout(policy, JOB, expected, 1.0)
        assert policy.engine.stats.steps == 4


def test_the_plan_counts_a_gpu_with_its_context(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cuda(monkeypatch):
        usable = burn_in.memory_of(config_of(memory=None), CUDA)
    assert usable == FREE + 2**30 + CUDA_CONTEXT_BYTES
    assert burn_in.memory_of(config_of(memory="3GB"), CUDA) == 3e9
