"""The nucleus and the proxy: hand-computed rows, which rows take a second sweep, and what it holds in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from simko.head import Extra, Tile, TokenStatistics, nucleus, token_statistics
from tests.head.test_extras import row_of
from tests.head.test_head import Sizes

NUCLEUS: frozenset[Extra] = frozenset({"nucleus_entropy"})
PROXY: frozenset[Extra] = frozenset({"proxy"})
Statistics = Callable[..., TokenStatistics]


def by_k(k: int, slow: bool = False) -> Statistics:
    """Statistics of the first of a row's tokens, with this number of candidates; by the slow path, as for a trained head."""

    def statistics(hidden: Tensor, weight: Tensor, **options: Any) -> TokenStatistics:
        ids = torch.zeros(len(hidden), dtype=torch.long)
        return token_statistics(hidden, weight.requires_grad_(slow), ids, k, tile=Tile(2, 2), **options)

    return statistics


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("statistics", [by_k(1), by_k(2), by_k(3), by_k(2, slow=True)], ids=["k1", "k2", "k3", "slow"])
@pytest.mark.parametrize(
    ("p", "entropy"),
    [
        ([0.85, 0.10, 0.05], 0.0),  # the first crosses: nothing is kept
        ([0.80, 0.15, 0.05], 0.0),  # it reaches the mass, which is not strictly below
        ([0.50, 0.40, 0.10], 0.0),  # one is kept
        ([0.50, 0.30, 0.20], 0.0),  # 0.5 + 0.3 reaches the mass, whatever rounding makes of it
        ([0.40, 0.30, 0.20, 0.10], -(4 * math.log(4 / 7) + 3 * math.log(3 / 7)) / 7),  # two, .683
        ([0.30, 0.30, 0.30, 0.10], math.log(2)),  # two of three equal ones
        ([0.05, 0.15, 0.20, 0.25, 0.35], -(7 * math.log(7 / 12) + 5 * math.log(5 / 12)) / 12),  # 0.6 + 0.2 reaches it
    ],
)
def test_the_nucleus_stops_before_the_token_that_crosses(
    p: list[float], entropy: float, statistics: Statistics, dtype: torch.dtype
) -> None:
    hidden, weight = row_of(p, dtype)
    out = statistics(hidden, weight, extra=NUCLEUS).nucleus_entropy
    torch.testing.assert_close(out, torch.tensor([entropy], dtype=dtype), rtol=1e-4, atol=1e-6)
    if entropy == 0:
        assert (out == 0).all()
        assert (torch.autograd.grad(out.sum(), hidden)[0] == 0).all()


@pytest.mark.parametrize("statistics", [by_k(1), by_k(2), by_k(4), by_k(2, slow=True)], ids=["k1", "k2", "k4", "slow"])
@pytest.mark.parametrize(
    ("first", "expected"), [(0.90, 0.9 / 0.99), (0.06, 0.06 / 0.99), (0.03, 0.0303030), (0.01, 0.0)]
)
def test_the_proxy_renormalises_what_is_not_rare(first: float, expected: float, statistics: Statistics) -> None:
    p = [first, *(x for x in (0.90, 0.06, 0.03, 0.01) if x != first)]  # the first is the sampled one
    out = statistics(*row_of(p), extra=PROXY).proxy_logp
    assert out is not None
    assert not out.requires_grad
    if expected == 0:
        assert out.item() == -1e4
    else:
        assert out.exp().item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_token_at_the_threshold_stays(k: int, dtype: torch.dtype) -> None:
    out = by_k(k)(*row_of([0.01, 0.5, 0.49], dtype), extra=PROXY).proxy_logp
    assert out.item() == pytest.approx(math.log(0.01), rel=1e-4)


def rows_of_second_sweeps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each product of a second sweep, as they come."""
    rows: list[int] = []
    whole = nucleus.raw_logits

    def watched(hidden: Tensor, block: Tensor, bias: Tensor | None) -> Tensor:
        rows.append(len(hidden))
        return whole(hidden, block, bias)

    monkeypatch.setattr(nucleus, "raw_logits", watched)
    return rows


@pytest.mark.parametrize("extra", [NUCLEUS, PROXY])
def test_only_rows_that_go_beyond_the_candidates_take_a_second_sweep(
    extra: frozenset[Extra], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of_second_sweeps(monkeypatch)
    # a sure row; a row of NaN; rows of many equal tokens
    hidden = torch.tensor([[9.0], [float("nan")], [0.0], [0.0]], requires_grad=True)
    weight = torch.tensor([[1.0], *[[0.0]] * 49])
    ids = torch.zeros(4, dtype=torch.long)
    token_statistics(hidden[:2], weight, ids[:2], 2, extra=extra)
    token_statistics(hidden, weight, ids, 50, extra=extra)  # every token is a candidate
    token_statistics(hidden, weight, ids, 2)
    assert rows == []
    out = token_statistics(hidden, weight, ids, 2, extra=extra, tile=Tile(4, 50))
    assert sum(rows) == 2
    if out.nucleus_entropy is not None:
        assert out.nucleus_entropy[2:].tolist() == pytest.approx([math.log(39)] * 2)  # 40 of 50 reach 0.8
    if out.proxy_logp is not None:
        assert out.proxy_logp[2:].tolist() == pytest.approx([-math.log(50)] * 2)


@pytest.mark.parametrize("cap", [None, 1e6])
def test_the_nucleus_has_at_most_the_pool(cap: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (nucleus, __import__("simko.head.slow", fromlist=["POOL"])):
        monkeypatch.setattr(module, "POOL", 7)
    hidden, weight = torch.zeros(3, 2, requires_grad=True), torch.randn(50, 2)
    for k in (1, 7, 9):
        ids = torch.zeros(3, dtype=torch.long)
        out = token_statistics(hidden, weight, ids, k, extra=NUCLEUS, tile=Tile(2, 20), soft_cap=cap).nucleus_entropy
        torch.testing.assert_close(out, torch.full((3,), math.log(7)))


def test_a_second_sweep_holds_a_tile_of_logits_and_the_backward_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nucleus, "_LEAST_ELEMENTS", 1)
    rng = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(64, 4, generator=rng, requires_grad=True), torch.randn(5000, 4, generator=rng)
    ids = torch.randint(5000, (64,), generator=rng)
    shapes: list[tuple[int, ...]] = []
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda t: shapes.append(tuple(t.shape)) or t, lambda t: t),
        Sizes() as forward,
    ):
        extra: frozenset[Extra] = frozenset({"entropy_grad", "certainty", "raw_logit", "nucleus_entropy", "proxy"})
        out = token_statistics(hidden, weight, ids, tile=Tile(16, 1000), extra=extra)
    assert out.nucleus_entropy is not None
    assert (out.nucleus_entropy > 1).all()
    assert {shape for shape in shapes if max(shape, default=0) > 64} == {tuple(weight.shape)}
    assert forward.elements <= 2 * 16 * 1024  # pairs of row and column of the tokens kept
    with Sizes() as backward:
        torch.autograd.grad(out.nucleus_entropy.sum() + out.entropy.sum(), hidden)
    assert backward.dimension <= 64 * 4
