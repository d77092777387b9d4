"""Architectures that a GGUF file can hold: which it is, its numbers, its tensors' names, and how weights must be turned.

Names come from `gguf`'s own `TensorNameMap`. What must be turned follows llama.cpp's converter: rows of q and k of Llama (its
rotary embedding pairs neighbours, that of transformers pairs halves), and norms of Gemma (they are stored less one).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simko.errors import UserError


@dataclass(frozen=True)
class Architecture:
    """How models of one kind are written.

    Attributes:
        name: of `gguf.MODEL_ARCH`, in small letters: `general.architecture`.
        activation: the one of the feed-forward layers that llama.cpp computes.
        turns_rows: whether rows of q and k are in another order.
        adds_one: whether norms are stored less one.
    """

    name: str
    activation: tuple[str, ...] = ("silu",)
    turns_rows: bool = False
    adds_one: bool = False


_GELU = ("gelu_pytorch_tanh",)
ARCHITECTURES = {
    "llama": Architecture("llama", turns_rows=True),
    "mistral": Architecture("llama", turns_rows=True),
    "qwen2": Architecture("qwen2"),
    "qwen3": Architecture("qwen3"),
    "gemma2": Architecture("gemma2", _GELU, adds_one=True),
    "gemma3_text": Architecture("gemma3", _GELU, adds_one=True),
}
_MEND = "export it as --merged and convert that folder with llama.cpp's convert_hf_to_gguf.py"


def architecture_of(model: Any) -> Architecture:
    """How a causal LM of transformers is written.

    Raises:
        UserError: its architecture, or a part of its configuration, is not one that is written here.
    """
    config = model.config
    kind = str(config.model_type)
    if kind not in ARCHITECTURES:
        raise UserError(
            f"export: --gguf: the architecture '{kind}' is not written by simko, which knows {', '.join(ARCHITECTURES)}; {_MEND}"
        )
    found = ARCHITECTURES[kind]
    activation = getattr(config, "hidden_activation", None) or getattr(config, "hidden_act", None)
    if activation not in found.activation:
        raise UserError(
            f"export: --gguf: hidden_act is '{activation}', for which llama.cpp's {found.name} has no place; {_MEND}"
        )
    rope = _rope(config)
    if rope.get("rope_type", "default") not in ("default", "linear", "llama3", "yarn"):
        raise UserError(f"export: --gguf: rope_type '{rope['rope_type']}' is not written by simko; {_MEND}")
    if found.adds_one:
        _check_gemma(config)
    return found


def add_numbers(writer: Any, model: Any) -> None:
    """Write the numbers of a model's configuration into a file's header."""
    config, kind = model.config, ARCHITECTURES[model.config.model_type]
    heads = int(config.num_attention_heads)
    size = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    writer.add_block_count(int(config.num_hidden_layers))
    writer.add_context_length(_context(config))
    writer.add_embedding_length(int(config.hidden_size))
    writer.add_feed_forward_length(int(config.intermediate_size))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(getattr(config, "num_key_value_heads", None) or heads))
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(float(config.rms_norm_eps))
    writer.add_vocab_size(int(model.get_input_embeddings().weight.shape[0]))
    rope = _rope(config)
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10000.0)))
    writer.add_rope_dimension_count(size)
    _add_scaling(writer, rope)
    if kind.name.startswith("gemma"):
        _add_gemma(writer, config)


def file_name(names: Any, name: str) -> str:
    """The name in a file of the parameter `name` of transformers. Raises `UserError` if there is none."""
    new = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if new is None:
        raise UserError(f"export: --gguf: the weight {name} has no name in a GGUF file of this architecture; {_MEND}")
    return str(new)


def turned(weight: Tensor, name: str, model: Any) -> Tensor:
    """The parameter `name` of transformers as llama.cpp computes with it."""
    config, kind = model.config, ARCHITECTURES[model.config.model_type]
    if kind.adds_one and name.endswith("norm.weight"):
        return weight + 1
    part = name.split(".")[-2]
    if kind.turns_rows and part in ("q_proj", "k_proj"):
        heads = config.num_attention_heads if part == "q_proj" else config.num_key_value_heads
        return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(weight.shape)
    return weight


def rope_factors(model: Any) -> Tensor | None:
    """Factors `(head_dim / 2,)` by which Llama 3 stretches its wavelengths; None for another rotary embedding.

    Source: `_compute_llama3_parameters` of transformers: long wavelengths by `factor`, short ones not, between them a blend.
    """
    config = model.config
    rope = _rope(config)
    if rope.get("rope_type") != "llama3":
        return None
    size = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    waves = 2 * math.pi * float(rope["rope_theta"]) ** (torch.arange(0, size, 2, dtype=torch.float64) / size)
    factor, low, high = (float(rope[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    context = float(rope["original_max_position_embeddings"])
    blend = ((context / waves - low) / (high - low)).clamp(0, 1)  # 0: long waves, 1: short ones
    return (1 / ((1 - blend) / factor + blend)).float()


def _rope(config: Any) -> dict[str, Any]:
    """Settings of the rotary embedding; of the layers that attend to everything where there are two kinds."""
    rope = dict(getattr(config, "rope_parameters", None) or {})
    return dict(rope.get("full_attention", rope))


def _add_scaling(writer: Any, rope: dict[str, Any]) -> None:
    import gguf

    kind = rope.get("rope_type", "default")
    if kind not in ("linear", "yarn"):
        return
    writer.add_rope_scaling_type(gguf.RopeScalingType[kind.upper()])
    writer.add_rope_scaling_factor(float(rope["factor"]))
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(int(rope["original_max_position_embeddings"]))
        for key, add in (
            ("attention_factor", writer.add_rope_scaling_yarn_attn_factor),
            ("beta_fast", writer.add_rope_scaling_yarn_beta_fast),
            ("beta_slow", writer.add_rope_scaling_yarn_beta_slow),
        ):
            if rope.get(key) is not None:
                add(float(rope[key]))


def _add_gemma(writer: Any, config: Any) -> None:
    writer.add_sliding_window(int(config.sliding_window))
    if config.model_type == "gemma2":
        writer.add_attn_logit_softcapping(float(config.attn_logit_softcapping))
        writer.add_final_logit_softcapping(float(config.final_logit_softcapping))
    local = (getattr(config, "rope_parameters", None) or {}).get("sliding_attention", {})
    if local.get("rope_theta") is not None and config.model_type == "gemma3_text":
        writer.add_rope_freq_base_swa(float(local["rope_theta"]))


def _check_gemma(config: Any) -> None:
    """Raise `UserError` for a Gemma unlike those that llama.cpp computes: it takes some of the numbers for given."""
    every = 2 if config.model_type == "gemma2" else 6
    kinds = [
        "full_attention" if layer % every == every - 1 else "sliding_attention"
        for layer in range(config.num_hidden_layers)
    ]
    odd = next(
        (
            name
            for name, value in (("layer_types", kinds), ("query_pre_attn_scalar", config.head_dim))
            if getattr(config, name) != value
        ),
        None,
    )
    if odd:
        raise UserError(f"export: --gguf: {odd} is not that of the published {config.model_type} models; {_MEND}")


def _context(config: Any) -> int:
    """Tokens that the file may be used for: within a sliding window that llama.cpp does not compute, both agree."""
    context = int(config.max_position_embeddings)
    if config.model_type.startswith("gemma"):
        return context
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    slides |= config.model_type == "mistral" and getattr(config, "sliding_window", None) is not None
    return min(context, int(config.sliding_window)) if slides else context
