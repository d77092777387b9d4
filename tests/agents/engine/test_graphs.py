"""The code around CUDA graphs, on a CPU: buffers with fixed addresses, buckets, free slots that run along without effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from random_models import FAMILIES, random_model
from test_local import engine_of, tokens
from torch import Tensor

from simko.agents.engine.graphs import _Recorder
from simko.agents.engine.slots import Slots
from simko.head import token_statistics
from simko.types import Sampling

PROMPTS = [(5, 6, 7), (9,) * 11, (3, 4), (20, 30, 40, 50)]


class Recording:
    """Counts the recordings. A replay calls the recorded function on the buffers as they are then."""

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
    fed = torch.arange(10, 14)
    assert torch.equal(plain.start(PROMPTS), graphed.start(PROMPTS))
    for step in range(6):
        if step == 3:  # two leave, one comes: 3 of 9 live slots, then a bucket of 4
            going = torch.tensor([True, False, True, False]).numpy()
            old_slots = [slots.compact(going) for slots in (plain, graphed)]
            assert old_slots[0].tolist() == old_slots[1].tolist() == [0, 2]
            assert torch.equal(plain.start([(8, 9, 10)]), graphed.start([(8, 9, 10)]))
            fed = fed[:3]
        expected, got = plain.step(fed), graphed.step(fed)
        assert got.shape == expected.shape
        assert torch.allclose(got, expected, atol=1e-9)
        fed = (fed * 7 + 1) % 100
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


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_on_a_gpu_replayed_steps_give_the_same_tokens(family: str) -> None:
    model = random_model(family).double().cuda()
    prompts, sampling = [list(prompt) for prompt in PROMPTS], Sampling(max_new_tokens=140)
    expected = engine_of(model).generate(prompts, 5, sampling, range(20))
    for slots in (None, 3):
        engine = engine_of(model, slots=slots, cuda_graphs=True)
        assert tokens(engine.generate(prompts, 5, sampling, range(20))) == tokens(expected)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_on_a_gpu_that_is_not_the_current_one() -> None:
    model = random_model().to("cuda:1")
    assert torch.cuda.current_device() == 0
    engine, sampling = engine_of(model, cuda_graphs=True), Sampling(max_new_tokens=9)
    assert engine.generate([[5, 6]], 2, sampling, [0, 1])
    hidden = torch.randn(5, 72, device="cuda:1", requires_grad=True)
    ids = torch.zeros(5, dtype=torch.long, device="cuda:1")
    token_statistics(hidden, model.lm_head.weight.detach(), ids).logp.sum().backward()
    assert torch.isfinite(hidden.grad).all()


@torch.no_grad()
def test_a_graph_reads_up_to_its_own_token_where_its_length_steps() -> None:
    model = random_model().double()
    plain, graphed = Slots(model, 2, 300), Slots(model, 2, 300, True, Recording())
    for slots in (plain, graphed):
        slots.start([tuple(range(2, 103)) + tuple(range(2, 28))])  # 127 tokens
    for token in (5, 6, 7):
        assert torch.allclose(graphed.step(torch.tensor([token])), plain.step(torch.tensor([token])), atol=1e-9)


def test_a_recording_follows_the_rules_of_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.cuda` is a stand-in that writes down what happens in which order."""
    events: list[str] = []

    class Stream:
        def __init__(self, name: str = "side") -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            events.append(f"{self.name} waits for {other.name}")

    class Graph:
        def replay(self) -> None:
            events.append("replay")

    @contextmanager
    def within(name: str) -> Iterator[None]:
        events.append(f"in {name}")
        yield
        events.append(f"out of {name}")

    def capture(graph: Graph, pool: Any, stream: Stream, capture_error_mode: str) -> Any:
        assert isinstance(graph, Graph)
        assert (pool, capture_error_mode) == ("pool", "thread_local")  # others' threads must not spoil it
        return within(f"a capture on {stream.name}")

    for name, stand_in in {
        "graph_pool_handle": lambda: "pool", "device": lambda device: within(str(device)), "Stream": Stream,
        "current_stream": lambda: Stream("main"), "stream": lambda stream: within(stream.name), "CUDAGraph": Graph,
        "graph": capture,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, stand_in)
    states = torch.zeros(2)

    def step() -> Tensor:
        events.append("step")
        return states

    replay = _Recorder(torch.device("cuda", 1))(step)
    assert events == [
        "in cuda:1", "side waits for main", "in side", "step", "step", "out of side", "main waits for side",
        "in a capture on side", "step", "out of a capture on side", "out of cuda:1",
    ]  # fmt: skip
    assert replay() is states
    assert events[-1] == "replay"  # and no further step
