"""Engines by name. A stand-in with vLLM's interface decodes with the adapter folder that it gets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from simko.agents import LocalEngine, LoraPolicy
from simko.agents.engine.by_name import make_engine
from simko.agents.engine.generate_batch import ContinuousEngine
from simko.agents.engine.vllm import VllmEngine
from simko.agents.engine.vllm_server import VllmServerEngine
from simko.build import make_policy
from simko.config import MemorySettings, TrainConfig
from simko.errors import UserError
from simko.types import Sampling

PROMPTS = [[5, 6, 7], [9, 8]]


class FakeLLM:
    """A stand-in for `vllm.LLM` that decodes with a `LoraPolicy`."""

    def __init__(self, **settings: Any) -> None:
        self.settings, self.requests, self.awake, self.params = settings, [], True, []

    def sleep(self, level: int) -> None:
        assert self.awake
        self.awake = False

    def wake_up(self) -> None:
        assert not self.awake
        self.awake = True

    def generate(self, prompts: Sequence[Any], params: Sequence[Any], lora_request: Any, use_tqdm: bool) -> list[Any]:
        assert self.awake
        self.requests.append(lora_request)
        self.params = list(params)
        folder = None if lora_request is None else lora_request.path
        policy = LoraPolicy.from_pretrained(self.settings["model"], "none", adapter=folder, device="cpu")
        outputs = []
        for prompt, p in zip(prompts, params, strict=True):
            sampling = Sampling(p.temperature, p.top_p, 0, p.max_tokens, tuple(p.stop), tuple(p.stop_token_ids))
            [[g]] = policy.engine.generate([prompt["prompt_token_ids"]], 1, sampling, [p.seed])
            logprobs = [
                {t: SimpleNamespace(logprob=v)} for t, v in zip(g.ids.tolist(), g.logprobs.tolist(), strict=True)
            ]
            outputs.append(
                SimpleNamespace(
                    outputs=[SimpleNamespace(token_ids=g.ids.tolist(), logprobs=logprobs, finish_reason=g.finish)]
                )
            )
        return outputs


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    module, lora, request = ModuleType("vllm"), ModuleType("vllm.lora"), ModuleType("vllm.lora.request")
    module.LLM, module.SamplingParams = FakeLLM, SimpleNamespace  # type: ignore[attr-defined]
    request.LoRARequest = lambda name, number, path: SimpleNamespace(  # type: ignore[attr-defined]
        name=name, number=number, path=path
    )
    for each in (module, lora, request):
        monkeypatch.setitem(sys.modules, each.__name__, each)


def policy_of(folder: Path) -> LoraPolicy:
    policy = LoraPolicy.from_pretrained(folder, "none", lora_rank=4, device="cpu")
    move(policy)
    return policy


def move(policy: LoraPolicy) -> None:
    with torch.no_grad():
        for i, (_, p) in enumerate(policy.trainable_parameters()):
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(i)), alpha=0.1)


def test_vllm_decodes_with_the_adapter_as_it_is_now(vllm: None, model_folder: Callable[..., Path]) -> None:
    policy = policy_of(model_folder())
    engine: Any = make_engine("vllm", policy)
    sampling = Sampling(max_new_tokens=10, top_p=0.9, stop=("e",))
    assert engine._llm is None  # started when needed

    def same() -> list[list[int]]:
        rows: list[int] = []
        ours = policy.engine.generate(PROMPTS, 3, sampling, range(6), [10, 4])
        theirs = engine.generate(PROMPTS, 3, sampling, range(6), [10, 4], lambda row, _: rows.append(row))
        for a, b in zip([*ours[0], *ours[1]], [*theirs[0], *theirs[1]], strict=True):
            assert (a.ids.tolist(), a.finish) == (b.ids.tolist(), b.finish)
            assert np.allclose(a.logprobs, b.logprobs, atol=1e-5)
        assert sorted(rows) == list(range(6))
        assert not engine._llm.awake
        return [g.ids.tolist() for group in theirs for g in group]

    first = same()
    assert same() == first
    move(policy)
    assert same() != first
    with policy.base():
        same()
    llm = engine._llm
    assert [request and request.number for request in llm.requests] == [1, 1, 2, None]
    assert [path.name for path in engine._folder.iterdir()] == ["2"]
    assert llm.settings["model"] == str(model_folder())
    assert (llm.settings["max_lora_rank"], llm.settings["dtype"]) == (8, "float32")
    assert llm.settings["logprobs_mode"] == "processed_logprobs"
    assert all(p.ignore_eos and p.include_stop_str_in_output and p.logprobs == 0 for p in llm.params)
    assert engine.generate(PROMPTS, 1, sampling, [0, 1], [0, 0])[0][0].ids.size == 0


def test_memory_is_given_back_before_vllm_asks_for_it(
    vllm: None, model_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    class Recorded(FakeLLM):
        def __init__(self, **settings: Any) -> None:
            events.append("start")
            super().__init__(**settings)

        def wake_up(self) -> None:
            events.append("wake")
            super().wake_up()

    monkeypatch.setattr(sys.modules["vllm"], "LLM", Recorded)
    monkeypatch.setattr("simko.agents.engine.vllm.release", lambda device: events.append(f"release {device}"))
    policy = policy_of(model_folder())
    engine: Any = make_engine("vllm", policy, MemorySettings(engine_share=0.25))
    for _ in range(2):
        engine.generate(PROMPTS, 1, Sampling(max_new_tokens=1), [0, 1])
    assert events == ["release cpu", "start", "release cpu", "wake"]
    assert engine._llm.settings["gpu_memory_utilization"] == 0.25

    def full(self: Any) -> None:
        raise RuntimeError("CUDA out of memory\nmore")

    monkeypatch.setattr(Recorded, "wake_up", full)
    with pytest.raises(UserError, match=r"cannot wake \(CUDA out of memory more\); .* lower --engine-share"):
        engine.generate(PROMPTS, 1, Sampling(max_new_tokens=1), [0, 1])
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    with pytest.raises(UserError, match="take that out of PYTORCH_CUDA_ALLOC_CONF"):
        make_engine("vllm", policy)


def test_vllm_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, model_folder: Callable[..., Path]) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match=r"simko\[vllm\]"):
        make_engine("vllm", policy_of(model_folder()))


def test_engines_by_name(model_folder: Callable[..., Path]) -> None:
    policy = policy_of(model_folder())
    assert make_engine("local", policy) is policy.engine
    engine = make_engine("generate_batch", policy)
    assert isinstance(engine, ContinuousEngine)
    greedy = Sampling(temperature=0, max_new_tokens=6)
    for a, b in zip(engine.generate(PROMPTS, 1, greedy, [0, 1]), policy.engine.generate(PROMPTS, 1, greedy, [0, 1])):  # noqa: B905
        assert a[0].ids.tolist() == b[0].ids.tolist()


def test_a_config_names_its_engine(vllm: None, model_folder: Callable[..., Path]) -> None:
    common = {"model": str(model_folder()), "quantization": "none", "device": "cpu"}
    assert isinstance(make_policy(TrainConfig(**common)).engine, LocalEngine)
    assert isinstance(make_policy(TrainConfig(**common, engine="generate_batch")).engine, ContinuousEngine)
    assert isinstance(make_policy(TrainConfig(**common, engine="vllm")).engine, VllmEngine)
    with pytest.raises(UserError, match="set tis_clip"):
        make_policy(TrainConfig(**common, engine="vllm", tis_clip=0))
    server = {"engine": "vllm-server", "engine_url": "http://127.0.0.1:1"}
    assert isinstance(make_policy(TrainConfig(**common, **server)).engine, VllmServerEngine)
    with pytest.raises(UserError, match="no address; give --engine-url"):
        make_policy(TrainConfig(**common, engine="vllm-server"))
    with pytest.raises(UserError, match="engine is 'vlm'"):
        TrainConfig(engine="vlm")  # type: ignore[arg-type]
