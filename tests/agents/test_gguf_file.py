"""A GGUF file that simko writes: transformers reads the same model from it, and what cannot be written is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from random_models import random_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoTokenizer,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from simko import files
from simko.agents.adapter import add_adapter, lora_config
from simko.agents.gguf import dequantised_model
from simko.agents.gguf_file import write_gguf
from simko.agents.gguf_kinds import KINDS, check_kind, tensor_type
from simko.agents.gguf_names import rope_factors
from simko.agents.gguf_tokens import read_vocabulary
from simko.agents.quiet import quiet
from simko.errors import UserError

gguf = pytest.importorskip("gguf")
LETTERS = ["<pad>", "<eos>", "<end>", *sorted(ByteLevel.alphabet())]
MERGES = [("Ġ", "t"), ("Ġt", "h"), ("e", "r"), ("1", "2")]
LETTERS += ["".join(pair) for pair in MERGES]
SIZES: dict[str, Any] = {"vocab_size": 272, "hidden_size": 96, "intermediate_size": 128}
IDS = torch.arange(4, 44)[None]
TEMPLATE = "{% for m in messages %}{{ m['content'] }}<end>{% endfor %}"


def byte_tokenizer(split: Any = None) -> PreTrainedTokenizerFast:
    vocabulary = {token: i for i, token in enumerate(LETTERS)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    tokenizer.pre_tokenizer = split or ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<eos>",
        pad_token="<pad>",
        additional_special_tokens=["<end>"],
        chat_template=TEMPLATE,
    )


def family(name: str) -> Any:
    sizes = SIZES | {"num_attention_heads": 6, "num_key_value_heads": 2, "num_hidden_layers": 2}
    sizes |= {"initializer_range": 0.2, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(3)
        if name == "qwen3":
            return Qwen3ForCausalLM(Qwen3Config(**sizes, head_dim=32, max_position_embeddings=64)).eval()
        if name == "gemma3":
            sizes |= {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 8, "max_position_embeddings": 64}
            return Gemma3ForCausalLM(Gemma3TextConfig(**sizes)).eval()
    more = {"query_pre_attn_scalar": 12} if name == "gemma2" else {}
    return random_model(name, 3, **SIZES, **more)


def adapted(model: Any) -> Any:
    """The model with an adapter that has moved."""
    generator = torch.Generator().manual_seed(1)
    peft_model = add_adapter(model, lora_config("m", 4, None, "all-linear"), 0)
    with torch.no_grad():
        for name, p in peft_model.named_parameters():
            if "lora_B" in name:
                p.copy_(0.1 * torch.randn(p.shape, generator=generator))
    return peft_model.get_base_model().eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits.float()


@pytest.mark.parametrize("name", ["llama", "llama-tied", "qwen2", "qwen3", "gemma2", "gemma3"])
def test_transformers_reads_the_model_that_was_written(tmp_path: Path, name: str) -> None:
    model = adapted(family(name))
    written = write_gguf(model, byte_tokenizer(), tmp_path / "m.gguf", "f16", "m", [1, 2])
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
    assert written.error < 1e-3 < written.change
    with quiet():
        read = dequantised_model(tmp_path / "m.gguf", torch.float32, model.config).eval()
    expected = logits(model)
    assert torch.allclose(logits(read), expected, atol=5e-3 * float(expected.abs().max()))
    head, config = gguf.GGUFReader(tmp_path / "m.gguf").fields, model.config
    prefix = head["general.architecture"].contents()
    assert prefix == name.partition("-")[0]
    numbers = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": 2,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": 6,
        "attention.head_count_kv": 2,
        "attention.key_length": getattr(config, "head_dim", None) or config.hidden_size // 6,
        "attention.layer_norm_rms_epsilon": pytest.approx(config.rms_norm_eps),
        "vocab_size": 272,
    }
    if name.startswith("gemma"):
        numbers["attention.sliding_window"] = config.sliding_window
    if name == "gemma2":
        numbers["final_logit_softcapping"] = 5.0
    if name == "gemma3":
        numbers["rope.freq_base"], numbers["rope.freq_base_swa"] = 1e6, 1e4
    assert {key: head[f"{prefix}.{key}"].contents() for key in numbers} == numbers


def test_plain_llama_and_qwen_2_need_nothing_but_the_file(tmp_path: Path) -> None:
    for name in ("llama-tied", "qwen2"):
        model = adapted(family(name))
        write_gguf(model, byte_tokenizer(), tmp_path / f"{name}.gguf", "f16", "m")
        with quiet():
            read = dequantised_model(tmp_path / f"{name}.gguf", torch.float32).eval()
        assert torch.allclose(logits(read), logits(model), atol=5e-3 * float(logits(model).abs().max()))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_within_the_bound_of_their_kind(tmp_path: Path, kind: str) -> None:
    model = adapted(
        random_model("qwen2", 3, **SIZES | {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 8})
    )
    written = write_gguf(model, byte_tokenizer(), tmp_path / "m.gguf", kind, "m")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    assert reader.get_field("general.file_type").contents() == {"q8_0": 7, "q4_k_m": 15, "f16": 1, "bf16": 32}[kind]
    types = {str(t.name): t.tensor_type.name for t in reader.tensors}
    assert types["blk.0.attn_norm.weight"] == types["blk.0.attn_q.bias"] == "F32"
    if kind == "q4_k_m":  # the last of two layers gets 6 bits
        assert (types["blk.0.ffn_down.weight"], types["blk.1.ffn_down.weight"]) == ("Q4_K", "Q6_K")
        assert (types["token_embd.weight"], types["output.weight"]) == ("Q4_K", "Q6_K")
    plain = {"attn_q": "q_proj", "ffn_down": "down_proj"}
    bound = {"q8_0": 0.006, "q4_k_m": 0.08, "f16": 3e-4, "bf16": 2.5e-3}[kind]
    for tensor in reader.tensors:
        layer = next((ours for theirs, ours in plain.items() if f".{theirs}.weight" in tensor.name), None)
        if layer is None:
            continue
        block = model.model.layers[int(tensor.name.split(".")[1])]
        module = getattr(block.self_attn if layer == "q_proj" else block.mlp, layer)
        weight = (module.base_layer.weight + module.get_delta_weight("default")).detach()
        assert tuple(reversed(tensor.shape.tolist())) == tuple(weight.shape)
        back = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type)).reshape(weight.shape)
        assert float((back - weight).norm() / weight.norm()) < bound
    assert written.error < bound
    assert written.bytes == sum(t.n_bytes for t in reader.tensors)


def test_the_mixture_is_that_of_llama_quantize() -> None:
    """Of 32 layers llama.cpp gives 6 bits to 0 to 3, 28 to 31 and every third between; narrow rows get 32-blocks."""
    six = [i for i in range(32) if tensor_type("q4_k_m", f"blk.{i}.attn_v.weight", (64, 256), 32, False) == "Q6_K"]
    assert six == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]
    assert tensor_type("q4_k_m", "blk.5.attn_q.weight", (64, 576), 32, False) == "Q5_0"
    assert tensor_type("q4_k_m", "blk.0.attn_v.weight", (64, 576), 32, False) == "Q8_0"
    assert tensor_type("q4_k_m", "token_embd.weight", (64, 576), 32, True) == "Q8_0"
    assert tensor_type("q8_0", "blk.5.attn_q.weight", (64, 40), 32, False) == "F16"


def test_the_tokenizer_goes_round(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    write_gguf(family("llama"), tokenizer, tmp_path / "m.gguf", "f16", "m", [1, 2])
    with quiet():
        read = AutoTokenizer.from_pretrained(tmp_path, gguf_file="m.gguf")
    for text in ("the other 12 trees<end>\n\n  é 日本", "a<eos>b"):
        assert read.encode(text, add_special_tokens=False) == tokenizer.encode(text, add_special_tokens=False)
        assert read.decode(read.encode(text, add_special_tokens=False)) == text
    assert read.chat_template == TEMPLATE
    assert (read.eos_token_id, read.pad_token_id) == (1, 0)
    fields = gguf.GGUFReader(tmp_path / "m.gguf").fields
    assert fields["tokenizer.ggml.eot_token_id"].contents() == 2
    assert fields["tokenizer.ggml.add_bos_token"].contents() is False
    tokens = fields["tokenizer.ggml.tokens"].contents()
    assert len(tokens) == SIZES["vocab_size"]
    assert tokens[-1] == "[PAD271]"  # a row of the embedding that is no token


def test_the_split_before_the_merges_is_told_by_what_it_does() -> None:
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    odd = pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), ByteLevel(add_prefix_space=False, use_regex=False)])
    read = [read_vocabulary(byte_tokenizer(split), 272) for split in (None, digits, odd)]
    assert [(v.pre, v.known) for v in read] == [("gpt-2", True), ("smollm", True), ("default", False)]


def test_pieces_with_a_fallback_on_bytes_get_scores(tmp_path: Path) -> None:
    """SentencePiece's kind: the reader finds the merges by the scores, and a text becomes the same tokens."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *"▁theor", "▁t", "he", "▁the", "or"]
    model = models.BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=[("▁", "t"), ("h", "e"), ("▁t", "he"), ("o", "r")],
        unk_token="<unk>",
        byte_fallback=True,
        fuse_unk=True,
    )
    backend = Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    vocabulary = read_vocabulary(tokenizer, 272)
    assert (vocabulary.model, vocabulary.merges, vocabulary.flags["add_space_prefix"]) == ("llama", (), True)
    assert [vocabulary.scores[tokens.index(t)] for t in ("▁t", "he", "▁the", "or")] == [0.0, -1.0, -2.0, -3.0]
    assert [vocabulary.kinds[i] for i in (0, 1, 3, 259)] == [3, 3, 6, 1]
    write_gguf(family("llama"), tokenizer, tmp_path / "m.gguf", "f16", "m")
    with quiet():
        read = AutoTokenizer.from_pretrained(tmp_path, gguf_file="m.gguf")
    for text in ("the other thé", "or the"):
        assert read.encode(text, add_special_tokens=False) == tokenizer.encode(text, add_special_tokens=False)


