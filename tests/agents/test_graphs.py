"""What surrounds CUDA graphs, on a CPU: buffers with fixed addresses, buckets, slots that run along without a trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from random_models import FAMILIES, random_model
from torch import Tensor

from simko.agents.slots import Slots

PROMPTS = [(5, 6, 7), (9,) * 11, (3, 4), (20, 30, 40, 50)]


class Recording:
    """Counts what is recorded; a replay calls the recorded function on the buffers as they are then."""

    def __init__(self) -> None:
        self.recorded = 0

    def __call__(self, step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.recorded += 1
        return step


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_replayed_steps_are_plain_ones(family: str) -> None:
    model, recording = random_model(family).double(), Recording()
    plain, graphed = Slots(model, 9, 200), Slots(model, 9, 200, True, recording)
    tokens = torch.arange(10, 14)
    assert torch.equal(plain.start(PROMPTS), graphed.start(PROMPTS))
    for step in range(6):
        if step == 3:  # two leave, one comes: 3 of 9 live slots, then a bucket of 4
            going = torch.tensor([True, False, True, False]).numpy()
            kept = [slots.compact(going) for slots in (plain, graphed)]
            assert kept[0].tolist() == kept[1].tolist() == [0, 2]
            assert torch.equal(plain.start([(8, 9, 10)]), graphed.start([(8, 9, 10)]))
            tokens = tokens[:3]
        expected, got = plain.step(tokens), graphed.step(tokens)
        assert got.shape == expected.shape
        assert torch.allclose(got, expected, atol=1e-9)
        tokens = (tokens * 7 + 1) % 100
    assert recording.recorded == 1


@torch.no_grad()
def test_a_graph_for_each_bucket() -> None:
    model, recording = random_model().double(), Recording()
    slots = Slots(model, 8, 300, True, recording)
    slots.start([(1, 2, 3)] * 5)
    slots.step(torch.arange(5))
    slots.compact(torch.tensor([True] * 4 + [False]).numpy())
    slots.step(torch.arange(4))
    slots.compact(torch.tensor([True] + [False] * 3).numpy())
    slots.step(torch.arange(1))
    assert recording.recorded == 3  # 8, 4 and 1 slots
    for _ in range(130):
        slots.step(torch.arange(1))
    assert recording.recorded == 4  # past 128 positions
