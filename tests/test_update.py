"""The update is the same for any split; masks, denominators, aggregation and old log-probs are what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import FakePolicy, completion, gradient, old_stats, random_groups, sampled_logp
from hypothesis import given, settings
from hypothesis import strategies as st

from simko import algorithms
from simko.advantages import make_batch
from simko.types import Batch, Group, Task
from simko.update import accumulate_gradients, apply_gradients, row_weights

SHAPE = {"temperature": 0.9, "max_new_tokens": 8}


def run(policy: FakePolicy, name: str, batch: Batch, tokens: int = 10**6, **options: object) -> torch.Tensor:
    method = algorithms.get(name, **options.pop("settings", {}))  # type: ignore[arg-type]
    accumulate_gradients(policy, method, batch, micro_batch_tokens=tokens, **SHAPE, **options)  # type: ignore[arg-type]
    return gradient(policy)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6), tokens=st.integers(1, 120), name=st.sampled_from(["grpo", "simko"]),
    aggregation=st.sampled_from(["token_mean", "sequence_mean", "constant_length"]), turns=st.booleans(),
    packs=st.booleans(),
)  # fmt: skip
def test_any_micro_batch_split_and_packing_gives_the_same_update(
    seed: int, tokens: int, name: str, aggregation: str, turns: bool, packs: bool
) -> None:
    policy, method = FakePolicy(), algorithms.get(name)
    batch = make_batch(random_groups(seed, turns=turns), method)
    options = {"settings": {"aggregation": aggregation}}
    whole = run(policy, name, batch, **options)
    policy.packs = packs
    split = run(policy, name, batch, tokens, **options)
    torch.testing.assert_close(split, whole, atol=1e-12, rtol=1e-6)


def test_the_batch_against_a_loop_over_single_tokens() -> None:
    policy, batch = FakePolicy(), make_batch(random_groups(5, turns=True), algorithms.get("grpo"))
    total = torch.zeros((), dtype=torch.float64)
    for row, c in enumerate(batch.completions):
        ids = torch.tensor([[*c.prompt_ids, *c.ids]])
        logp = torch.log_softmax(policy.hidden(ids)[0] @ policy.weight.t() / 0.9, -1)
        for t in np.flatnonzero(c.sampled):
            token_logp = logp[len(c.prompt_ids) + t - 1, c.ids[t]]
            total = total - batch.advantage[row] * torch.exp(token_logp - token_logp.detach())
    (expected,) = torch.autograd.grad(total / batch.step_tokens, policy.adapter)
    torch.testing.assert_close(run(policy, "grpo", batch), expected)


def test_environment_tokens_carry_no_loss() -> None:
    policy, rng = FakePolicy(), np.random.default_rng(0)
    right, wrong = completion(rng, 1.0), completion(rng, 0.0)
    last_spoken = right.sampled.copy()
    last_spoken[-1] = False
    other_ids = right.ids.copy()
    other_ids[-1] = (other_ids[-1] + 1) % 11

    def of(**changes: np.ndarray) -> torch.Tensor:
        group = Group(Task("a", "", ""), (replace(right, **changes), wrong))
        return run(policy, "simko", make_batch([group], algorithms.get("simko")))

    # a trailing token conditions nothing, so only its own loss could make its id matter
    assert torch.equal(of(sampled=last_spoken), of(sampled=last_spoken, ids=other_ids))
    assert not torch.equal(of(), of(ids=other_ids))


def test_row_weights() -> None:
    batch = make_batch(random_groups(3), algorithms.get("grpo"))
    lengths = np.array([c.sampled.sum() for c in batch.completions])
    assert row_weights(batch, "token_mean", 8) == pytest.approx(np.full(len(batch), 1 / batch.step_tokens))
    assert row_weights(batch, "sequence_mean", 8) == pytest.approx(1 / (batch.step_sequences * lengths))
    assert row_weights(batch, "constant_length", 8) == pytest.approx(
        np.full(len(batch), 1 / (8 * batch.step_sequences))
    )


def test_old_logprobs_are_the_trainers_own_and_make_the_ratio_one() -> None:
    policy, batch = FakePolicy(packs=True), make_batch(random_groups(1), algorithms.get("simko"))
    old = old_stats(policy, batch, budget=40)
    assert old.mask.sum(-1).tolist() == [int(c.sampled.sum()) for c in batch.completions]
    torch.testing.assert_close(run(policy, "simko", batch, step=old), run(policy, "simko", batch))
    with torch.no_grad():
        policy.adapter += 0.3
    moved = run(policy, "simko", batch, step=old)
    assert not torch.allclose(moved, run(policy, "simko", batch))


def test_reference_logprobs_are_of_the_base_model() -> None:
    policy, batch = FakePolicy(), make_batch(random_groups(1), algorithms.get("grpo"))
    base = old_stats(policy, batch, budget=40, reference=True)
    trained = replace(base, ref_logp=base.logp)
    assert policy.active
    assert base.ref_logp is not None
    assert not torch.allclose(base.ref_logp[base.mask], sampled_logp(base))
    base, trained = replace(base, logp=None), replace(trained, logp=None)
    options = {"settings": {"kl_coefficient": 0.5}}
    with_kl = run(policy, "grpo", batch, step=base, **options)
    assert not torch.allclose(with_kl, run(policy, "grpo", batch))
    torch.testing.assert_close(run(policy, "grpo", batch, step=trained, **options), run(policy, "grpo", batch))


@pytest.mark.parametrize("packs", [False, True])
def test_metrics_are_means_over_trained_tokens(packs: bool) -> None:
    policy, batch = FakePolicy(packs=packs), make_batch(random_groups(2), algorithms.get("simko"))
    metrics = [
        accumulate_gradients(policy, algorithms.get("simko"), batch, micro_batch_tokens=tokens, **SHAPE)
        for tokens in (10**6, 15)
    ]
    assert metrics[0] == pytest.approx(metrics[1])
    assert 0 < metrics[0]["gate_fraction"] < 0.5
    assert 0 <= metrics[0]["entropy"] <= np.log(11)
    assert metrics[0]["logp_rank1"] >= metrics[0]["logp_rank2"] >= metrics[0]["logp_rank3"]
    logp = sampled_logp(old_stats(policy, batch))
    assert metrics[0]["sampler_gap_max"] == pytest.approx(float((logp + 1.0).abs().max()), rel=1e-5)


@pytest.mark.parametrize("where", ["grad", "weight", "state", "nothing"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_step_with_a_number_that_is_not_finite_is_not_taken(where: str, value: float) -> None:
    policy = FakePolicy()
    optimizer = torch.optim.AdamW([policy.adapter], lr=0.1)
    policy.adapter.grad = torch.ones_like(policy.adapter)
    assert apply_gradients(policy, optimizer, 1.0)[1]
    policy.adapter.grad = torch.ones_like(policy.adapter)
    if where == "grad":
        policy.adapter.grad[1, 2] = value
    elif where == "weight":
        policy.adapter.data[1, 2] = value
    elif where == "state":
        optimizer.state[policy.adapter]["exp_avg"][1, 2] = value
    else:
        policy.adapter.grad = None
    before = [policy.adapter.detach().clone(), *(x.clone() for x in optimizer.state[policy.adapter].values())]
    assert apply_gradients(policy, optimizer, 1.0)[1] is False
    after = [policy.adapter.detach(), *optimizer.state[policy.adapter].values()]
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(before, after, strict=True))
    assert policy.adapter.grad is None


def test_a_gradient_is_clipped_and_applied() -> None:
    policy = FakePolicy()
    optimizer = torch.optim.AdamW([policy.adapter], lr=0.1)
    before = policy.adapter.detach().clone()
    policy.adapter.grad = torch.full_like(policy.adapter, 3.0)
    norm, finite = apply_gradients(policy, optimizer, 1.0)
    assert finite
    assert norm == pytest.approx(18.0)
    assert not torch.equal(policy.adapter, before)
