"""Kinds of GGUF files that simko writes, and which type of block each tensor of one gets.

| kind | matrices | per weight |
|---|---|---|
| `f16`, `bf16` | 16 bits | 2 bytes |
| `q8_0` | 8 bits, a scale for 32 weights | 1.06 bytes |
| `q4_k_m` | Q4_K; Q6_K for the output, half of `ffn_down` and `attn_v` | about 0.6 bytes |

Norms and biases are float32 in all of them. The mixture of `q4_k_m`, and what stands in for a row that is no multiple of 256, are
those of llama.cpp (`llama_tensor_get_type_impl` and `tensor_type_fallback` in src/llama-quant.cpp), so such a file has the types
and the size of one by `llama-quantize`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simko.agents.k_quants import q4_k, q6_k
from simko.errors import UserError

KINDS = ("q8_0", "q4_k_m", "f16", "bf16")
_TYPES = {"q8_0": "Q8_0", "q4_k_m": "Q4_K", "f16": "F16", "bf16": "BF16"}
_FILE_TYPES = {"f16": 1, "q8_0": 7, "q4_k_m": 15, "bf16": 32}  # `LlamaFileType`; older packages lack names
_NARROW = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}  # for rows that are a multiple of 32 and not of 256


def check_kind(kind: str) -> str:
    """Return the kind in small letters. Raises `UserError` for one that is not written here; the line names the way to it."""
    name = kind.lower()
    if name not in KINDS:
        raise UserError(
            f"export: --gguf {kind} is not written by simko; use {', '.join(KINDS)}; for another kind write f16 and then run "
            f"llama.cpp's `llama-quantize FILE.gguf NEW.gguf {name.upper()}`"
        )
    return name


def file_type(kind: str) -> int:
    """The number that stands for a kind in a file's header."""
    return _FILE_TYPES[kind]


def tensor_type(kind: str, name: str, shape: tuple[int, ...], layers: int, tied: bool) -> str:
    """Name the type of blocks, as `Q8_0`, of a tensor of a file.

    Args:
        kind: one of `KINDS`.
        name: the tensor's name in the file, as `blk.3.attn_v.weight`.
        shape: rows and columns.
        layers: number of layers.
        tied: whether the embedding is the output layer, too.
    """
    if len(shape) < 2:
        return "F32"
    wanted = _TYPES[kind]
    if kind == "q4_k_m":
        if name == "output.weight" or (tied and name == "token_embd.weight"):
            wanted = "Q6_K" if shape[-1] % 256 == 0 else "Q8_0"
        elif "attn_v." in name or "ffn_down." in name:
            wanted = "Q6_K" if _more_bits(int(name.split(".")[1]), layers) else "Q4_K"
    if wanted in _NARROW and shape[-1] % 256:
        wanted = _NARROW[wanted]
    return "F16" if wanted not in ("F16", "BF16", "Q4_K", "Q6_K") and shape[-1] % 32 else wanted


def type_bytes(name: str, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor of a type."""
    import gguf

    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    return int(np.prod(shape)) // block * size


def quantised(weight: Tensor, name: str) -> NDArray[Any]:
    """The weight, float32 and on any device, as an array that a GGUF file holds.

    Raises:
        ValueError: a weight is not finite, or too large for float16.
    """
    import gguf

    if not torch.isfinite(weight).all():
        raise ValueError("holds NaN or infinity")
    if name in ("Q4_K", "Q6_K"):
        return (q4_k if name == "Q4_K" else q6_k)(weight).cpu().numpy()
    if name == "F16" and weight.abs().max() > torch.finfo(torch.float16).max:
        raise ValueError("has a value that is too large for float16")
    return gguf.quants.quantize(weight.cpu().numpy(), gguf.GGMLQuantizationType[name])


def dequantised(array: NDArray[Any], name: str) -> Tensor:
    """What `quantised` wrote, as a reader of the file sees it: float32."""
    import gguf

    return torch.from_numpy(
        gguf.quants.dequantize(array, gguf.GGMLQuantizationType[name]).astype(np.float32, copy=False)
    )


def _more_bits(layer: int, layers: int) -> bool:
    """Whether `q4_k_m` gives 6 bits to this layer: the first and last eighth, and every third between."""
    first = layers // 8
    return layer < first or layer >= 7 * layers // 8 or (layer - first) % 3 == 2
