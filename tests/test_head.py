"""The one sweep against naive maths in float64: values, gradients, and the traps others fell into."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from simko.head import TokenStatistics, token_statistics


def naive(hidden: Tensor, weight: Tensor, ids: Tensor, k: int, temperature: float) -> TokenStatistics:
    logp = torch.log_softmax(hidden @ weight.t() / temperature, -1)
    topk_logp, topk_ids = logp.topk(k, -1)
    entropy = -(logp.exp() * logp).sum(-1).detach()
    return TokenStatistics(logp.gather(-1, ids[:, None])[:, 0], topk_logp, topk_ids, entropy, logp.argmax(-1) == ids)


def problem(n: int, d: int, v: int, seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, d, generator=rng, dtype=torch.float64) * scale
    weight = torch.randn(v, d, generator=rng, dtype=torch.float64)
    return hidden, weight, torch.randint(v, (n,), generator=rng)


def gradient(statistics: TokenStatistics, hidden: Tensor, seed: int = 1) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    a = torch.randn(statistics.logp.shape, generator=rng, dtype=torch.float64).to(statistics.logp.dtype)
    b = torch.randn(statistics.topk_logp.shape, generator=rng, dtype=torch.float64).to(statistics.logp.dtype)
    return torch.autograd.grad((a * statistics.logp).sum() + (b * statistics.topk_logp).sum(), hidden)[0]


@given(
    n=st.integers(1, 9), d=st.integers(1, 7), v=st.integers(3, 40), k=st.integers(1, 3), rows=st.integers(1, 10),
    temperature=st.sampled_from([0.3, 1.0, 1.7]), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_equals_naive_float64(n: int, d: int, v: int, k: int, rows: int, temperature: float, seed: int) -> None:
    hidden, weight, ids = problem(n, d, v, seed)
    ours_in, naive_in = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    ours = token_statistics(ours_in, weight, ids, k, temperature, chunk_rows=rows)
    reference = naive(naive_in, weight, ids, k, temperature)
    for mine, theirs in zip(ours, reference, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(gradient(ours, ours_in), gradient(reference, naive_in), rtol=1e-9, atol=1e-10)


def test_gradcheck() -> None:
    hidden, weight, ids = problem(4, 5, 11)
    assert torch.autograd.gradcheck(
        lambda h: token_statistics(h, weight, ids, 3, 0.7)[:2], hidden.requires_grad_(), atol=1e-7
    )


@pytest.mark.parametrize("option", [{"bias": True}, {"soft_cap": 5.0}, {"scale": 0.25}, {"trained": True}])
def test_other_heads_by_the_slow_path(option: dict) -> None:
    hidden, weight, ids = problem(6, 5, 13)
    bias = torch.linspace(-1, 1, 13, dtype=torch.float64) if option.get("bias") else None
    weight.requires_grad_(bool(option.get("trained")))
    cap, scale = option.get("soft_cap"), option.get("scale", 1.0)
    ours_in, naive_in = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    ours = token_statistics(ours_in, weight, ids, 3, 0.9, bias=bias, soft_cap=cap, scale=scale, chunk_rows=4)
    z = (naive_in @ weight.t() + (0 if bias is None else bias)) * scale
    z = z if cap is None else cap * torch.tanh(z / cap)
    logp = torch.log_softmax(z / 0.9, -1)
    torch.testing.assert_close(ours.logp, logp.gather(-1, ids[:, None])[:, 0])
    torch.testing.assert_close(ours.entropy, -(logp.exp() * logp).sum(-1))
    torch.testing.assert_close(ours.topk_ids, logp.topk(3, -1).indices)
    reference = TokenStatistics(
        logp.gather(-1, ids[:, None])[:, 0], logp.topk(3, -1).values, ours.topk_ids, ours.entropy, ours.is_top1
    )
    torch.testing.assert_close(gradient(ours, ours_in), gradient(reference, naive_in))
    if option.get("trained"):
        loss = token_statistics(hidden, weight, ids, 2).logp.sum()
        mine = torch.autograd.grad(loss, weight)[0]
        theirs = torch.autograd.grad(naive(hidden, weight, ids, 2, 1.0).logp.sum(), weight)[0]
        torch.testing.assert_close(mine, theirs)


def test_extreme_logits_stay_finite_and_log_p_is_never_positive() -> None:
    hidden, weight, ids = problem(50, 8, 300, scale=2000.0)
    for dtype in (torch.float32, torch.float64):
        h = hidden.to(dtype).requires_grad_()
        out = token_statistics(h, weight.to(dtype), ids)
        assert (out.logp <= 0).all()
        assert (out.topk_logp <= 0).all()
        assert (out.entropy >= 0).all()
        assert all(torch.isfinite(t.float()).all() for t in out)
        assert torch.isfinite(gradient(out, h)).all()


def test_a_vocabulary_entry_of_minus_infinity() -> None:
    hidden = torch.tensor([[1.0]], requires_grad=True)
    weight = torch.tensor([[0.0], [1.0], [-torch.inf]])
    out = token_statistics(hidden, weight, torch.tensor([1]), 2)
    p = torch.softmax(torch.tensor([0.0, 1.0]), 0)
    torch.testing.assert_close(out.logp, p[1:].log())
    torch.testing.assert_close(out.entropy[0], -(p * p.log()).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_no_worse_than_naive_maths_at_the_same_dtype(dtype: torch.dtype) -> None:
    hidden, weight, ids = problem(64, 32, 501, scale=0.5)
    h, w = hidden.to(dtype), weight.to(dtype)
    exact = naive(h.double(), w.double(), ids, 3, 1.0).logp
    ours = (token_statistics(h, w, ids).logp.double() - exact).abs().max()
    theirs = (naive(h, w, ids, 3, 1.0).logp.double() - exact).abs().max()
    assert ours <= theirs * 1.05 + 1e-7


def test_no_gradient_keeps_nothing() -> None:
    hidden, weight, ids = problem(8, 4, 10)
    out = token_statistics(hidden, weight, ids)
    assert out.logp.grad_fn is None


def test_half_precision_hidden_gets_its_own_dtype_back() -> None:
    hidden, weight, ids = problem(8, 4, 10)
    h = hidden.bfloat16().requires_grad_()
    out = token_statistics(h, weight.bfloat16(), ids)
    assert out.logp.dtype == torch.float32
    assert gradient(out, h).dtype == torch.bfloat16


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
def test_refuses_what_it_cannot_do(arguments: dict, words: str) -> None:
    hidden, weight, ids = problem(3, 4, 10)
    if "ids" in arguments:
        ids = ids * 0 + arguments.pop("ids")
    with pytest.raises(ValueError, match=words):
        token_statistics(hidden, weight, ids, **arguments)


def test_no_logits_outlive_their_chunk() -> None:
    hidden, weight, ids = problem(64, 4, 5000)
    kept: list[tuple[int, ...]] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(tuple(t.shape)) or t, lambda t: t):
        token_statistics(hidden.requires_grad_(), weight, ids, chunk_rows=16)
    assert (64, 5000) not in kept
    assert (16, 5000) not in kept