def test_llama_3_stretches_its_long_waves_as_transformers_does() -> None:
    rope = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }  # fmt: skip
    model = random_model("llama", 0, hidden_size=96, rope_parameters=rope, head_dim=32)
    plain = 10000.0 ** (-torch.arange(0, 32, 2) / 32)
    factors = rope_factors(model)
    assert factors is not None
    assert torch.allclose(plain / factors, model.model.rotary_emb.inv_freq, rtol=1e-5)
    assert rope_factors(random_model("llama")) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "phi"}, "the architecture 'phi' is not written by simko, which knows llama"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ({"rope_parameters": {"rope_type": "longrope"}}, "rope_type 'longrope' is not written"),
    ],
)
def test_what_llama_cpp_would_not_compute_is_refused_before_anything(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    model = family("llama")
    for key, value in change.items():
        model.config.__dict__[key] = value
    if "model_type" in change:
        model.config = SimpleNamespace(**{**model.config.to_dict(), **change})
    with pytest.raises(UserError, match=message) as caught:
        write_gguf(model, byte_tokenizer(), tmp_path / "m.gguf", "f16", "m")
    assert "convert_hf_to_gguf.py" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_other_kinds_are_refused_with_the_way_to_them() -> None:
    with pytest.raises(
        UserError, match=r"write f16 and then run llama.cpp's `llama-quantize FILE.gguf NEW.gguf Q5_K_M`"
    ):
        check_kind("q5_k_m")
    assert check_kind("Q4_K_M") == "q4_k_m"


def test_a_tokenizer_of_words_is_refused() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(UserError, match="a tokenizer of the kind WordLevel is not written"):
        read_vocabulary(tokenizer, 4)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [("q8_0", float("nan"), "holds NaN or infinity"), ("f16", 1e6, "too large for float16; export another kind")],
)
def test_a_weight_that_does_not_fit_leaves_no_file(tmp_path: Path, kind: str, value: float, message: str) -> None:
    model = family("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = value
    with pytest.raises(UserError, match=message) as caught:
        write_gguf(model, byte_tokenizer(), tmp_path / "m.gguf", kind, "m")
    assert "blk.1.ffn_up.weight" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_too_small_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(UserError, match=r"m\.gguf' takes 0\.07 GB of disk, 0\.00 GB are free; choose another disk"):
        write_gguf(family("llama"), byte_tokenizer(), tmp_path / "m.gguf", "f16", "m")
    assert not list(tmp_path.iterdir())


def test_one_weight_at_a_time_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is written before the next is merged: the file has grown by then."""
    from simko.agents import gguf_file

    sizes: list[int] = []
    merged = gguf_file.merged_weight

    def watched(layer: Any, dtype: torch.dtype) -> Any:
        scratch = next(tmp_path.glob(".*"))
        sizes.append(scratch.stat().st_size)
        return merged(layer, dtype)

    monkeypatch.setattr(gguf_file, "merged_weight", watched)
    write_gguf(adapted(family("llama")), byte_tokenizer(), tmp_path / "m.gguf", "f16", "m")
    assert len(set(sizes)) > 7  # fourteen matrices, and buffered writes
    assert json.dumps(sizes) == json.dumps(sorted(sizes))
