"""Numbers that decoding, the loss head and the memory plan must agree on, each in one place. No torch; sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CPU_CACHE_BYTES = 2 * 2**30
"""Keys, values and logits of the decode engine on a CPU, unless told otherwise."""
PREFILL_TOKENS = 4096
"""Prompt tokens, padding included, that one forward of the decode engine takes at most."""
LOGIT_BYTES = 32
"""What the engine counts for a slot's logits, probabilities and cumulative sums, for each id of the vocabulary."""
CUDA_SYNC_EVERY = 4
"""Decode steps on CUDA between two looks of the host; a sequence that ends between them runs on until then."""
CPU_TILE_ELEMENTS = 2**21
"""Logits of the loss head that are alive at once on a CPU."""
CUDA_TILE_BYTES = 2**28
"""The most that a tile of logits and one of probabilities take together on CUDA."""
CUDA_CONTEXT_BYTES = 0.60e9
"""What CUDA's context and libraries take of a GPU beside torch's tensors. An assumption: not yet measured."""
ENTROPY_EDGES = (0.01, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Nats between the bins of the entropy's histogram: `entropy_hist_00` is below the first, `entropy_hist_09` from the last on."""

CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "rope_parameters", "original_max_position_embeddings")
"""What `context_length` reads of a model's configuration; older files say `rope_scaling` instead of `rope_parameters`."""


def kv_bytes(layers: int, kv_width: int, item: int) -> int:
    """Bytes of keys and values that one token takes in all layers. `kv_width` sums over heads; a number takes `item` bytes."""
    return 2 * layers * kv_width * item


def context_length(config: Mapping[str, Any]) -> int | None:
    """Tokens that a model with this configuration takes, prompt and answer together; None if it does not say.

    LongRoPE changes all of a row's positions once one row of the batch is longer than the original context, and keys that
    are cached by then do not follow. Such a model ends where its short positions do.
    """
    lengths = [config.get("max_position_embeddings") or config.get("n_positions")]
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    for part in (rope, *(value for value in rope.values() if isinstance(value, dict))):  # one for each kind of layer
        if "longrope" in (part.get("rope_type"), part.get("type")):
            lengths += [part.get("original_max_position_embeddings"), config.get("original_max_position_embeddings")]
    return min((int(tokens) for tokens in lengths if tokens), default=None)
