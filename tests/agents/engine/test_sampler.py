"""Draws follow the distribution, log-probs are untruncated, streams do not depend on each other, bad logits are refused."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simko.agents.engine.sampler import Stream, check_sampling, draw, draws, sample
from simko.errors import UserError


def uniforms(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(n))


def logits_of(p: list[float], n: int = 1) -> torch.Tensor:
    return torch.tensor(p, dtype=torch.float64).log().expand(n, -1).float()


def test_frequencies_follow_the_tempered_distribution() -> None:
    p = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    expected = p**2 / (p**2).sum()
    ids, logp = sample(p.log().expand(40000, -1).float(), uniforms(40000), temperature=0.5)
    frequency = torch.bincount(ids, minlength=4) / 40000
    assert torch.allclose(frequency.double(), expected, atol=0.01)
    assert torch.allclose(logp.double(), expected.log()[ids], atol=1e-6)


@pytest.mark.parametrize(
    ("top_p", "top_k", "allowed"),
    [
        (1.0, 0, {0, 1, 2, 3}),
        (1.0, 2, {0, 1}),
        (0.79, 0, {0, 1}),
        (0.81, 0, {0, 1, 2}),
        (0.01, 0, {0}),
        (0.7, 2, {0, 1}),
        (0.6, 2, {0}),
    ],
)
def test_truncation_keeps_what_it_should_and_leaves_logprobs_whole(top_p: float, top_k: int, allowed: set[int]) -> None:
    # of the two left by top_k = 2, token 0 alone holds 0.625: a nucleus of 0.6 keeps it, one of 0.7 keeps both
    p = [0.5, 0.3, 0.15, 0.05]
    ids, logp = sample(logits_of(p, 5000), uniforms(5000), 1.0, top_p, top_k)
    assert set(ids.tolist()) == allowed
    assert torch.allclose(logp, torch.tensor(p).log()[ids], atol=1e-6)
    truncated = torch.tensor([p[i] if i in allowed else 0.0 for i in range(4)])
    assert torch.allclose(torch.bincount(ids, minlength=4) / 5000, truncated / truncated.sum(), atol=0.03)


def test_nucleus_wider_than_the_first_candidates() -> None:
    vocabulary = 3000  # the 1024 most likely of 3000 equal tokens hold a third of the mass
    ids, _ = sample(torch.zeros(2000, vocabulary) + torch.arange(vocabulary) * 1e-6, uniforms(2000), top_p=0.9)
    assert int(ids.min()) >= 0.09 * vocabulary
    assert len(set(ids.tolist())) > 1000


def test_greedy_takes_the_best_and_reports_its_logprob() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, -1.0, 0.0]])
    ids, logp = sample(logits, uniforms(2), temperature=0)
    assert ids.tolist() == [1, 0]
    assert torch.allclose(logp, torch.log_softmax(logits, -1).amax(-1))


@given(
    st.lists(
        st.lists(st.sampled_from([-1e38, -200.0, -1.0, 0.0, 0.5, 100.0, 1e38, -float("inf")]), min_size=5, max_size=5),
        min_size=1,
        max_size=4,
    ).filter(lambda rows: all(max(row) > -float("inf") for row in rows)),
    st.sampled_from([0.0, 1.0 - 2**-53, 0.5, 2**-53]),
    st.sampled_from([1e-4, 0.7, 1.0, 5.0]),
    st.sampled_from([1.0, 0.9, 1e-9]),
    st.sampled_from([0, 1, 3]),
)
def test_never_a_token_of_probability_zero(
    rows: list[list[float]], u: float, t: float, top_p: float, top_k: int
) -> None:
    logits = torch.tensor(rows)
    ids, logp = sample(logits, torch.full((len(rows),), u, dtype=torch.float64), t, top_p, top_k)
    p = torch.softmax((logits.double() - logits.double().amax(-1, keepdim=True)) / t, -1)
    assert (p.gather(-1, ids[:, None]) > 0).all()
    assert torch.isfinite(logp).all()
    assert (logp <= 0).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_named(bad: float) -> None:
    logits = torch.zeros(3, 4)
    logits[1, 2] = bad
    with pytest.raises(FloatingPointError, match=r"logits are not finite.*row 1"):
        sample(logits, uniforms(3))
    _, logp = draw(logits, uniforms(3))
    assert torch.isnan(logp).tolist() == [False, True, False]
    with pytest.raises(FloatingPointError):
        sample(torch.full((1, 4), -float("inf")), uniforms(1))


def test_streams_depend_on_the_seed_alone() -> None:
    streams = [Stream(seed) for seed in (7, -1, 2**200)]
    a = np.concatenate([draws(streams, count) for count in (1, 1, 5, 60, 1, 82)])
    for i, seed in enumerate((7, -1, 2**200)):
        assert a[:, i].tolist() == Stream(seed).next(150)
        alone = np.random.Generator(np.random.Philox(key=seed % 2**128))
        assert a[:, i].tolist() == alone.random(150).tolist()
    assert len(np.unique(a)) == a.size == 450
    assert (a >= 0).all()
    assert (a < 1).all()


def test_global_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    sample(torch.randn(2, 5, generator=torch.Generator().manual_seed(0)), uniforms(2))
    Stream(1).next()
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (np.random.get_state()[1].tolist(), random.getstate())


@pytest.mark.parametrize(
    "bad", [(-1.0, 1.0, 0), (1e-9, 1.0, 0), (float("nan"), 1.0, 0), (1.0, 0.0, 0), (1.0, 1.1, 0), (1.0, 1.0, -1)]
)
def test_settings_out_of_range(bad: tuple[float, float, int]) -> None:
    with pytest.raises(UserError):
        check_sampling(*bad)
