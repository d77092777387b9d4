"""Adapters of PEFT from elsewhere: loaded with PEFT's own logits, merged with them, or refused with a mend that works."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from test_quantize import IDS
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from simko import console
from simko.agents import LoraPolicy, fingerprint
from simko.agents import adapter as adapters
from simko.agents.quiet import quiet
from simko.errors import UserError

Folder = Callable[..., Path]
QV: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}


def plain(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def trained(base: Path, seed: int = 1, **config: Any) -> Any:
    """A model with an adapter of PEFT's whose factors are not zero."""
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = get_peft_model(plain(base), LoraConfig(**{**QV, **config}))
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name or "lora_embedding_A" in name:
                    weight.add_(torch.randn(weight.shape) * 0.05)
    return model


def saved(base: Path, folder: Path, **config: Any) -> Path:
    with quiet():
        trained(base, **config).save_pretrained(folder)
    return folder


@torch.no_grad()
def peft_logits(base: Path, folder: Path) -> Tensor:
    with quiet():
        return PeftModel.from_pretrained(plain(base), folder).eval()(IDS).logits  # type: ignore[no-any-return]


@torch.no_grad()
def logits(policy: LoraPolicy) -> Tensor:
    """By the loss's own way: hidden states and head."""
    return policy.lm_head().logits(policy.hidden(IDS).flatten(0, 1)).view(*IDS.shape, -1)


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("llama", {"layers_to_transform": 1}), ("llama", {"layers_to_transform": [0], "layers_pattern": "layers"}),
        ("qwen2", {"target_modules": r".*\.(q|v)_proj"}), ("llama", {"target_modules": "all-linear"}),
        ("llama", {"exclude_modules": r".*\.0\..*"}), ("llama-tied", {"init_lora_weights": "orthogonal"}),
        ("llama", {"rank_pattern": {r"layers\.\d+\..*q_proj": 2}, "alpha_pattern": {r".*\.(v|k)_proj": 3}}),
        ("llama", {"use_rslora": True, "rank_pattern": {"q_proj": 2}}),
        ("llama", {"target_modules": ["q_proj", "lm_head"]}), ("llama-tied", {"target_modules": ["q_proj", "lm_head"]}),
        ("llama-tied", {"target_modules": ".*(up_proj|lm_head)"}),
    ],
)  # fmt: skip
def test_logits_and_the_merged_model_are_those_of_peft(
    model_folder: Folder, tmp_path: Path, family: str, config: dict[str, Any]
) -> None:
    base = model_folder(family)
    folder = saved(base, tmp_path / "theirs", **config)
    wanted = peft_logits(base, folder)
    policy = LoraPolicy.from_pretrained(base, "none", adapter=folder, device="cpu")
    assert torch.allclose(logits(policy), wanted, atol=1e-3)
    policy.merge(tmp_path / "merged")
    policy.save(tmp_path / "ours")
    with torch.no_grad():
        assert torch.allclose(plain(tmp_path / "merged")(IDS).logits, wanted, atol=1e-3)
        assert torch.allclose(peft_logits(base, tmp_path / "ours"), wanted, atol=1e-3)
    again = LoraPolicy.from_pretrained(base, "none", adapter=tmp_path / "ours", device="cpu")
    assert torch.equal(logits(again), logits(policy))
    with policy.base(), torch.no_grad():
        assert torch.allclose(logits(policy), plain(base)(IDS).logits, atol=1e-3)


