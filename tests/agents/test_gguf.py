"""A GGUF file as a model: it is dequantised once and cached under its hash, or refused in one line."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from random_models import random_model
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModelForCausalLM

from simko import files
from simko.agents import LoraPolicy
from simko.agents import gguf as ours
from simko.agents.loading import find_model
from simko.agents.quiet import quiet
from simko.errors import UserError

gguf = pytest.importorskip("gguf")
LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
TEMPLATE = "{% for m in messages %}<s>{{ m['content'] }}<e>{% endfor %}"
TOKENS = ["<pad>", "<e>", "<s>", *sorted(ByteLevel.alphabet()), "ab"]


def name_of(parameter: str) -> str:
    stem, kind = parameter.rsplit(".", 1)
    if stem in TOP:
        return f"{TOP[stem]}.{kind}"
    _, _, number, rest = stem.split(".", 3)
    return f"blk.{number}.{LAYER[rest]}.{kind}"


def random_qwen() -> Any:
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
    return random_model("qwen2", 3, vocab_size=len(TOKENS), max_position_embeddings=128, **sizes)


def write_gguf(path: Path, model: Any, quantised: bool = False, leave_out: str = "", scale: float = 1.0) -> Path:
    """A file as llama.cpp's converter writes it: float32 norms, the rest float16 or 8-bit blocks."""
    config, writer = model.config, gguf.GGUFWriter(str(path), "qwen2")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3, *[1] * (len(TOKENS) - 3)])
    writer.add_token_merges(["a b"])
    writer.add_pad_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_eot_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for parameter, value in model.state_dict().items():
        if leave_out and leave_out in parameter:
            continue
        array = value.numpy() * np.float32(scale)
        if array.ndim == 1:
            writer.add_tensor(name_of(parameter), array)
        elif quantised:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name_of(parameter), gguf.quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name_of(parameter), array.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIMKO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A file of float16 weights and the model that it holds."""
    model = random_qwen()
    return write_gguf(tmp_path_factory.mktemp("gguf") / "m.gguf", model), model


def test_a_file_is_the_model_that_it_holds(
    original: tuple[Path, Any], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, model = original
    policy = LoraPolicy.from_pretrained(path, "none", device="cpu")
    message = capsys.readouterr().err
    assert "m.gguf is dequantised once to" in message
    assert "GB of disk" in message
    ids = torch.tensor([policy.tokenizer.encode("ab cab 12")])
    with torch.no_grad():
        assert torch.allclose(policy.model(input_ids=ids).logits, model(input_ids=ids).logits, atol=2e-2)
    assert policy.eos_ids == {1, 2}  # end of text and end of turn
    assert policy.tokenizer.eos_token == "<e>"
    assert policy.tokenizer.decode(policy.tokenizer.encode("ab cab €")) == "ab cab €"
    assert policy.tokenizer.encode("ab") == [len(TOKENS) - 1]
    assert policy.tokenizer.chat_template == TEMPLATE

    nf4 = LoraPolicy.from_pretrained(path, device="cpu")  # the second time from the cache, quantised
    assert capsys.readouterr().err == ""
    assert nf4.model.get_base_model().is_loaded_in_4bit
    nf4.save(cache / "adapter")
    assert json.loads((cache / "adapter" / "simko_base.json").read_text())["base_model"] == str(path)
    base = json.loads((cache / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert (Path(base) / "model.safetensors").is_file()  # what plain PEFT would load
    LoraPolicy.from_pretrained(path, adapter=cache / "adapter", device="cpu")


def test_quantised_blocks_are_dequantised(tmp_path: Path) -> None:
    model = random_qwen()
    folder = ours.as_folder(write_gguf(tmp_path / "q.gguf", model, quantised=True))
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert not hasattr(plain.config, "quantization_config")
    for (name, mine), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=0.02 * float(mine.detach().abs().max())), name


def test_the_folder_is_named_by_content_and_made_once(original: tuple[Path, Any], tmp_path: Path, cache: Path) -> None:
    path, _ = original
    first = find_model(path).location
    marked = Path(first) / "config.json"
    before = marked.stat().st_mtime_ns
    assert find_model(shutil.copy(path, tmp_path / "elsewhere.gguf")).location == first
    assert marked.stat().st_mtime_ns == before
    other = write_gguf(tmp_path / "other.gguf", random_qwen(), quantised=True)
    assert find_model(other).location != first
    assert sorted(p.suffix for p in (cache / "gguf").iterdir()) == ["", "", ".lock", ".lock"]


def test_a_conversion_that_was_killed_is_begun_anew(
    original: tuple[Path, Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = original

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ours.transformers.AutoTokenizer, "from_pretrained", killed)  # weights written, tokenizer not
        with pytest.raises(KeyboardInterrupt):
            ours.as_folder(path)
    assert not list((cache / "gguf").rglob("config.json"))
    assert (ours.as_folder(path) / "tokenizer.json").is_file()


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    original: tuple[Path, Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(UserError, match=r"takes 0\.07 GB of disk, 0\.00 GB are free.*SIMKO_CACHE") as caught:
        ours.as_folder(original[0])
    assert "\n" not in str(caught.value)
    assert not [p for p in (cache / "gguf").iterdir() if p.suffix != ".lock"]


def test_weights_beyond_float16_are_kept_as_bfloat16(tmp_path: Path) -> None:
    model = random_qwen()
    with torch.no_grad():
        model.model.norm.weight[0] = 1e6
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(ours.as_folder(write_gguf(tmp_path / "big.gguf", model)))
    assert plain.dtype == torch.bfloat16
    assert plain.model.norm.weight[0].item() == pytest.approx(1e6, rel=1e-2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"GGUF"), "not a readable GGUF file"),
        (lambda path: path.write_bytes(b"nothing" * 100), "not a readable GGUF file"),
        (lambda path: None, "no such file"),
        (lambda path: write_gguf(path, random_qwen(), leave_out="layers.1.mlp.up_proj"), "lacks 1 weights"),
    ],
)
def test_files_that_are_not_models(tmp_path: Path, make: Callable[[Path], Any], message: str, cache: Path) -> None:
    make(tmp_path / "m.gguf")
    with pytest.raises(UserError, match=message) as caught:
        LoraPolicy.from_pretrained(tmp_path / "m.gguf", device="cpu")
    assert "\n" not in str(caught.value)
    assert not list(cache.rglob("*.writing"))


def test_a_part_of_a_split_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m-00001-of-00003.gguf").write_bytes(b"GGUF")
    with pytest.raises(UserError, match="part 00001 of 00003; join them"):
        find_model(tmp_path / "m-00001-of-00003.gguf")


def test_without_the_package_the_extra_is_named(original: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(UserError, match=r"pip install 'simko\[gguf\]'"):
        find_model(original[0])


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SIMKO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert ours.cache_folder() == tmp_path / "xdg" / "simko"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert ours.cache_folder() == Path.home() / ".cache" / "simko"


@pytest.mark.parametrize("tied", [False, True])
def test_a_plan_reads_the_header_alone(tmp_path: Path, cache: Path, tied: bool) -> None:
    from simko.memory import lookup

    model = random_model("qwen2", tie_word_embeddings=tied)
    facts = lookup.facts(str(write_gguf(tmp_path / "m.gguf", model, leave_out="lm_head" if tied else "")))
    assert facts.shape.parameters == sum(p.numel() for p in model.parameters())
    assert (facts.shape.layers, facts.shape.kv_width, facts.shape.tied) == (2, 24, tied)
    assert not list(cache.rglob("config.json"))
