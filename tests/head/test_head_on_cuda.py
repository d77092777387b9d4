"""The sweep on a GPU that computes nothing: the products of half precision, both directions, each extra."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fake_cuda import CUDA, fake_cuda

from simko.head import LmHead, Tile, sweep, tile_for, token_statistics
from simko.head.fold import fold
from simko.head.whole import whole_statistics
from simko.sizes import CUDA_TILE_BYTES

N, D, V = 37, 48, 9_001


def tensors(dtype: torch.dtype = torch.bfloat16) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    hidden = torch.empty(N, D, dtype=dtype, device=CUDA, requires_grad=True)
    ids = torch.empty(N, dtype=torch.int64, device=CUDA)
    return hidden, torch.empty(V, D, dtype=dtype, device=CUDA), ids


@pytest.mark.parametrize("soft_cap", [None, 30.0])
@pytest.mark.parametrize("extra", ["entropy_grad", "certainty", "nucleus_entropy", "proxy"])
def test_statistics_are_float32_on_the_card(
    monkeypatch: pytest.MonkeyPatch, extra: Any, soft_cap: float | None
) -> None:
    with fake_cuda(monkeypatch) as crossings:
        hidden, weight, ids = tensors()
        sweep.adds_in_place(CUDA, weight.dtype)
        crossings.seen.clear()
        columns = token_statistics(
            hidden, weight, ids, 3, bias=torch.empty(V, dtype=torch.bfloat16, device=CUDA), soft_cap=soft_cap,
            extra=frozenset([extra]),
        )  # fmt: skip
        for column in columns:
            assert column is None or column.device == CUDA
        assert columns.logp.dtype == columns.entropy.dtype == torch.float32
        # the ids are checked; whose nucleus is wider than the candidates, and whose rare tokens, is asked
        assert crossings.waits()[0] == "to_host"
        assert extra in ("nucleus_entropy", "proxy") or crossings.waits() == ["to_host"]


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("entropy", [True, False])
def test_the_backward_of_the_sweep(monkeypatch: pytest.MonkeyPatch, entropy: bool, in_place: bool) -> None:
    kept = SimpleNamespace(
        needs_input_grad=[True], mark_non_differentiable=lambda *_: None,
        save_for_backward=lambda *saved: setattr(kept, "saved_tensors", saved),
    )  # fmt: skip
    with fake_cuda(monkeypatch) as crossings, torch.no_grad():
        monkeypatch.setattr(sweep, "adds_in_place", lambda *_: in_place)
        hidden, weight, ids = tensors()
        tile = Tile(16, 4096)
        columns = sweep.OneSweep.forward(kept, hidden, weight, None, ids, 3, 1.0, tile, fold, entropy, False)
        wbar = kept.saved_tensors[3]
        assert (wbar.shape, wbar.dtype) == ((N, D), torch.float32)
        gradient, *_ = sweep.OneSweep.backward(kept, *(torch.empty_like(column) for column in columns[:4]))
        assert (gradient.shape, gradient.dtype, gradient.device) == ((N, D), torch.bfloat16, CUDA)  # type: ignore[union-attr]
        assert crossings.waits() == []


def test_a_product_in_half_precision_is_tried_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch 2.8 and 2.9 refuse sums of another dtype than the factors'."""

    def refuses(*_: Any, **__: Any) -> None:
        raise RuntimeError("self and mat2 must have the same dtype, but got Float and BFloat16")

    def forgets(sums: torch.Tensor, *_: Any, **__: Any) -> None:
        sums.fill_(16)

    for stand_in in (refuses, forgets):
        sweep.adds_in_place.cache_clear()
        monkeypatch.setattr(torch, "addmm", stand_in)
        assert not sweep.adds_in_place(torch.device("cpu"), torch.bfloat16)
    monkeypatch.setattr(torch, "addmm", lambda sums, a, b, **_: sums.add_(a.float() @ b.float()))
    sweep.adds_in_place.cache_clear()
    assert sweep.adds_in_place(torch.device("cpu"), torch.bfloat16)
    sweep.adds_in_place.cache_clear()


def test_logits_and_whole_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cuda(monkeypatch):
        hidden, weight, _ = tensors()
        assert LmHead(weight, torch.empty(V, dtype=torch.bfloat16, device=CUDA)).logits(hidden).dtype == torch.float32
        for vocabulary in (V, 20_000):
            whole = whole_statistics(
                hidden, torch.empty(vocabulary, D, dtype=torch.bfloat16, device=CUDA), 1.0, k=3, mass=0.9, draws=8
            )
            assert whole.candidates.device == CUDA


def test_a_tile_is_a_quarter_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cuda(monkeypatch):
        wide = tile_for(8192, 151_936, CUDA)
        assert wide.rows * wide.width * 8 <= CUDA_TILE_BYTES
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (0, 8 * 2**30))
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda *_: 2**30 - 2**28)
        narrow = tile_for(8192, 151_936, CUDA)  # 256 MiB of torch's own blocks are free
        assert narrow.rows * narrow.width * 8 <= 2**26
        assert narrow.rows * narrow.width < wide.rows * wide.width
