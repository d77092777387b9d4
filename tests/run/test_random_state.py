"""A run leaves the caller's global generators as they were, on the CPU and on every GPU, and does not start CUDA for that."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from simko.run.rescue import no_random_state_moved


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two GPUs: `states` holds the state of each generator. To read or set one before CUDA has started fails."""
    card: dict[str, Any] = {"started": True, "states": ["a0", "b0"]}

    def started(value: Any) -> Any:
        assert card["started"], "CUDA was started"
        return value

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: card["started"])
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: started(list(card["states"])))
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", lambda states: card.update(states=started(list(states))))
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: card.update(states=[f"seed {seed}"] * 2))
    return card


def test_generators_of_all_gpus_are_put_back(gpus: dict[str, Any]) -> None:
    def work() -> None:
        with no_random_state_moved():
            gpus["states"] = ["a1", "b1"]
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        work()
    assert gpus["states"] == ["a0", "b0"]


def test_cuda_is_not_started(gpus: dict[str, Any]) -> None:
    gpus["started"] = False
    before = torch.get_rng_state()
    with no_random_state_moved():
        random.random()
        np.random.rand()
        torch.rand(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_torch_itself_starts_no_gpu_for_it() -> None:
    before = torch.cuda.is_initialized()
    with no_random_state_moved():
        torch.rand(1)
    assert torch.cuda.is_initialized() == before


@pytest.mark.parametrize("starts", [True, False])
def test_generators_that_start_later_get_the_callers_seed(gpus: dict[str, Any], starts: bool) -> None:
    gpus["started"] = False
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(123)
        with no_random_state_moved():
            gpus["started"] = starts
            torch.default_generator.manual_seed(9)
            gpus["states"] = ["moved", "moved"]
        assert gpus["states"] == ["seed 123"] * 2
        assert torch.initial_seed() == 123