def test_what_was_trained_on_the_output_layer_decodes_and_stays_as_it_is(
    model_folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = model_folder("llama-tied")
    folder = saved(base, tmp_path / "a", target_modules=["q_proj", "lm_head"])
    policy = LoraPolicy.from_pretrained(base, adapter=folder, device="cpu")
    assert "adds to the output layer is used as it is" in capsys.readouterr().err
    assert not [name for name, _ in policy.trainable_parameters() if "lm_head" in name]
    [[answer]] = policy.generate([[3, 4, 5]], max_new_tokens=8, seed=2)
    row = torch.tensor([[3, 4, 5, *answer.ids.tolist()]])
    with torch.no_grad():
        logp = policy.model(row).logits[0, 2:-1].log_softmax(-1).gather(1, row[0, 3:, None])[:, 0]
    assert torch.allclose(logp, torch.from_numpy(answer.logprobs), atol=1e-3)
    with pytest.raises(UserError, match="target_modules names the output layer"):
        LoraPolicy.from_pretrained(base, target_modules=["lm_head"], device="cpu")


def test_an_adapter_that_took_its_start_from_the_base_loads_once_peft_has_converted_it(
    model_folder: Folder, tmp_path: Path
) -> None:
    base = model_folder()
    with quiet(), torch.random.fork_rng(devices=[]):
        model = get_peft_model(plain(base), LoraConfig(**QV, init_lora_weights="pissa"))
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(tmp_path / "start")
        model.peft_config["default"].init_lora_weights = "pissa"
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.add_(torch.randn(weight.shape) * 0.05)
            wanted = model.eval()(IDS).logits
        model.save_pretrained(tmp_path / "raw")
        model.save_pretrained(tmp_path / "new", path_initial_model_for_weight_conversion=str(tmp_path / "start"))
        model.merge_and_unload().save_pretrained(tmp_path / "merged")
    with pytest.raises(UserError, match=r"init_lora_weights is 'pissa'.*path_initial_model_for_weight_conversion"):
        LoraPolicy.from_pretrained(base, "none", adapter=tmp_path / "raw", device="cpu")
    converted = LoraPolicy.from_pretrained(base, "none", adapter=tmp_path / "new", device="cpu")
    assert torch.allclose(logits(converted), wanted, atol=1e-3)
    with torch.no_grad():  # the second mend of the line
        assert torch.allclose(plain(tmp_path / "merged")(IDS).logits, wanted, atol=1e-3)


def test_an_adapter_of_the_embedding_is_refused_and_merges_into_an_untied_base(
    model_folder: Folder, tmp_path: Path
) -> None:
    base = model_folder("llama-tied")
    folder = saved(base, tmp_path / "a", target_modules=["q_proj", "embed_tokens"])
    with pytest.raises(
        UserError, match=r"embed_tokens is a Embedding, which cannot be adapted.*lm_head needs a weight"
    ):
        LoraPolicy.from_pretrained(base, "none", adapter=folder, device="cpu")
    with quiet():
        untied = plain(base)
        untied.lm_head.weight = nn.Parameter(untied.lm_head.weight.detach().clone())
        untied.config.tie_word_embeddings = False
        PeftModel.from_pretrained(untied, folder).merge_and_unload().save_pretrained(tmp_path / "merged")
    with torch.no_grad():
        assert torch.allclose(plain(tmp_path / "merged")(IDS).logits, peft_logits(base, folder), atol=1e-3)


def test_another_output_layer_beside_the_adapter_is_not_dropped(model_folder: Folder, tmp_path: Path) -> None:
    base = model_folder()
    model = trained(base, target_modules=["q_proj", "lm_head"])
    with quiet(), torch.no_grad():
        model.get_output_embeddings().weight[7] += 1
        model.save_pretrained(tmp_path / "a")
    with pytest.raises(UserError, match=r"1 weights differ by name \(base_model.model.lm_head.base_layer.weight"):
        LoraPolicy.from_pretrained(base, "none", adapter=tmp_path / "a", device="cpu")


@pytest.mark.parametrize(
    "name", ["acme/toy", "D:\\models\\toy", "/mnt/other/toy", "unsloth/toy-bnb-4bit", "~/toy", "a\0b", None]
)
def test_a_name_of_the_base_that_tells_nothing_is_said_once(
    model_folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str | None
) -> None:
    folder = saved(model_folder(), tmp_path / "a")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": name}))
    console.note_once.cache_clear()
    for _ in range(2):
        LoraPolicy.from_pretrained(model_folder(), adapter=folder, device="cpu")
    said = capsys.readouterr().err
    assert said.count("its shapes fit") == 1
    assert len(said.splitlines()) == 1
    assert ("does not say" if name is None else name.replace("\0", "")[:1]) in said


def test_a_base_that_is_here_is_compared(
    model_folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console.note_once.cache_clear()
    base = fingerprint.of_model(str(model_folder()))
    fingerprint.note_other_name(tmp_path, str(model_folder()), "the/same", base)
    assert capsys.readouterr().err == ""
    fingerprint.note_other_name(tmp_path, str(model_folder(seed=1)), "the/same", base)
    assert "whose weights are others" in capsys.readouterr().err


def test_an_adapter_of_another_shape_is_refused_with_the_name_of_its_base(model_folder: Folder, tmp_path: Path) -> None:
    folder = saved(model_folder("llama", hidden_size=96), tmp_path / "a")
    with pytest.raises(UserError, match="another base model or rank; give the model that it was trained on, '/"):
        LoraPolicy.from_pretrained(model_folder(), adapter=folder, device="cpu")
    with pytest.raises(UserError, match=r"differ by name .*; give the model that it was trained on, '/"):
        LoraPolicy.from_pretrained(
            model_folder("llama", num_hidden_layers=1, hidden_size=96), adapter=folder, device="cpu"
        )


def test_another_scale_is_not_loaded_into_a_policy(model_folder: Folder, tmp_path: Path) -> None:
    folder = saved(model_folder(), tmp_path / "a", alpha_pattern={"q_proj": 1})
    policy = LoraPolicy.from_pretrained(model_folder(), lora_rank=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
    with pytest.raises(UserError, match="alpha_pattern is"):
        policy.load_adapter(folder)


@pytest.mark.parametrize("started", [True, False])
def test_a_fresh_adapter_moves_no_generator_of_any_gpu(
    model_folder: Folder, monkeypatch: pytest.MonkeyPatch, started: bool
) -> None:
    models = [plain(model_folder()) for _ in range(2)]
    config = adapters.lora_config("m", 4, None, "all-linear")
    states = {0: torch.tensor([10]), 1: torch.tensor([11])}
    before = {device: int(state) for device, state in states.items()}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: started)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: states[device].clone())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.update({device: state}))
    monkeypatch.setattr(
        torch.cuda, "manual_seed_all", lambda seed: states.update({0: torch.tensor([0]), 1: torch.tensor([0])})
    )
    weights = [adapters.parameters(adapters.add_adapter(model, config, seed=3)) for model in models]
    assert {device: int(state) for device, state in states.items()} == before
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(*weights, strict=True))
