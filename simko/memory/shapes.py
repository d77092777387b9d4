"""A model's shape, which decides its memory: from a config.json or a built-in table. No weights and no torch are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from simko.errors import UserError, nearest
from simko.sizes import context_length

NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8
"""Bytes a weight: 4 bits, an 8-bit scale for each 64 weights, a float32 scale for each 256 scales (double quantisation)."""
NF4_TABLES = 4 * (256 + 16 + 2)
"""Bytes a layer: the code tables of both quantisations, offset and size."""
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_ACTIVE = ("num_experts_per_tok", "moe_k", "moe_topk", "top_k_experts")
_DENSE_FIRST = ("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers")
_UNGATED = {"gpt2", "gpt_neox", "gptj", "opt", "phi", "falcon", "starcoder2", "gpt_bigcode", "bloom"}


@dataclass(frozen=True)
class Shape:
    """Sizes of a causal LM, in elements. `heads` counts query heads; `query_width` and `kv_width` sum over heads.

    A mixture has `experts` in each layer but the first `dense_layers`, of which a token takes `active`; each is `expert_width`
    wide. `shared_width` is that of the experts that every token takes. `attention` lists (in, out) of the attention's linear
    layers where they are not query, key, value and output.
    """

    name: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_width: int
    vocabulary: int
    tied: bool
    query_width: int = 0
    gated: bool = True
    qkv_bias: bool = False
    qk_norm: bool = False
    context: int | None = None
    experts: int = 0
    active: int = 0
    expert_width: int = 0
    shared_width: int = 0
    dense_layers: int = 0
    attention: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "query_width", self.query_width or self.hidden)

    @property
    def linears(self) -> list[tuple[int, int]]:
        """(in, out) of each linear layer of the largest block; these layers are quantised and adapted."""
        return max((linears for _, linears in self.blocks), key=lambda linears: sum(a * b for a, b in linears))

    @property
    def blocks(self) -> list[tuple[int, list[tuple[int, int]]]]:
        """Each kind of block: how many there are, and its linear layers. Experts and routers are not among them."""
        d, q, kv = self.hidden, self.query_width, self.kv_width
        attention = list(self.attention) or [(d, q), (d, kv), (d, kv), (q, d)]

        def inner(width: int) -> list[tuple[int, int]]:
            return [(d, width)] * (2 if self.gated else 1) + [(width, d)] if width else []

        dense = self.dense_layers if self.experts else self.layers
        kinds = [(dense, self.intermediate), (self.layers - dense, self.shared_width)]
        return [(count, attention + inner(width)) for count, width in kinds if count]

    @property
    def linear_parameters(self) -> int:
        """Number of weights in the quantised layers."""
        return sum(count * a * b for count, linears in self.blocks for a, b in linears)

    @property
    def expert_parameters(self) -> int:
        """Number of weights in experts and routers, which are neither quantised nor adapted."""
        of_layer = self.experts * self.hidden * ((3 if self.gated else 2) * self.expert_width + 1)
        return (self.layers - self.dense_layers) * of_layer if self.experts else 0

    @property
    def inner_width(self) -> int:
        """Width of what a token passes between attention and the next layer, in the widest kind of block."""
        mixed = self.active * self.expert_width + self.shared_width if self.experts else 0
        return max(mixed, self.intermediate if self.dense_layers or not self.experts else 0)

    @property
    def embedding_parameters(self) -> int:
        """Number of weights in embedding and output layer, which are not quantised."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def small_parameters(self) -> int:
        """Number of weights in norms and biases."""
        biases = self.query_width + 2 * self.kv_width if self.qkv_bias else 0
        return self.layers * (2 * self.hidden + biases) + self.hidden

    @property
    def parameters(self) -> int:
        """Number of all weights."""
        return self.linear_parameters + self.expert_parameters + self.embedding_parameters + self.small_parameters

    def adapter_parameters(self, rank: int) -> int:
        """Number of weights of a LoRA adapter on every linear layer but the output, experts and routers."""
        return sum(count * rank * (a + b) for count, linears in self.blocks for a, b in linears)

    def quantised_bytes(self, quantization: str, item: int) -> int:
        """Bytes of the linear layers as `nf4`, `int8` or `none`; a plain weight takes `item` bytes."""
        if quantization == "nf4":
            tables = sum(count * len(linears) for count, linears in self.blocks) * NF4_TABLES
            return round(self.linear_parameters * NF4_BYTES) + tables
        if quantization == "int8":
            return self.linear_parameters + sum(4 * count * out for count, linears in self.blocks for _, out in linears)
        return self.linear_parameters * item

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any]) -> Shape:
        """Read the shape from a transformers config.json.

        Raises:
            UserError: this kind of model cannot be planned, or a key is missing or is not a positive integer.
        """
        config = {**config, **(config.get("text_config") or {})}

        def number(*keys: str) -> int:
            for key in keys:
                if isinstance(value := config.get(key), int) and value > 0:
                    return value
            raise UserError(
                f"model '{name}': its config.json has no {keys[0]}, so its memory cannot be planned; give another model"
            )

        hidden, heads = number("hidden_size", "n_embd"), number("num_attention_heads", "n_head")
        kind = str(config.get("model_type", ""))
        head_dim = config.get("head_dim") or hidden // heads
        layers = number("num_hidden_layers", "n_layer")
        kv_width = int(config.get("num_key_value_heads") or heads) * head_dim
        query_width = heads * head_dim
        attention = _latent_attention(config, hidden, heads)
        if attention:  # what is cached is one latent for all heads, and the part that has a position
            query_width = heads * (config["qk_nope_head_dim"] + config["qk_rope_head_dim"])
            kv_width = (config["kv_lora_rank"] + config["qk_rope_head_dim"]) // 2
        inner = config.get("intermediate_size") or config.get("n_inner") or config.get("ffn_dim") or 4 * hidden
        return cls(
            name,
            layers=layers,
            hidden=hidden,
            intermediate=int(inner),
            heads=heads,
            kv_width=kv_width,
            vocabulary=number("vocab_size"),
            tied=bool(config.get("tie_word_embeddings", kind in ("gpt2", "gemma", "gemma2", "gemma3_text"))),
            query_width=query_width,
            gated=kind not in _UNGATED,
            qkv_bias=kind == "qwen2" or bool(config.get("attention_bias")),
            qk_norm=kind in ("qwen3", "qwen3_moe", "gemma3_text"),
            context=context_length(config),
            attention=attention,
            **_mixture(name, config, layers, int(inner)),
        )


