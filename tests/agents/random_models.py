"""Small random models of several families, and a tokenizer of characters."""

from __future__ import annotations

import string
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from simko.agents.quiet import quiet

FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "llama-tied": (LlamaConfig, LlamaForCausalLM, {"tie_word_embeddings": True}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen2-window": (
        Qwen2Config,
        Qwen2ForCausalLM,
        {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    ),
    "mistral-window": (MistralConfig, MistralForCausalLM, {"sliding_window": 6}),
    "gemma2": (Gemma2Config, Gemma2ForCausalLM, {"head_dim": 12, "sliding_window": 6, "final_logit_softcapping": 5.0}),
}
EOS, PAD = 1, 0


def random_model(family: str = "llama", seed: int = 0, **overrides: Any) -> Any:
    """A two-layer model with grouped-query attention and widths that are not powers of two, in float32."""
    config, model, extra = FAMILIES[family]
    sizes: dict[str, Any] = {
        "vocab_size": 110,
        "hidden_size": 72,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "eos_token_id": EOS,
        "pad_token_id": PAD,
        "bos_token_id": None,
    }
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        return model(config(**{**sizes, **extra, **overrides})).eval()


def character_tokenizer() -> PreTrainedTokenizerFast:
    """One id a character, 110 in all; `<pad>` is 0 and `<eos>` 1."""
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<eos>", *string.printable, *"äöüßéèêç"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>", clean_up_tokenization_spaces=False
    )
