"""The one sweep against naive maths in float64: values, gradients, and the known traps.

`SIMKO_TEST_HEAD_TIER` names the tier under test ("torch" without it): `test_fold.py` runs this file for each.
"""

from __future__ import annotations

import os
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from simko import head
from simko.head import LmHead, Tier, Tile, TokenStatistics

TIER = os.environ.get("SIMKO_TEST_HEAD_TIER", "torch")
assert TIER in get_args(Tier)
INFINITY = float("inf")


def token_statistics(*arguments: Any, **options: Any) -> TokenStatistics:
    return head.token_statistics(*arguments, tier=TIER, **options)


def naive(
    hidden: Tensor, weight: Tensor, ids: Tensor, k: int, temperature: float, bias: Tensor | None = None
) -> TokenStatistics:
    z = hidden @ weight.t()
    logp = torch.log_softmax((z if bias is None else z + bias) / temperature, -1)
    topk_logp, topk_ids = logp.topk(k, -1)
    entropy = -(logp.exp() * logp).sum(-1).detach()
    return TokenStatistics(logp.gather(-1, ids[:, None])[:, 0], topk_logp, topk_ids, entropy, logp.argmax(-1) == ids)


def problem(n: int, d: int, v: int, seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, d, generator=rng, dtype=torch.float64) * scale
    weight = torch.randn(v, d, generator=rng, dtype=torch.float64)
    return hidden, weight, torch.randint(v, (n,), generator=rng)


def gradient(statistics: TokenStatistics, *inputs: Tensor, seed: int = 1) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    a = torch.randn(statistics.logp.shape, generator=rng, dtype=torch.float64).to(statistics.logp.dtype)
    b = torch.randn(statistics.topk_logp.shape, generator=rng, dtype=torch.float64).to(statistics.logp.dtype)
    loss = (a * statistics.logp).sum() + (b * statistics.topk_logp).sum()
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, inputs)])


def agree(ours: TokenStatistics, reference: TokenStatistics, rtol: float = 1e-9, atol: float = 1e-10) -> None:
    for mine, theirs in zip(ours, reference, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=rtol, atol=atol)


