"""The extras of the loss head against plain autograd through all logits. `test_fold.py` runs this file for each tier."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from simko import head
from simko.head import Extra, Tile, TokenStatistics, nucleus

TIER = os.environ.get("SIMKO_TEST_HEAD_TIER", "torch")
ALL = frozenset(get_args(Extra))
FIELDS = ("entropy", "certainty", "raw_logit", "nucleus_entropy", "proxy_logp")
HEADS = ("plain", "bias", "scale", "cap", "negative", "weight", "trained_bias")


@pytest.fixture(autouse=True, scope="module")
def small_second_sweeps() -> Iterator[None]:
    """A second sweep takes as few rows at a time as the tile says, so that it takes several turns here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nucleus, "_LEAST_ELEMENTS", 1)
        yield


def token_statistics(*arguments: Any, **options: Any) -> TokenStatistics:
    return head.token_statistics(*arguments, tier=TIER, **options)


def problem(n: int, d: int, v: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, d, generator=rng, dtype=torch.float64)
    hidden *= torch.linspace(0.1, 2.5, n, dtype=torch.float64)[:, None]  # from flat rows to peaked ones
    return hidden, torch.randn(v, d, generator=rng, dtype=torch.float64), torch.randint(v, (n,), generator=rng)


def options_of(kind: str, weight: Tensor) -> tuple[dict[str, Any], list[Tensor]]:
    """The head's options, and what is trained beside `hidden`."""
    bias = torch.linspace(-1, 1, len(weight), dtype=torch.float64)
    if kind == "weight":
        return {}, [weight.requires_grad_()]
    if kind == "trained_bias":
        return {"bias": bias.requires_grad_()}, [bias]
    options = {"bias": {"bias": bias}, "scale": {"scale": 0.4}, "cap": {"soft_cap": 3.0}, "negative": {"scale": -0.5}}
    return options.get(kind, {}), []


def naive(
    hidden: Tensor, weight: Tensor, ids: Tensor, temperature: float, mass: float, min_p: float, **options: Any
) -> dict[str, Tensor]:
    """The extras from their formulas, a row at a time."""
    raw = hidden @ weight.t()
    raw = (raw if options.get("bias") is None else raw + options["bias"]) * options.get("scale", 1.0)
    cap = options.get("soft_cap")
    raw = raw if cap is None else cap * torch.tanh(raw / cap)
    rows: dict[str, list[Tensor]] = {name: [] for name in FIELDS}
    for z, y in zip(raw / temperature, ids.tolist(), strict=True):
        p = torch.softmax(z, 0)
        uniform = torch.full_like(p, 1 / len(p))
        order = p.argsort(descending=True).tolist()
        kept, total = [], 0.0
        for v in order:
            total += float(p[v].detach())
            if total >= mass:
                break
            kept.append(v)
        q = p[kept] / p[kept].sum()
        lively = p >= min_p * p.max()
        rows["entropy"].append(-(p * p.log()).sum())
        rows["certainty"].append((uniform * (uniform.log() - p.log())).sum())
        rows["nucleus_entropy"].append(-(q * q.log()).sum() if kept else 0 * p.sum())
        rows["proxy_logp"].append((p[y] / p[lively].sum()).log() if lively[y] else torch.full_like(p[y], -1e4))
    rows["raw_logit"] = list(raw.gather(1, ids[:, None])[:, 0])
    return {name: torch.stack(column) for name, column in rows.items()}


def pull(statistics: TokenStatistics | dict[str, Tensor], inputs: list[Tensor], seed: int = 3) -> Tensor:
    """Gradient of a random mix of the two entropies."""
    columns = statistics if isinstance(statistics, dict) else statistics._asdict()
    a, b = torch.randn(2, len(columns["entropy"]), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    loss = (a * columns["entropy"]).sum() + (b * columns["nucleus_entropy"]).sum()
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, inputs)])


