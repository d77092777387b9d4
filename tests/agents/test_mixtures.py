"""Mixtures of experts: attention and shared layers are adapted, experts and routers are not; decoding and merging are exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from random_models import EOS, PAD, character_tokenizer
from test_quantize import IDS, load
from torch import nn
from transformers import AutoModelForCausalLM

from simko import console
from simko.agents import LoraPolicy
from simko.agents.adapter import mixture_layers
from simko.agents.engine.local import cache_bytes_per_token
from simko.agents.quiet import quiet
from simko.errors import UserError
from simko.memory import lookup
from simko.memory.forecast import kv_bytes

ROUTED = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48, "n_shared_experts": 1}
GROUPED = {**ROUTED, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1}
LATENT = {
    "kv_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 16,
    "v_head_dim": 24,
    "num_key_value_heads": 4,
}
# kind: its settings, and the adapted layers of the two blocks
KINDS: dict[str, tuple[dict[str, Any], int]] = {
    "Qwen3Moe": ({"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48, "head_dim": 16}, 8),
    "Olmoe": ({"num_experts": 4, "num_experts_per_tok": 2}, 8),
    "Qwen2Moe": ({"num_experts": 4, "moe_intermediate_size": 48, "shared_expert_intermediate_size": 40}, 14),
    "Glm4Moe": ({**GROUPED, "head_dim": 16}, 14),
    "Ernie4_5_Moe": ({"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 48, "moe_num_shared_experts": 1}, 14),
    "DeepseekV2": ({**GROUPED, **LATENT, "q_lora_rank": None, "topk_method": "greedy"}, 14),
    "DeepseekV3": ({**GROUPED, **LATENT, "q_lora_rank": 40}, 16),
    "Mixtral": ({"num_local_experts": 4, "head_dim": 16}, 8),
    "GptOss": ({"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16}, 8),
    "Phimoe": ({"num_local_experts": 4}, 8),
    "GraniteMoe": ({"num_local_experts": 4, "num_experts_per_tok": 2}, 8),
}
SIZES = {
    **{"vocab_size": 110, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.2},
    **{"eos_token_id": EOS, "pad_token_id": PAD, "bos_token_id": None},
}


def mixture(path: Path, kind: str, **more: Any) -> Path:
    config = getattr(transformers, f"{kind}Config")(**{**SIZES, **KINDS[kind][0], **more})
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        getattr(transformers, f"{kind}ForCausalLM")(config).save_pretrained(path)
        character_tokenizer().save_pretrained(path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_is_adapted_decoded_merged_and_planned(tmp_path: Path, kind: str) -> None:
    base = mixture(tmp_path / "base", kind)
    policy = load(base, "none")
    adapted = {name.partition(".lora_")[0] for name, _ in policy.trainable_parameters()}
    assert len(adapted) == KINDS[kind][1]
    assert not [name for name in adapted if ".experts." in name or name.endswith(("gate", "router"))]
    assert policy.packs == (kind != "GptOss")  # its attention has sinks

    with torch.no_grad():
        wanted = policy.model(IDS).logits
        states = policy.hidden(IDS)
        assert torch.allclose(policy.lm_head().logits(states.flatten(0, 1)).view_as(wanted), wanted, atol=1e-3)
    for answer in policy.generate([[3, 4, 5, 6]], 3, max_new_tokens=12, seed=1)[0]:
        row = torch.tensor([[3, 4, 5, 6, *answer.ids.tolist()]])
        with torch.no_grad():
            logp = policy.model(row).logits[0, 3:-1].log_softmax(-1).gather(1, row[0, 4:, None])[:, 0]
        assert torch.allclose(logp, torch.from_numpy(answer.logprobs), atol=1e-3)

    policy.merge(tmp_path / "merged")
    policy.save(tmp_path / "adapter")
    with torch.no_grad(), quiet():
        plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
        assert torch.allclose(plain(IDS).logits, wanted, atol=1e-3)
        again = LoraPolicy.from_pretrained(base, "none", adapter=tmp_path / "adapter", device="cpu")
        assert torch.equal(again.model(IDS).logits, wanted)

    shape = lookup.facts(str(base)).shape
    assert shape.adapter_parameters(4) == sum(p.numel() for _, p in policy.trainable_parameters())
    held = sum(p.numel() for name, p in policy.model.named_parameters() if ".lora_" not in name)
    assert shape.parameters == pytest.approx(held, rel=0.02)
    model = policy.model.get_base_model()
    with torch.no_grad():
        layers = model(IDS[:1, :7], use_cache=True).past_key_values.layers
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)
    assert kv_bytes(shape, 4) == cache_bytes_per_token(model) == held / 7


@pytest.mark.parametrize("kind", ["Phimoe", "DeepseekV2", "GptOss"])
def test_experts_and_routers_are_not_quantised(tmp_path: Path, kind: str) -> None:
    policy = load(mixture(tmp_path / "base", kind))
    model = policy.model.get_base_model()
    parts = [model.get_submodule(name) for name in mixture_layers(model)]
    assert parts
    weights = [p for part in parts for p in part.parameters(recurse=False)]
    assert weights
    assert all(type(p) is nn.Parameter and p.dtype == torch.float32 for p in weights)
    with torch.no_grad():
        wanted = policy.model(IDS).logits
        policy.merge(tmp_path / "merged")
        plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
        assert torch.allclose(plain(IDS).logits, wanted, atol=1e-3)


def test_in_16_bits_a_router_may_change_its_mind(tmp_path: Path) -> None:
    """Half of the kinds of routing noise would otherwise be taken for an engine that is wrong."""
    base = mixture(tmp_path / "base", "Mixtral", num_experts_per_tok=1, intermediate_size=192)
    assert LoraPolicy.from_pretrained(base, device="cpu", dtype="bfloat16").dtype == torch.bfloat16


def test_named_layers_of_a_mixture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = mixture(tmp_path / "base", "Glm4Moe")
    policy = LoraPolicy.from_pretrained(base, target_modules=["gate_proj", "o_proj"], device="cpu")
    adapted = {name.partition(".lora_")[0].partition("layers.")[2] for name, _ in policy.trainable_parameters()}
    gates = {"0.mlp.gate_proj", "1.mlp.shared_experts.gate_proj"}
    assert adapted == gates | {"0.self_attn.o_proj", "1.self_attn.o_proj"}
    console.note_once.cache_clear()
    policy.save(tmp_path / "a")
    assert "PEFT with transformers 5 takes the shared layers" in capsys.readouterr().err
    for name in ("experts", "gate"):
        with pytest.raises(
            UserError, match=f"no linear layer is called '{name}'; there are down_proj, gate_proj, k_proj"
        ):
            LoraPolicy.from_pretrained(base, target_modules=["q_proj", name], device="cpu")
    phi = mixture(tmp_path / "phi", "Phimoe")
    with pytest.raises(UserError, match="router is a PhimoeTopKRouter, which cannot be adapted"):
        LoraPolicy.from_pretrained(phi, "none", target_modules=["q_proj", "router"], device="cpu")
