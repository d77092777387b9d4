"""Whole distributions against softmax and a sort in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simko.head import LmHead
from simko.head.whole import CHUNK, holders, whole_statistics


def fewest(p: torch.Tensor, mass: float) -> list[int]:
    ordered = p.double().sort(-1, descending=True).values.cumsum(-1)
    return [int((row < mass).sum()) + 1 for row in ordered]


@pytest.mark.parametrize("soft_cap", [None, 4.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_against_brute_force(soft_cap: float | None, dtype: torch.dtype) -> None:
    rng = torch.Generator().manual_seed(0)
    vocabulary = 5000  # more than a block of the product
    weight = torch.randn(vocabulary, 8, generator=rng).to(dtype)
    hidden = (torch.tensor([0.0, 0.1, 1.0, 4.0, 40.0])[:, None] * torch.randn(5, 8, generator=rng)).to(dtype)
    bias = torch.randn(vocabulary, generator=rng).to(dtype)
    head = LmHead(weight, bias, soft_cap, 0.7)
    out = whole_statistics(
        hidden, weight, 0.9, k=5, mass=0.95, draws=8, bias=bias, soft_cap=soft_cap, scale=0.7
    )  # fmt: skip
    wide = LmHead(weight.double(), bias.double(), soft_cap, head.scale)
    p = (wide.logits(hidden.double()) / 0.9).softmax(-1)
    torch.testing.assert_close(out.topk_logp.double(), p.log().topk(5).values, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(out.distinct.double(), (1 - (1 - p) ** 8).sum(-1), atol=1e-5, rtol=1e-5)
    assert out.candidates.tolist() == fewest(p, 0.95)


def test_more_rows_than_are_alive_at_once_and_none() -> None:
    rng = torch.Generator().manual_seed(1)
    vocabulary = CHUNK // 2
    weight, hidden = torch.randn(vocabulary, 2, generator=rng), 3 * torch.randn(3, 2, generator=rng)
    options = {"k": 2, "mass": 0.9, "draws": 4}
    together = whole_statistics(hidden, weight, 1.0, **options)
    alone = [whole_statistics(row[None], weight, 1.0, **options) for row in hidden]
    for i, column in enumerate(together):
        torch.testing.assert_close(column, torch.cat([one[i] for one in alone]))
    assert len(whole_statistics(hidden[:0], weight, 1.0, **options).distinct) == 0


@given(
    weights=st.lists(st.sampled_from([0.0, 1e-30, 1e-6, 0.01, 0.5, 0.501, 1.0, 3.0]), min_size=1, max_size=40),
    mass=st.sampled_from([0.05, 0.333, 0.95, 0.999]),
)
def test_holders_are_the_fewest(weights: list[float], mass: float) -> None:
    p = torch.tensor([[*weights, 1.0]])
    p = p / p.sum(-1, keepdim=True)
    assert holders(p, mass).tolist() == fewest(p, mass)