@given(
    n=st.integers(1, 9), d=st.integers(1, 7), v=st.integers(3, 40), k=st.integers(1, 3), rows=st.integers(1, 10),
    width=st.integers(1, 41), temperature=st.sampled_from([0.3, 1.0, 1.7]), biased=st.booleans(), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_equals_naive_float64(
    n: int, d: int, v: int, k: int, rows: int, width: int, temperature: float, biased: bool, seed: int
) -> None:
    hidden, weight, ids = problem(n, d, v, seed)
    bias = torch.linspace(-2, 2, v, dtype=torch.float64) if biased else None
    ours_in, naive_in = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    ours = token_statistics(ours_in, weight, ids, k, temperature, bias=bias, tile=Tile(rows, width))
    reference = naive(naive_in, weight, ids, k, temperature, bias)
    agree(ours, reference)
    torch.testing.assert_close(gradient(ours, ours_in), gradient(reference, naive_in), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("vocabulary", [511, 512, 1023, 1025, 2048, 3001])
@pytest.mark.parametrize("tile", [None, Tile(4, 1000), Tile(3, 515)])
def test_odd_vocabularies_and_tiles(vocabulary: int, tile: Tile | None) -> None:
    hidden, weight, ids = problem(7, 5, vocabulary)
    ids[:2] = torch.tensor([0, vocabulary - 1])
    ours_in, naive_in = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    ours = token_statistics(ours_in, weight, ids, 5, tile=tile)
    reference = naive(naive_in, weight, ids, 5, 1.0)
    agree(ours, reference)
    torch.testing.assert_close(gradient(ours, ours_in), gradient(reference, naive_in), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("k", [1, 17, 70, 600])
def test_any_number_of_candidates(k: int) -> None:
    hidden, weight, ids = problem(3, 4, 600)
    agree(token_statistics(hidden, weight, ids, k, tile=Tile(2, 590)), naive(hidden, weight, ids, k, 1.0))


def test_candidates_of_a_ragged_tile_whose_logits_are_all_negative() -> None:
    """Lanes beyond the end of the tile do not count as logits of 0."""
    hidden, weight, ids = problem(5, 4, 611)
    bias = torch.full((611,), -100.0, dtype=torch.float64)
    agree(token_statistics(hidden, weight, ids, 40, bias=bias), naive(hidden, weight, ids, 40, 1.0, bias))


@pytest.mark.parametrize("cap", [None, 9.0])
def test_entropy_has_no_gradient_rather_than_a_wrong_one(cap: float | None) -> None:
    hidden, weight, ids = problem(3, 4, 20)
    out = token_statistics(hidden.requires_grad_(), weight, ids, soft_cap=cap)
    assert [t.requires_grad for t in out[:5]] == [True, True, False, False, False]


def test_gradcheck() -> None:
    hidden, weight, ids = problem(4, 5, 11)
    assert torch.autograd.gradcheck(
        lambda h: token_statistics(h, weight, ids, 3, 0.7, tile=Tile(3, 4))[:2], hidden.requires_grad_(), atol=1e-7
    )


def test_repeated_ids_add_up() -> None:
    hidden, weight, _ = problem(6, 5, 30)
    ids = (hidden @ weight.t()).argmax(-1)
    ids[1::2] = ids[0]
    ours_in, naive_in = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    ours, reference = token_statistics(ours_in, weight, ids), naive(naive_in, weight, ids, 3, 1.0)
    assert ours.is_top1[::2].all()
    torch.testing.assert_close(gradient(ours, ours_in), gradient(reference, naive_in))


@pytest.mark.parametrize(
    "option",
    [{"bias": True}, {"soft_cap": 5.0}, {"scale": 0.25}, {"scale": -0.5}, {"weight": True}, {"trained_bias": True}],
)
def test_every_kind_of_head(option: dict[str, Any]) -> None:
    """The head decides between the fast and the slow path. Both agree with naive maths, and so with each other."""
    hidden, weight, ids = problem(6, 5, 13)
    trained_bias = bool(option.get("trained_bias"))
    bias = torch.linspace(-1, 1, 13, dtype=torch.float64) if option.get("bias") or trained_bias else None
    cap, scale = option.get("soft_cap"), option.get("scale", 1.0)
    inputs = [hidden.requires_grad_()]
    if option.get("weight"):
        inputs.append(weight.requires_grad_())
    if bias is not None and trained_bias:
        inputs.append(bias.requires_grad_())
    ours = token_statistics(hidden, weight, ids, 3, 0.9, bias=bias, soft_cap=cap, scale=scale, tile=Tile(4, 5))
    z = (hidden @ weight.t() + (0 if bias is None else bias)) * scale
    z = z if cap is None else cap * torch.tanh(z / cap)
    torch.testing.assert_close(LmHead(weight, bias, cap, scale).logits(hidden), z.detach())
    logp = torch.log_softmax(z / 0.9, -1)
    topk_logp, topk_ids = logp.topk(3, -1)
    entropy = -(logp.exp() * logp).sum(-1).detach()
    reference = TokenStatistics(
        logp.gather(-1, ids[:, None])[:, 0], topk_logp, topk_ids, entropy, topk_ids[:, 0] == ids
    )
    agree(ours, reference)
    torch.testing.assert_close(gradient(ours, *inputs), gradient(reference, *inputs))


def test_extreme_logits_stay_finite_and_log_p_is_never_positive() -> None:
    hidden, weight, ids = problem(50, 8, 300, scale=2000.0)
    ids[:25] = (hidden @ weight.t()).argmax(-1)[:25]
    for dtype in (torch.float32, torch.float64):
        h = hidden.to(dtype).requires_grad_()
        out = token_statistics(h, weight.to(dtype), ids, tile=Tile(20, 77))
        assert (out.logp <= 0).all()
        assert (out.topk_logp <= 0).all()
        assert (out.entropy >= 0).all()
        assert all(torch.isfinite(t.float()).all() for t in out[:5])
        assert torch.isfinite(gradient(out, h)).all()


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_a_vocabulary_entry_of_minus_infinity(width: int, order: list[int]) -> None:
    hidden = torch.tensor([[1.0]], requires_grad=True)
    weight = torch.tensor([[0.0], [1.0], [-torch.inf]])[order]
    one = order.index(1)
    out = token_statistics(hidden, weight, torch.tensor([one]), 2, tile=Tile(1, width))
    p = torch.softmax(torch.tensor([0.0, 1.0]), 0)
    torch.testing.assert_close(out.logp, p[1:].log())
    torch.testing.assert_close(out.entropy[0], -(p * p.log()).sum())
    assert out.topk_ids.tolist() == [[one, order.index(0)]]


@pytest.mark.parametrize("bad", [float("nan"), INFINITY])
def test_a_row_that_is_not_finite_reaches_no_other_and_gets_no_gradient_where_masked(bad: float) -> None:
    hidden, weight, ids = problem(6, 5, 1300)
    clean = token_statistics(hidden, weight, ids, tile=Tile(4, 1000))
    hidden[2, 1] = bad
    h = hidden.clone().requires_grad_()
    out = token_statistics(h, weight, ids, tile=Tile(4, 1000))
    keep = torch.arange(6) != 2
    assert torch.isnan(out.logp[2])
    assert ((out.topk_ids >= 0) & (out.topk_ids < 1300)).all()
    for mine, theirs in zip(out[:5], clean[:5], strict=True):
        torch.testing.assert_close(mine[keep], theirs[keep], rtol=0, atol=0)
    grad = torch.autograd.grad(
        out.logp.masked_fill(~keep, 0).sum() + out.topk_logp.masked_fill(~keep[:, None], 0).sum(), h
    )
    assert torch.isfinite(grad[0]).all()
    assert (grad[0][2] == 0).all()
    assert (grad[0][keep].abs().sum(-1) > 0).all()


def test_rows_without_weight_get_exactly_no_gradient() -> None:
    hidden, weight, ids = problem(5, 4, 30)
    h = hidden.requires_grad_()
    out = token_statistics(h, weight, ids)
    grad = torch.autograd.grad((out.logp * torch.tensor([1.0, 0, 0, 2.0, 0])).sum(), h)[0]
    assert (grad.abs().sum(-1) > 0).tolist() == [True, False, False, True, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_no_worse_than_naive_maths_at_the_same_dtype(dtype: torch.dtype) -> None:
    hidden, weight, ids = problem(64, 32, 1501, scale=0.5)
    h, w = hidden.to(dtype).requires_grad_(), weight.to(dtype)
    exact_in = h.detach().double().requires_grad_()
    exact = naive(exact_in, w.double(), ids, 3, 1.0)
    ours, theirs = token_statistics(h, w, ids, tile=Tile(30, 700)), naive(h, w, ids, 3, 1.0)
    for column in ("logp", "entropy"):
        a, b, truth = (getattr(s, column).double() for s in (ours, theirs, exact))
        assert (a - truth).abs().max() <= (b - truth).abs().max() * 1.05 + 2e-6, column
    # rounded logits have other candidates, so gradients are compared on the sampled id
    truth = torch.autograd.grad(exact.logp.sum(), exact_in)[0]
    mine, other = (torch.autograd.grad(s.logp.sum(), h)[0].double() for s in (ours, theirs))
    assert (mine - truth).norm() <= (other - truth).norm() * 1.05 + 2e-6


def test_thousands_of_half_precision_steps_leave_the_entropy_where_float64_has_it() -> None:
    """Policy-gradient steps near certainty, where W[id] - Wbar is small and a rounded tile product would lose it."""
    n, d, v = 16, 8, 64
    _, weight, _ = problem(n, d, v)
    weight = weight.bfloat16()
    start = 1.8 * weight[:n].double()
    low, high, entropies = start.clone(), start.clone(), []
    rng = torch.Generator().manual_seed(3)
    for step in range(2000):
        advantage = torch.randn(n, generator=rng, dtype=torch.float64)
        p = torch.softmax(high @ weight.double().t(), -1)
        ids = torch.multinomial(p, 1, generator=rng)[:, 0]
        for parameters, dtype in ((low, torch.bfloat16), (high, torch.float64)):
            h = parameters.bfloat16().to(dtype).requires_grad_()  # both read the same rounded parameters
            out = token_statistics(h, weight.to(dtype), ids, 1, tile=Tile(n, 22))
            parameters += 0.01 * torch.autograd.grad((advantage * out.logp).sum(), h)[0].double()
            if step % 100 == 99:
                entropies.append(out.entropy.double().mean())
    drift = torch.stack(entropies[::2]) - torch.stack(entropies[1::2])
    assert drift.abs().max() < 0.002  # nats, of 0.5
    # 0.0017 here, all of it the gradient's cast to bfloat16; 0.0056 with each tile's product rounded to it
    assert (low - high).norm() < 0.0025 * (high - start).norm()


class Sizes(TorchDispatchMode):
    """The largest tensor that any operation returned, and the largest dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = self.dimension = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor) and "view" not in str(function) and function not in _VIEWS:
                self.elements = max(self.elements, tensor.numel())
                self.dimension = max([self.dimension, *tensor.shape])
        return out


_VIEWS = {
    torch.ops.aten.t.default,
    torch.ops.aten.slice.Tensor,
    torch.ops.aten.detach.default,
    torch.ops.aten.alias.default,
}


def test_no_logits_outlive_their_tile_and_the_backward_has_none() -> None:
    hidden, weight, ids = problem(64, 4, 5000)
    hidden.requires_grad_()
    shapes: list[tuple[int, ...]] = []
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda t: shapes.append(tuple(t.shape)) or t, lambda t: t),
        Sizes() as forward,
    ):
        out = token_statistics(hidden, weight, ids, tile=Tile(16, 1000))
    assert {shape for shape in shapes if max(shape) > 64} == {tuple(weight.shape)}
    assert forward.elements <= 16 * 1024
    with Sizes() as backward:
        gradient(out, hidden)
    assert backward.dimension <= 64 * 4


def test_no_gradient_skips_the_second_product() -> None:
    hidden, weight, ids = problem(8, 4, 10)
    out = token_statistics(hidden, weight, ids)
    assert out.logp.grad_fn is None
    with torch.no_grad():
        agree(out, token_statistics(hidden.requires_grad_(), weight, ids), 0, 0)


def test_inputs_are_left_as_they_were() -> None:
    given_tensors = (*problem(8, 4, 1200), torch.linspace(-1, 1, 1200, dtype=torch.float64))
    hidden, weight, ids, bias = (t.clone() for t in given_tensors)
    token_statistics(hidden, weight, ids, 3, 0.5, bias=bias)
    for before, after in zip(given_tensors, (hidden, weight, ids, bias), strict=True):
        assert torch.equal(before, after)


def test_half_precision_hidden_gets_its_own_dtype_back() -> None:
    hidden, weight, ids = problem(8, 4, 10)
    h = hidden.bfloat16().requires_grad_()
    out = token_statistics(h, weight.bfloat16(), ids)
    assert out.logp.dtype == torch.float32
    assert gradient(out, h).dtype == torch.bfloat16
    mixed = hidden.float().requires_grad_()
    assert token_statistics(mixed, weight.bfloat16(), ids).logp.dtype == torch.float32


def test_no_rows() -> None:
    hidden, weight, _ = problem(1, 4, 10)
    h = hidden[:0].requires_grad_()
    out = token_statistics(h, weight, torch.zeros(0, dtype=torch.long))
    assert out.topk_logp.shape == (0, 3)
    assert torch.autograd.grad(out.logp.sum(), h)[0].shape == (0, 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"k": 0}, "k is 0"), ({"k": 11}, "k is 11"), ({"temperature": 0.0}, "temperature"), ({"ids": 10}, "sampled id")],
)
def test_refuses_what_it_cannot_do(arguments: dict[str, Any], words: str) -> None:
    hidden, weight, ids = problem(3, 4, 10)
    if "ids" in arguments:
        ids = ids * 0 + arguments.pop("ids")
    with pytest.raises(ValueError, match=words):
        token_statistics(hidden, weight, ids, **arguments)
