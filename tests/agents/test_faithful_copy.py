"""The copy that decodes in half precision is the policy, young adapters included; 8-bit layers round as the live ones do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear8bitLt
from test_quantize import IDS

from simko.agents import LoraPolicy
from simko.agents import quantize as quantized
from simko.agents.quantize import lora_layers, merged_weight, plain_copy
from simko.agents.rounding import APART_BELOW, Lost
from simko.types import Sampling


def policy_with(folder: Path, scale: float, **settings: Any) -> LoraPolicy:
    policy = LoraPolicy.from_pretrained(folder, lora_rank=4, dtype="bfloat16", **settings)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in policy.trainable_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * scale)
    return policy


def logp(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=IDS, use_cache=False).logits
    return logits.float().log_softmax(-1)


def lost_of(policy: LoraPolicy) -> Lost:
    return sum((merged_weight(layer, torch.bfloat16)[1] for _, layer in lora_layers(policy.model)), Lost())


@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_a_young_adapter_reaches_the_decoding_model(model_folder: Callable[..., Path], quantization: str) -> None:
    # a weight of 0.02, an adapter of 1e-6: as after one step at a learning rate of 1e-4
    policy = policy_with(model_folder("llama"), 1e-5, quantization=quantization, decode_weights="merged")
    live = policy.model.get_base_model()
    assert lost_of(policy).cosine < 0.5
    merged, faithful = plain_copy(live), plain_copy(live, faithful=True)
    ours, whole = dict(lora_layers(faithful)), dict(lora_layers(live))
    assert ours.keys() == whole.keys()
    for name, layer in ours.items():
        assert type(layer.get_base_layer()) is torch.nn.Linear
        assert layer.lora_A is whole[name].lora_A  # shared: no second adapter in memory
    assert float((logp(faithful) - logp(live)).abs().max()) < 1e-6
    assert float((logp(merged) - logp(live)).abs().max()) > 1e-3


def test_a_grown_adapter_is_merged_and_a_switched_off_one_is_not_there(model_folder: Callable[..., Path]) -> None:
    policy = policy_with(model_folder("llama"), 0.1, decode_weights="merged")
    assert lost_of(policy).cosine > APART_BELOW
    live = policy.model.get_base_model()
    assert not list(lora_layers(plain_copy(live, faithful=True)))
    young = policy_with(model_folder("llama"), 1e-5, decode_weights="merged")
    with young.base():
        assert not list(lora_layers(plain_copy(young.model.get_base_model(), faithful=True)))


def test_an_exact_copy_is_always_merged(model_folder: Callable[..., Path]) -> None:
    policy = LoraPolicy.from_pretrained(model_folder("llama"), lora_rank=4)
    assert not list(lora_layers(plain_copy(policy.model.get_base_model(), faithful=True)))


def test_answers_and_the_trainers_log_probs_belong_together_after_the_first_step(
    model_folder: Callable[..., Path],
) -> None:
    policy = policy_with(model_folder("llama"), 1e-5, decode_weights="merged")
    sampling, prompt = Sampling(max_new_tokens=12), [3, 4, 5]
    [answers] = policy.engine.generate([prompt], 4, sampling, range(4))
    policy.decode_weights = "live"
    [expected] = policy.engine.generate([prompt], 4, sampling, range(4))
    assert [a.ids.tolist() for a in answers] == [a.ids.tolist() for a in expected]
    assert all((a.logprobs == b.logprobs).all() for a, b in zip(answers, expected, strict=True))


def test_an_8_bit_layer_on_cuda_rounds_what_comes_in_while_decoding_too(
    model_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU, bitsandbytes computes as on CUDA in evaluation mode: it stands in for the card."""
    policy = policy_with(model_folder("llama"), 0.05, quantization="int8")
    live = policy.model.get_base_model()
    for layer in live.modules():
        if isinstance(layer, Linear8bitLt):
            layer.eval()
            layer.state.threshold = 6.0
    assert not torch.equal(logp(plain_copy(live)), logp(live))
    monkeypatch.setattr(quantized, "rounds_inputs", lambda layer: isinstance(layer, Linear8bitLt))
    assert torch.equal(logp(plain_copy(live, faithful=True)), logp(live))


def test_only_8_bit_layers_on_cuda_round_what_comes_in(model_folder: Callable[..., Path]) -> None:
    policy = LoraPolicy.from_pretrained(model_folder("llama"), "int8", lora_rank=4)
    layer = next(m for m in policy.model.modules() if isinstance(m, Linear8bitLt))
    assert not quantized.rounds_inputs(layer)
    layer._parameters["weight"] = SimpleNamespace(device=torch.device("cuda"))  # type: ignore[assignment]
    assert quantized.rounds_inputs(layer)
    assert not quantized.rounds_inputs(torch.nn.Linear(2, 2))
