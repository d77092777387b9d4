"""Quantised layers train rightly, right after decoding, at odd widths; the merged copy is the live model."""

from __future__ import annotations

import copy
import errno
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from random_models import FAMILIES, character_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from simko import files
from simko.agents import LoraPolicy
from simko.agents import adapter as adapters
from simko.agents.quantize import assert_trainable, lora_layers, plain_copy, plain_weight
from simko.agents.quiet import quiet
from simko.errors import UserError
from simko.head import token_statistics

IDS = torch.arange(3, 99).view(4, 24)
# hidden and intermediate sizes on which bitsandbytes' AVX512-BF16 path fails or is wrong, beside ones where it works
WIDTHS = [(64, 128), (72, 96), (96, 192), (192, 688)]


def load(folder: Path, quantization: Any = "nf4", device: str = "cpu", **kw: Any) -> LoraPolicy:
    policy = LoraPolicy.from_pretrained(folder, quantization, lora_rank=4, device=device, **kw)
    train_a_little(policy)
    return policy


def train_a_little(policy: LoraPolicy, seed: int = 5) -> None:
    """Move the adapter as training might: B is not zero any more."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in policy.trainable_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.1)


def loss(hidden: torch.Tensor) -> torch.Tensor:
    weight = torch.sin(torch.arange(hidden.numel(), dtype=torch.float32)).view_as(hidden).to(hidden.device)
    return (hidden.float() * weight).mean()


def gradients(policy: LoraPolicy) -> torch.Tensor:
    for _, p in policy.trainable_parameters():
        p.grad = None
    loss(policy.hidden(IDS)).backward()
    return torch.cat([p.grad.flatten() for _, p in policy.trainable_parameters() if p.grad is not None])


def float32_gradients(policy: LoraPolicy) -> torch.Tensor:
    """Gradients of the same adapter on a float32 model of the dequantised weights."""
    with policy.base():
        plain = copy.deepcopy(plain_copy(policy.model.get_base_model())).float()
    config = adapters.lora_config("plain", 4, None, "all-linear")
    adapted = adapters.add_adapter(plain, config, seed=0)
    with torch.no_grad():
        for (mine, p), (theirs, q) in zip(adapters.parameters(adapted), policy.trainable_parameters(), strict=True):
            assert mine == theirs
            p.copy_(q)
    loss(plain.model(input_ids=IDS.to(policy.device), use_cache=False).last_hidden_state).backward()
    return torch.cat([p.grad.flatten() for _, p in adapters.parameters(adapted) if p.grad is not None])


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0))


@pytest.mark.parametrize("quantization", ["nf4", "int8", "none"])
@pytest.mark.parametrize(("hidden", "intermediate"), WIDTHS)
def test_gradients_right_after_generate_are_those_of_float32(
    model_folder: Callable[..., Path], hidden: int, intermediate: int, quantization: str
) -> None:
    folder = model_folder("llama", hidden_size=hidden, intermediate_size=intermediate, num_attention_heads=4)
    policy = load(folder, quantization, decode_weights="live")
    policy.generate([[3, 4, 5], [6]], 3, max_new_tokens=5)
    ours, reference = gradients(policy), float32_gradients(policy)
    assert ours.numel() > 1000
    assert float(reference.norm()) > 1e-6
    assert cosine(ours, reference) > 0.9999
    assert torch.allclose(ours, reference, rtol=1e-3, atol=1e-4 * float(reference.abs().max()))


def test_layers_are_what_was_asked_for(model_folder: Callable[..., Path]) -> None:
    policy = load(model_folder("llama-tied"))
    layers = [layer.get_base_layer() for _, layer in lora_layers(policy.model)]
    assert len(layers) == 14
    for layer in layers:
        assert isinstance(layer, Linear4bit)
        assert layer.weight.quant_type == "nf4"
        assert layer.weight.quant_state.nested  # double quantisation
        assert layer.weight.dtype == torch.uint8
    causal_lm = policy.model.get_base_model()
    assert type(causal_lm.lm_head) is torch.nn.Linear
    assert causal_lm.lm_head.weight is causal_lm.model.embed_tokens.weight
    assert causal_lm.lm_head.weight.dtype == torch.float32
    eight = load(model_folder("llama-tied"), "int8")
    assert {type(layer.get_base_layer()) for _, layer in lora_layers(eight.model)} == {Linear8bitLt}


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
@pytest.mark.parametrize(("hidden", "intermediate"), WIDTHS)
def test_dequantised_weights_are_near_the_originals(
    model_folder: Callable[..., Path], hidden: int, intermediate: int, quantization: str
) -> None:
    folder = model_folder("llama", hidden_size=hidden, intermediate_size=intermediate, num_attention_heads=4)
    plain, quantised = load(folder, "none"), load(folder, quantization)
    worst = 0.1 if quantization == "nf4" else 0.02  # of bitsandbytes' own dequantisation, 0.26 at a width of 96
    for (_, a), (_, b) in zip(lora_layers(plain.model), lora_layers(quantised.model), strict=True):
        w, q = plain_weight(a.get_base_layer()), plain_weight(b.get_base_layer())
        assert q.shape == w.shape
        assert 0 < float((w - q).norm() / w.norm()) < worst


def test_decoding_and_training_refuse_the_path_that_spoils_gradients(model_folder: Callable[..., Path]) -> None:
    policy = load(model_folder())
    layer = next(m for m in policy.model.modules() if isinstance(m, Linear4bit))
    layer.support_avx512bf16_for_cpu = True
    with pytest.raises(RuntimeError, match="AVX512-BF16"):
        policy.generate([[3]], 1, max_new_tokens=1)
    with pytest.raises(RuntimeError, match="AVX512-BF16"):
        policy.hidden(IDS)
    with pytest.raises(RuntimeError, match="AVX512-BF16"):
        policy.act({"tokens": IDS[0].numpy(), "length": 3})
    eight = load(model_folder(), "int8")
    eight.model.eval()
    with pytest.raises(RuntimeError, match="evaluation mode"):
        assert_trainable(eight.model)


@pytest.mark.parametrize("quantization", ["nf4", "int8", "none"])
@pytest.mark.parametrize("family", FAMILIES)
def test_merged_copy_gives_the_live_models_logits(
    model_folder: Callable[..., Path], family: str, quantization: str
) -> None:
    policy = load(model_folder(family), quantization)
    live = policy.model.get_base_model()
    with torch.no_grad():
        expected = live(input_ids=IDS, use_cache=False).logits
        merged = plain_copy(live)
        assert not list(lora_layers(merged))
        assert torch.allclose(merged(input_ids=IDS, use_cache=False).logits, expected, atol=1e-4)
        with policy.base():
            off = plain_copy(live)(input_ids=IDS, use_cache=False).logits
            assert torch.allclose(off, live(input_ids=IDS, use_cache=False).logits, atol=1e-4)
        assert not torch.allclose(off, expected, atol=1e-2)


def test_merging_touches_nothing_and_never_adds_up(model_folder: Callable[..., Path]) -> None:
    policy = load(model_folder())
    live = policy.model.get_base_model()
    before = {name: p.detach().clone() for name, p in live.named_parameters()}
    first, second = plain_copy(live), plain_copy(live)
    for (name, a), (_, b) in zip(first.named_parameters(), second.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    assert all(torch.equal(p, before[name]) for name, p in live.named_parameters())
    assert first.model.embed_tokens.weight is live.model.embed_tokens.weight
    assert first.config is not live.config
    assert live.config.quantization_config is not None


def test_layers_without_an_adapter_are_dequantised_too(model_folder: Callable[..., Path]) -> None:
    policy = load(model_folder(), target_modules=["q_proj"])
    live = policy.model.get_base_model()
    merged = plain_copy(live)
    assert not any(isinstance(m, Linear4bit) for m in merged.modules())
    with torch.no_grad():
        expected = live(input_ids=IDS, use_cache=False).logits
        assert torch.allclose(merged(input_ids=IDS, use_cache=False).logits, expected, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize(("quantization", "near"), [("nf4", 0.995), ("int8", 0.98), ("none", 0.995)])
def test_cuda_gradients_after_generate(model_folder: Callable[..., Path], quantization: str, near: float) -> None:
    policy = load(
        model_folder("llama", hidden_size=128, intermediate_size=192, num_attention_heads=4), quantization, "cuda"
    )
    assert policy.device.type == "cuda"
    answers = policy.generate([[3, 4, 5], [6]], 8, max_new_tokens=12)
    assert all(np.isfinite(a.logprobs).all() for group in answers for a in group)
    assert cosine(gradients(policy), float32_gradients(policy)) > near
    prompt = [3, 4, 5]
    for answer in answers[0]:
        ids = torch.tensor([[*prompt, *answer.ids.tolist()]], device="cuda")
        with torch.no_grad():
            hidden = policy.hidden(ids)[0, len(prompt) - 1 : -1]
        logp = token_statistics(hidden, policy.lm_head().weight, ids[0, len(prompt) :]).logp
        assert np.allclose(answer.logprobs, logp.cpu().numpy(), atol=0.3)


def test_merging_restores_the_transposed_layers_of_gpt2(tmp_path: Path) -> None:
    sizes = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 110, "initializer_range": 0.2}
    with quiet():
        GPT2LMHeadModel(GPT2Config(**sizes, eos_token_id=1, bos_token_id=None)).save_pretrained(tmp_path / "m")
        character_tokenizer().save_pretrained(tmp_path / "m")
    policy = load(tmp_path / "m")
    policy.merge(tmp_path / "merged")
    with quiet():
        plain = GPT2LMHeadModel.from_pretrained(tmp_path / "merged", dtype=torch.float32).eval()
    with torch.no_grad():
        assert torch.allclose(plain(input_ids=IDS).logits, policy.model(input_ids=IDS).logits, atol=1e-4)


def test_a_merge_is_whole_or_not_there(
    model_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = load(model_folder())

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(policy.tokenizer, "save_pretrained", full)
    with pytest.raises(UserError, match="cannot be written: No space left"):
        policy.merge(tmp_path / "merged")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match=r"takes 0\.07 GB of disk, 0\.00 GB are free"):
        policy.merge(tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


def test_a_generation_config_that_transformers_would_not_write_is_mended(
    model_folder: Callable[..., Path], tmp_path: Path
) -> None:
    policy = load(model_folder())
    policy.model.get_base_model().generation_config.temperature = 0.6
    (tmp_path / ".merged.writing").mkdir()
    (tmp_path / ".merged.writing" / "half.safetensors").touch()  # of a merge that was killed
    policy.merge(tmp_path / "merged", eos_ids=[7, 1])
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]
    assert not (tmp_path / "merged" / "half.safetensors").exists()
    stored = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    assert (stored["temperature"], stored["do_sample"], stored["eos_token_id"]) == (0.6, True, [1, 7])
    assert policy.model.get_base_model().generation_config.do_sample is not True
