"""Blocks of 4 and 6 bits: byte for byte those of llama.cpp, and read back within what their bits allow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from simko.agents.k_quants import q4_k, q6_k

gguf = pytest.importorskip("gguf")
QUANTISERS = {"Q4_K": q4_k, "Q6_K": q6_k}
# What `ggml_quantize_chunk` of llama.cpp (ggml 0.25.3, built by llama-cpp-python 0.3.36) makes of `sawtooth()`.
REFERENCE = {
    "Q4_K": (
        "d4119b1cf9f1baf1ffebb2e7750fcd4ac6279a75598f1568c5076b84498fe748cb566b923878e6386c955b901779e55836a9"
        "4459802566d4166a83488f0557d3466a923787f5476b355aa02677f4576ca3465b823878c5385c355b802769c4486d944a88"
        "065963476d923789e5596f36576d924998055961466da03689f4587f346ca5267a73587fb357aa066a81477fc8115e1cf6f7"
        "ffeeeefff5f2bd050b7f8cb369b7258882668cc156b8047890558cd446a983689e3476d3257992679ee5347ad4259883679c"
        "e366d3057892569cf556c95478a03586f43679a368ae15767cc5369974588e2567c4166a83488e0657c3566a923787e5476b"
        "355a902678e4c546a94459803576c4366a83588f2567c3556a924886045761456a903587e457"
    ),
    "Q6_K": (
        "d33e43573811d65de710727c0a10b29cf39d216aa3458b453799b0f16088961388cd430a42d7b010f8e53f363657f1152ae4"
        "3f647a1941da6ef411a2900c11c2e18ff54aa6357b261b8a74f06069861567bb410a42b6af1ec6e24f253526d01329e33f43"
        "684820d85de810827e0b10b21d0392a5906fbd84fdb1860600b06b779219a59679a45e29925e659649e45229934977945a26"
        "914aa7457b945e26914a914967945ae6917aa7497b945a26914a6486e9259ea55689e457d92592b9548a9759a5a087adaa91"
        "50a49d80a9a48b49a40642aa3df941949f1c91e28e1324f4c71129d33e33572701d54de61f726c0910b1d5e46e324aa4457b"
        "153869c1f15088861c87bd420a32d7b00ff7e43f352547f018d23e2355f6e1d34dd61f516a1800b1d6d11f260a87365b671c"
        "1ac5f0308a562a51ac4d0832b4910db0e53e232514da8229e33f43683811d75de710827d1a10a84e24dd52699a45289f25ed"
        "52699b46249219a59679a45e25925d659649e452249219a19669945e25925d659649e45e2a914977945ae6917aa7497b945a"
        "2691b19a53aaa28ab7af944bb79e80bea98bf306"
    ),
}


def sawtooth() -> Tensor:
    i = np.arange(512)
    return torch.from_numpy((((i * 37 + 11) % 101 - 40) * ((i % 7) + 1) / 997).astype(np.float32))[None]


def read_back(blocks: Tensor, kind: str) -> Tensor:
    return torch.from_numpy(gguf.quants.dequantize(blocks.numpy(), gguf.GGMLQuantizationType[kind]))


@pytest.mark.parametrize("kind", QUANTISERS)
def test_blocks_are_those_of_llama_cpp(kind: str) -> None:
    assert QUANTISERS[kind](sawtooth()).numpy().tobytes().hex() == REFERENCE[kind]


@pytest.mark.parametrize(("kind", "most"), [("Q4_K", 0.075), ("Q6_K", 0.019)])
def test_the_error_is_that_of_the_bits(kind: str, most: float) -> None:
    """Relative root mean square on Gaussian weights; plain blocks of 4 bits (Q4_0) are at 0.09."""
    weight = 0.03 * torch.randn(64, 512, generator=torch.Generator().manual_seed(0))
    back = read_back(QUANTISERS[kind](weight), kind)
    error = float((back - weight).square().mean().sqrt() / weight.square().mean().sqrt())
    assert most / 1.2 < error < most


@pytest.mark.parametrize("kind", QUANTISERS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(2, 512),
        lambda: torch.full((2, 256), 0.5),
        lambda: torch.full((1, 256), -0.5),
        lambda: torch.cat([torch.zeros(1, 128), torch.ones(1, 128)], 1),
        lambda: torch.cat([torch.full((1, 255), 1e-3), torch.full((1, 1), 8.0)], 1),
        lambda: torch.arange(256.0)[None] / 7,
    ],
    ids=["zeros", "one number", "one negative number", "half zeros", "an outlier", "a ramp"],
)
def test_odd_blocks_stay_within_a_step(kind: str, make: Callable[[], Tensor]) -> None:
    weight = make()
    back = read_back(QUANTISERS[kind](weight), kind)
    groups = weight.reshape(-1, 32 if kind == "Q4_K" else 16)
    step = (groups.amax(1).clamp(min=0) - groups.amin(1).clamp(max=0)) / (15 if kind == "Q4_K" else 31)
    slack = 0.02 * weight.abs().max()  # the scales of the groups are themselves rounded, to 6 or 8 bits
    assert ((back - weight).reshape(groups.shape).abs().amax(1) <= step + slack).all()


def test_rows_do_not_touch_each_other() -> None:
    weight = torch.randn(5, 768, generator=torch.Generator().manual_seed(1))
    for quantise in QUANTISERS.values():
        whole = quantise(weight)
        assert torch.equal(whole, torch.cat([quantise(row[None]) for row in weight]))