def _latent_attention(config: Mapping[str, Any], hidden: int, heads: int) -> tuple[tuple[int, int], ...]:
    """The linear layers of latent attention (DeepSeek V2 and V3); none of another attention."""
    rank, nope, rope = (config.get(key) for key in ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim"))
    if not (rank and nope and rope):
        return ()
    query, value, low = heads * (nope + rope), heads * config["v_head_dim"], config.get("q_lora_rank")
    queries = ((hidden, low), (low, query)) if low else ((hidden, query),)
    return (*queries, (hidden, rank + rope), (rank, heads * nope + value), (value, hidden))


def _mixture(name: str, config: Mapping[str, Any], layers: int, inner: int) -> dict[str, int]:
    """The sizes of a mixture of experts by its config; none of a dense model."""

    def first(*keys: str) -> int:
        values = [config.get(key) for key in keys]
        values = [max(value) if isinstance(value, list) and value else value for value in values]  # one for each layer
        return next((value for value in values if type(value) is int and value > 0), 0)

    experts, active = first(*_EXPERTS), first(*_ACTIVE)
    if experts < 2:
        return {}
    if not active:
        raise UserError(
            f"model '{name}': its config.json has no {_ACTIVE[0]}, so its memory cannot be planned; give another model"
        )
    width = first("moe_intermediate_size") or inner
    shared = first("n_shared_experts", "moe_num_shared_experts", "num_shared_expert") * width
    shared = shared or (inner if config.get("model_type") == "hunyuan_v1_moe" else 0)
    kinds, step = config.get("mlp_layer_types"), first("decoder_sparse_step", "moe_layer_interval") or 1
    dense = len(config.get("mlp_only_layers") or ()) + first(*_DENSE_FIRST)
    if isinstance(kinds, list):
        dense = kinds.count("dense")
    elif step > 1:
        dense = layers - (layers - dense) // step
    return {
        "experts": experts,
        "active": active,
        "expert_width": width,
        "shared_width": first("shared_expert_intermediate_size", "shared_intermediate_size") or shared,
        "dense_layers": min(dense, layers),
    }


_QWEN2: dict[str, Any] = {"qkv_bias": True, "context": 32_768}
_QWEN3: dict[str, Any] = {"qk_norm": True, "context": 40_960}
_LLAMA3: dict[str, Any] = {"context": 131_072}
# From each model's published config.json: layers, hidden, intermediate, heads, kv_width, vocabulary, tied.
BUILT_IN: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("SmolLM2-135M", 30, 576, 1536, 9, 192, 49_152, True, context=8192),
        Shape("SmolLM2-360M", 32, 960, 2560, 15, 320, 49_152, True, context=8192),
        Shape("Qwen2.5-0.5B", 24, 896, 4864, 14, 128, 151_936, True, **_QWEN2),
        Shape("Qwen3-0.6B", 28, 1024, 3072, 16, 1024, 151_936, True, query_width=2048, **_QWEN3),
        Shape("Llama-3.2-1B", 16, 2048, 8192, 32, 512, 128_256, True, **_LLAMA3),
        Shape("Qwen2.5-1.5B", 28, 1536, 8960, 12, 256, 151_936, True, **_QWEN2),
        Shape("SmolLM2-1.7B", 24, 2048, 8192, 32, 2048, 49_152, True, context=8192),
        Shape("Qwen3-1.7B", 28, 2048, 6144, 16, 1024, 151_936, True, **_QWEN3),
        Shape("Qwen2.5-3B", 36, 2048, 11_008, 16, 256, 151_936, True, **_QWEN2),
        Shape("Llama-3.2-3B", 28, 3072, 8192, 24, 1024, 128_256, True, **_LLAMA3),
        Shape("Qwen3-4B", 36, 2560, 9728, 32, 1024, 151_936, True, query_width=4096, **_QWEN3),
        Shape("Qwen2.5-7B", 28, 3584, 18_944, 28, 512, 152_064, False, **_QWEN2),
        Shape("Llama-3.1-8B", 32, 4096, 14_336, 32, 1024, 128_256, False, **_LLAMA3),
        Shape("Qwen2.5-14B", 48, 5120, 13_824, 40, 1024, 152_064, False, **_QWEN2),
    )
}


def built_in(model: str) -> Shape | None:
    """Return the table's shape of a Hub id or a bare name, or None. The maker's own fine-tunes count, too.

    Qwen2.5-Coder and Qwen2.5-Math have the shapes of Qwen2.5, and the latter reads 4,096 tokens.
    """
    name = model.rsplit("/", 1)[-1].lower().replace("-coder-", "-")
    if "-math-" in name:
        shape = built_in(name.replace("-math-", "-"))
        return shape and replace(shape, context=4096)
    for base, shape in BUILT_IN.items():
        if name in (base.lower() + ending for ending in ("", "-instruct", "-base", "-it", "-math", "-coder")):
            return shape
    return None


def nearest_built_in(model: str) -> str:
    """Return `; did you mean ...?` for a misspelt name, else the empty string."""
    return nearest(model.rsplit("/", 1)[-1], BUILT_IN)
