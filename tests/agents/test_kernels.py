"""The policy's products by oneDNN: the same numbers, and a decoding copy that leaves nothing behind, built once or often."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from random_models import random_model
from torch import nn

from simko.agents import LoraPolicy, kernels
from simko.agents.kernels import FrozenLinear, PackedLinear, freeze, packed
from simko.agents.quantize import lora_layers, plain_copy
from simko.head.linear import has_onednn

needs_onednn = pytest.mark.skipif(not has_onednn(), reason="this torch has no oneDNN")
IDS = torch.arange(3, 99).view(4, 24)


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
def test_packed_and_frozen_layers_give_torchs_products(bias: bool) -> None:
    layer = nn.Linear(72, 96, bias).requires_grad_(False)
    x = torch.randn(5, 3, 72, generator=torch.Generator().manual_seed(0))
    expected = layer(x)
    fast = packed(layer)
    assert isinstance(fast, PackedLinear)
    for _ in range(40):
        assert torch.allclose(fast(x), expected, atol=1e-5)
    assert fast._packed
    freeze(box := nn.Sequential(layer))
    assert type(box[0]) is FrozenLinear
    assert torch.allclose(box(x), expected, atol=1e-5)


def test_what_is_trained_or_not_float32_stays_as_it_is() -> None:
    trained, double = nn.Linear(8, 8), nn.Linear(8, 8).double().requires_grad_(False)
    freeze(nn.Sequential(trained, double))
    assert type(trained) is type(double) is nn.Linear
    assert packed(double) is double


@needs_onednn
def test_a_policy_without_quantisation_uses_them(model_folder: Callable[..., Path]) -> None:
    policy = LoraPolicy.from_pretrained(model_folder(), "none", lora_rank=2, device="cpu", decode_weights="merged")
    model = policy.model.get_base_model()
    assert {type(layer.get_base_layer()) for _, layer in lora_layers(model)} == {FrozenLinear}
    copy = policy.engine._weights()
    assert any(isinstance(layer, PackedLinear) for layer in copy.modules())
    with torch.no_grad():
        theirs = random_model()(input_ids=IDS, use_cache=False).logits
        assert torch.allclose(copy(input_ids=IDS, use_cache=False).logits, theirs, atol=5e-4)
        assert torch.allclose(model(input_ids=IDS, use_cache=False).logits, theirs, atol=5e-4)


def test_hundreds_of_merges_leave_no_trace(model_folder: Callable[..., Path]) -> None:
    folder = model_folder("llama", num_hidden_layers=1, hidden_size=24, intermediate_size=32)
    policy = LoraPolicy.from_pretrained(folder, "nf4", lora_rank=2, device="cpu", decode_weights="merged")
    with torch.no_grad():
        for _, parameter in policy.trainable_parameters():
            parameter.add_(0.01)
    model = policy.model.get_base_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = plain_copy(model).state_dict()
    for _ in range(300):
        last = policy.engine._weights()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(tensor, first[name]) for name, tensor in plain_copy(model).state_dict().items())
    with torch.no_grad():
        ids = IDS % 24
        expected = plain_copy(model)(input_ids=ids, use_cache=False).logits
        assert torch.allclose(last(input_ids=ids, use_cache=False).logits, expected, atol=1e-5)


def test_what_packing_frees_is_given_back_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_onednn():
        pytest.skip("nothing is packed here")
    calls: list[torch.device] = []
    monkeypatch.setattr(kernels, "release", calls.append)
    monkeypatch.setattr(kernels, "_dropped", 0)
    monkeypatch.setattr(kernels, "_GIVE_BACK_AT", 3 * 64 * 64 * 4)
    layers = [packed(nn.Linear(64, 64)) for _ in range(7)]
    for call in range(20):
        for layer in layers:
            layer(torch.ones(2, 64))
        assert len(calls) == (0 if call < 15 else 2)
