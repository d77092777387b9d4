"""oneDNN's products are torch's, forward and backward, in every layout; torch computes those that oneDNN cannot take."""

from __future__ import annotations

import pytest
import torch

from simko.head.linear import has_onednn, linear, pack, packed_linear, suits

needs_onednn = pytest.mark.skipif(not has_onednn(), reason="this torch has no oneDNN")


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1, 40), (7, 40), (65, 40), (3, 1, 40), (2, 5, 40), (0, 40)])
@pytest.mark.parametrize("transposed", [False, True])
def test_forward_is_torchs(shape: tuple[int, ...], transposed: bool) -> None:
    x, bias = numbers(*shape), numbers(30, seed=1)
    weight = numbers(40, 30, seed=2).t() if transposed else numbers(30, 40, seed=2)
    for b in (None, bias):
        expected = torch.nn.functional.linear(x.double(), weight.double(), None if b is None else b.double())
        assert torch.allclose(linear(x, weight, b).double(), expected, atol=2e-5)


@needs_onednn
@pytest.mark.parametrize("rows", [1, 8, 64, 300])
def test_a_packed_weight_serves_every_batch_size(rows: int) -> None:
    x, weight, bias = numbers(rows, 1, 72), numbers(96, 72, seed=2), numbers(96, seed=3)
    assert torch.allclose(packed_linear(x, pack(weight), bias), torch.nn.functional.linear(x, weight, bias), atol=2e-5)


def test_gradients_reach_the_input_alone() -> None:
    x, weight = numbers(2, 5, 40).requires_grad_(), numbers(30, 40, seed=2)
    bias, g = numbers(30, seed=1), numbers(2, 5, 30, seed=4)
    linear(x, weight, bias).backward(g)
    assert x.grad is not None
    assert torch.allclose(x.grad, g @ weight, atol=2e-5)
    with torch.no_grad():
        assert not linear(x, weight).requires_grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_are_torchs_own(dtype: torch.dtype) -> None:
    x, weight = numbers(4, 40).to(dtype), numbers(30, 40, seed=2).to(dtype)
    assert not suits(x, weight)
    assert torch.equal(linear(x, weight), torch.nn.functional.linear(x, weight))
    with pytest.raises(ValueError, match="float32"):
        pack(weight)