def row_of(p: list[float], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """One hidden state and a weight that give these probabilities."""
    return torch.ones(1, 1, dtype=dtype, requires_grad=True), torch.tensor(p, dtype=dtype).log()[:, None]


@given(
    n=st.integers(1, 7), d=st.integers(1, 6), v=st.integers(3, 40), k=st.integers(1, 3), rows=st.integers(1, 8),
    width=st.integers(1, 41), temperature=st.sampled_from([0.4, 1.0, 1.7]), kind=st.sampled_from(HEADS),
    mass=st.sampled_from([0.37, 0.8, 0.97]), min_p=st.sampled_from([0.021, 0.3]), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_values_and_gradients_equal_plain_autograd(
    n: int,
    d: int,
    v: int,
    k: int,
    rows: int,
    width: int,
    temperature: float,
    kind: str,
    mass: float,
    min_p: float,
    seed: int,
) -> None:
    hidden, weight, ids = problem(n, d, v, seed)
    options, trained = options_of(kind, weight)
    inputs = [hidden.requires_grad_(), *trained]
    ours = token_statistics(
        hidden,
        weight,
        ids,
        k,
        temperature,
        **options,
        tile=Tile(rows, width),
        extra=ALL,
        nucleus_mass=mass,
        min_p=min_p,
    )
    reference = naive(hidden, weight, ids, temperature, mass, min_p, **options)
    for name in FIELDS:
        torch.testing.assert_close(getattr(ours, name), reference[name].detach(), rtol=1e-9, atol=1e-9, msg=name)
    torch.testing.assert_close(pull(ours, inputs), pull(reference, inputs), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kind", HEADS)
def test_gradcheck(kind: str) -> None:
    hidden, weight, ids = problem(5, 4, 11)
    options, trained = options_of(kind, weight)

    def both(h: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = token_statistics(h, weight, ids, 2, 0.7, **options, tile=Tile(3, 4), extra=ALL)
        return out.logp, out.entropy, out.nucleus_entropy

    assert torch.autograd.gradcheck(both, (hidden.requires_grad_(), *trained), atol=1e-7)


@pytest.mark.parametrize("kind", HEADS)
def test_what_is_not_asked_for_is_absent_and_the_rest_stays_bit_for_bit(kind: str) -> None:
    hidden, weight, ids = problem(40, 8, 900)
    options, trained = options_of(kind, weight)
    inputs = [hidden.requires_grad_(), *trained]

    def first(out: TokenStatistics) -> list[Tensor]:
        loss = (out.logp * torch.linspace(-1, 1, 40)).sum() + out.topk_logp[::2].sum()
        return [*out[:5], *torch.autograd.grad(loss, inputs)]

    bare = token_statistics(hidden, weight, ids, tile=Tile(30, 700), **options)
    assert bare[5:] == (None, None, None, None)
    assert not bare.entropy.requires_grad
    before = first(bare)
    for extra in [*({name} for name in get_args(Extra)), ALL]:
        out = token_statistics(hidden, weight, ids, tile=Tile(30, 700), extra=frozenset(extra), **options)
        names = {
            "certainty": "certainty",
            "raw_logit": "raw_logit",
            "nucleus_entropy": "nucleus_entropy",
            "proxy": "proxy_logp",
        }
        for name, field in names.items():
            assert (getattr(out, field) is not None) == (name in extra)
        gradients = [out.entropy.requires_grad, *(x is not None and x.requires_grad for x in out[5:])]
        assert gradients == ["entropy_grad" in extra, False, False, "nucleus_entropy" in extra, False]
        for mine, theirs in zip(first(out), before, strict=True):
            assert torch.equal(mine, theirs), extra


@pytest.mark.parametrize("kind", ["plain", "cap", "weight"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_without_incoming_gradient_gets_exactly_none_whatever_its_statistics(kind: str, bad: float) -> None:
    hidden, weight, ids = problem(6, 5, 130)
    hidden[2, 1] = bad
    options, trained = options_of(kind, weight)
    out = token_statistics(hidden.requires_grad_(), weight, ids, 2, tile=Tile(4, 50), extra=ALL, **options)
    if kind != "cap" or bad != float("inf"):  # the cap makes infinity finite
        assert all(torch.isnan(getattr(out, name)[2]) for name in ("logp", *FIELDS) if name != "raw_logit")
    keep = torch.tensor([True, True, False, True, False, True])
    assert out.nucleus_entropy is not None
    loss = sum(column.masked_fill(~keep, 0).sum() for column in (out.logp, out.entropy, out.nucleus_entropy))
    grads = torch.autograd.grad(loss, [hidden, *trained])
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert (grads[0].abs().sum(-1) > 0).tolist() == keep.tolist()


@pytest.mark.parametrize("name", ["entropy", "nucleus_entropy"])
def test_one_entropy_alone_reaches_its_rows_alone(name: str) -> None:
    hidden, weight, ids = problem(6, 5, 130)
    out = token_statistics(hidden.requires_grad_(), weight, ids, 2, tile=Tile(4, 50), extra=ALL)
    grad = torch.autograd.grad((getattr(out, name) * torch.tensor([1.0, 0, 0, 1, 0, 0])).sum(), hidden)[0]
    assert (grad.abs().sum(-1) > 0).tolist() == [True, False, False, True, False, False]


def test_an_uniform_row_has_no_certainty_and_a_sure_one_has_much() -> None:
    hidden, weight = torch.ones(2, 1), torch.tensor([[0.0], [0.0], [0.0], [0.0]])
    out = token_statistics(hidden, weight, torch.zeros(2, dtype=torch.long), 2, extra=frozenset({"certainty"}))
    torch.testing.assert_close(out.certainty, torch.zeros(2))
    sure, weight = row_of([0.97, 0.01, 0.01, 0.01])
    out = token_statistics(sure, weight, torch.tensor([0]), 2, 0.5, extra=frozenset({"certainty"}))
    p = torch.tensor([0.97, 0.01, 0.01, 0.01], dtype=torch.float64) ** 2
    expected = -math.log(4) - (p / p.sum()).log().mean()
    torch.testing.assert_close(out.certainty, expected[None])


def test_the_raw_logit_is_that_before_the_temperature() -> None:
    hidden, weight, ids = problem(4, 3, 20)
    bias = torch.linspace(-1, 1, 20, dtype=torch.float64)
    for scale, cap in ((0.3, None), (0.3, 2.0)):
        whole = head.LmHead(weight, bias, cap, scale).logits(hidden)
        out = token_statistics(
            hidden, weight, ids, 2, 0.37, bias=bias, scale=scale, soft_cap=cap, extra=frozenset({"raw_logit"})
        )
        torch.testing.assert_close(out.raw_logit, whole.gather(1, ids[:, None])[:, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_half_precision_is_no_worse_than_naive_maths(dtype: torch.dtype) -> None:
    hidden, weight, ids = problem(64, 32, 1501)
    h, w = (0.5 * hidden).to(dtype).requires_grad_(), weight.to(dtype)
    exact_in, low = h.detach().double().requires_grad_(), h.detach().clone().requires_grad_()
    ours = token_statistics(
        h, w, ids, tile=Tile(30, 700), extra=frozenset({"entropy_grad", "certainty", "nucleus_entropy"})
    )
    logp = torch.log_softmax(exact_in @ w.double().t(), -1)
    exact = torch.autograd.grad(-(logp.exp() * logp).sum(), exact_in)[0]
    low_logp = torch.log_softmax(low @ w.t(), -1)
    naive_grad = torch.autograd.grad(-(low_logp.exp() * low_logp).sum(), low)[0].double()
    mine = torch.autograd.grad(ours.entropy.sum(), h, retain_graph=True)[0].double()
    assert (mine - exact).norm() <= (naive_grad - exact).norm() * 1.05 + 2e-5
    assert ours.entropy.dtype == torch.float32
    assert ours.certainty is not None
    torch.testing.assert_close(ours.certainty.double(), -logp.mean(-1).detach() - math.log(1501), atol=2e-5, rtol=1e-5)
    assert ours.nucleus_entropy is not None
    half = torch.autograd.grad(ours.nucleus_entropy.sum(), h)[0]
    assert half.dtype == dtype
    assert torch.isfinite(half).all()


def test_extreme_logits_stay_finite() -> None:
    hidden, weight, ids = problem(50, 8, 300)
    h = (2000 * hidden).float().requires_grad_()
    out = token_statistics(h, weight.float(), ids, tile=Tile(20, 77), extra=ALL)
    for field in FIELDS:
        assert torch.isfinite(getattr(out, field)).all(), field
    assert out.nucleus_entropy is not None
    assert torch.isfinite(torch.autograd.grad(out.entropy.sum() + out.nucleus_entropy.sum(), h)[0]).all()


@pytest.mark.parametrize("trained", [False, True])
def test_a_vocabulary_entry_of_minus_infinity_leaves_the_entropy_its_gradient(trained: bool) -> None:
    hidden, weight = (
        torch.ones(1, 1, dtype=torch.float64, requires_grad=True),
        torch.tensor([[0.3], [1.0], [0.0]]).double(),
    )
    bias = torch.tensor([0.0, 0.0, -torch.inf], dtype=torch.float64)
    out = token_statistics(
        hidden, weight, torch.tensor([0]), 1, bias=bias.requires_grad_(trained), tile=Tile(1, 2), extra=ALL
    )
    two = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    p = torch.softmax((two @ weight[:2].t())[0], 0)
    truth = torch.autograd.grad(-(p * p.log()).sum(), two)[0]
    torch.testing.assert_close(torch.autograd.grad(out.entropy.sum(), hidden)[0], truth)
    assert out.certainty is not None
    assert out.certainty.isinf().all()


def test_no_rows_and_no_gradient() -> None:
    hidden, weight, ids = problem(3, 4, 10)
    with torch.no_grad():
        out = token_statistics(hidden.requires_grad_(), weight, ids, extra=ALL)
    assert not any(getattr(out, field).requires_grad for field in FIELDS)
    h = hidden.detach()[:0].requires_grad_()
    for cap in (None, 5.0):
        out = token_statistics(h, weight, ids[:0], extra=ALL, soft_cap=cap)
        assert all(getattr(out, field).shape == (0,) for field in FIELDS)
        assert torch.autograd.grad(out.entropy.sum(), h)[0].shape == (0, 4)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"nucleus_mass": 0.0}, "nucleus_mass is 0"),
        ({"nucleus_mass": 1.1}, "nucleus_mass"),
        ({"min_p": 0.0}, "min_p is 0"),
    ],
)
def test_a_setting_out_of_range_is_refused(option: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        token_statistics(*problem(3, 4, 10), **option)


def test_an_unknown_extra_is_refused() -> None:
    # a TypeError where the types of arguments are checked, as in these tests
    with pytest.raises((ValueError, TypeError), match="entropy_grad"):
        token_statistics(*problem(3, 4, 10), extra=frozenset({"hope"}))
