"""Group advantages, and what a step's batch holds and counts."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from fakes import completion, random_groups
from hypothesis import given
from hypothesis import strategies as st

from simko import algorithms
from simko.advantages import group_normalised, make_batch, split_groups
from simko.types import Group, Task

GRPO = algorithms.get("grpo")


def test_binary_rewards() -> None:
    advantages = group_normalised([1.0, 0.0, 0.0, 0.0])
    std = statistics.stdev([1.0, 0.0, 0.0, 0.0])
    assert advantages == pytest.approx([0.75 / std, *[-0.25 / std] * 3], rel=1e-5)
    assert group_normalised([1.0, 1.0]) == [0.0, 0.0]
    assert group_normalised([0.5]) == pytest.approx([0.5], rel=1e-5)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9))
def test_advantages_have_no_mean_and_at_most_unit_spread(rewards: list[float]) -> None:
    advantages = group_normalised(rewards)
    assert math.isclose(sum(advantages), 0, abs_tol=1e-6 * len(rewards))
    assert statistics.stdev(advantages) <= 1 + 1e-9


@given(st.floats(-100, 100), st.integers(2, 64))
def test_equal_rewards_have_no_advantage_at_all(reward: float, size: int) -> None:
    assert group_normalised([reward] * size) == [0.0] * size


def test_rewards_that_differ_by_rounding_are_equal() -> None:
    rewards = [0.1 + 0.2, 0.3, 0.6 * 0.5, 0.3]
    assert len(set(rewards)) > 1
    assert group_normalised(rewards) == [0.0] * 4
    assert group_normalised([0.3, 0.3001]) != [0.0] * 2
    assert group_normalised([-1e-12, 1e-12]) != [0.0] * 2  # small rewards are no rounding: the measure is relative


@pytest.mark.parametrize("reward", [0.2, 0.7, 1.1, 1 / 3])
def test_a_group_of_equal_rewards_is_not_informative_and_trains_nothing(reward: float) -> None:
    rng = np.random.default_rng(0)
    group = Group(Task("a", "", ""), tuple(completion(rng, reward) for _ in range(6)))
    assert not group.informative
    assert len(make_batch([group], GRPO)) == 0


@given(seed=st.integers(0, 10**6))
def test_groups_without_signal_cost_no_forward_but_count(seed: int) -> None:
    groups = random_groups(seed)
    batch = make_batch(groups, GRPO)
    assert {int(g) for g in batch.group} == {i for i, group in enumerate(groups) if group.informative}
    assert batch.step_tokens == sum(int(c.sampled.sum()) for group in groups for c in group.completions)
    assert batch.step_sequences == sum(len(group.completions) for group in groups)
    assert (batch.correct == [c.verdict.correct for c in batch.completions]).all()
    assert (np.sign(batch.advantage) == np.where(batch.correct, 1, -1)).all()


@pytest.mark.parametrize("outcome", ["timeout", "error"])
def test_a_failed_verifier_is_not_a_wrong_answer(outcome: str) -> None:
    rng = np.random.default_rng(0)
    good, bad, failed = completion(rng, 1.0), completion(rng, 0.0), completion(rng, 0.0, outcome)
    with_failure = make_batch([Group(Task("a", "", ""), (good, bad, failed))], GRPO)
    without = make_batch([Group(Task("a", "", ""), (good, bad))], GRPO)
    assert with_failure.advantage.tolist() == without.advantage.tolist()
    assert (with_failure.step_tokens, with_failure.step_sequences) == (without.step_tokens, without.step_sequences)
    assert len(make_batch([Group(Task("a", "", ""), (good, failed))], GRPO)) == 0


def test_split_groups_keeps_order_and_every_group() -> None:
    groups = random_groups(0, groups=7)
    parts = split_groups(groups, 3)
    assert [g for part in parts for g in part] == groups
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert split_groups([], 3) == []


def test_a_pull_towards_the_base_keeps_sequences_without_an_advantage() -> None:
    groups = random_groups(3)
    pulled = make_batch(groups, algorithms.get("grpo", kl_coefficient=0.1))
    assert len(pulled) == sum(len(group.completions) for group in groups) > len(make_batch(groups, GRPO))


@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_reward_that_is_no_number_is_masked_like_a_failed_verifier(reward: float) -> None:
    rng = np.random.default_rng(0)
    good, bad = completion(rng, 1.0), completion(rng, 0.0)
    spoilt = completion(rng, reward, "correct")
    batch = make_batch([Group(Task("a", "", ""), (good, bad, spoilt))], GRPO)
    assert len(batch) == batch.step_sequences == 2
    assert np.isfinite(batch.advantage).all()
