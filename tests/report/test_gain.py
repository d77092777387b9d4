"""The test of training rewards: exact where it can be, seldom wrong, and silent about too few steps."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest

from simko.report.bands import decide
from simko.report.gain import LEAST, looks_band, recent_gain, training_gain
from simko.run.records import Look


def test_the_tenths_are_those_at_the_ends() -> None:
    rewards = [0.0] * 50 + [float(step) for step in range(50)]
    gain = training_gain(rewards)
    assert gain is not None
    assert (gain.first, gain.last, gain.steps) == (0.0, 44.5, 10)
    recent = recent_gain(rewards)
    assert recent is not None
    assert (recent.first, recent.last, recent.steps) == (19.5, 39.5, 20)
    assert recent.rises


def test_few_steps_say_nothing() -> None:
    assert training_gain([0.1] * (2 * LEAST - 1)) is None
    assert training_gain([0.1] * (2 * LEAST)) is not None
    assert recent_gain([]) is None


def test_the_share_of_deals_is_that_of_all_deals() -> None:
    rewards = [0.25, 0.0, 0.5, 0.25, 0.5, 0.75, 0.25, 1.0]
    exact = list(map(Fraction, rewards))
    happened = abs(sum(exact[4:]) - sum(exact[:4]))
    halves = [sum(exact[i] for i in chosen) for chosen in combinations(range(8), 4)]
    as_large = sum(abs(sum(exact) - 2 * half) >= happened for half in halves)
    gain = training_gain(rewards)
    assert gain is not None
    assert gain.p_value == pytest.approx(as_large / comb(8, 4))


def test_a_step_apart_is_noise_and_a_whole_part_is_not() -> None:
    once = training_gain([0.1] * 7 + [0.9])
    always = training_gain([0.1] * 4 + [0.9] * 4)
    assert once is not None
    assert not once.is_more_than_noise
    assert always is not None
    assert always.rises
    fallen = training_gain([0.9] * 4 + [0.1] * 4)
    assert fallen is not None
    assert fallen.is_more_than_noise
    assert not fallen.rises


@pytest.mark.parametrize(("steps", "runs"), [(8, 300), (40, 300), (90, 100)])
def test_a_policy_that_does_not_change_is_seldom_said_to(steps: int, runs: int) -> None:
    """Problems are easy or hard, few a step, and a step's answers are few: the reward scatters much."""
    random = np.random.default_rng(5)
    wrong = 0
    for _ in range(runs):
        difficulty = random.beta(0.35, 0.65, (steps, 4))
        gain = training_gain((random.binomial(4, difficulty).mean(axis=1) / 4).tolist())
        wrong += gain is not None and gain.is_more_than_noise
    assert wrong / runs < 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_looks_are_compared_over_the_problems_that_both_have() -> None:
    first = Look(0, {**{f"p{i}": (8, 0) for i in range(12)}, "gone": (8, 8)})
    last = Look(50, {**{f"p{i}": (8, 4 + i % 2) for i in range(12)}, "new": (8, 0)})
    change = looks_band([first, Look(25, {}), last])
    assert change is not None
    assert (change.k, change.problems) == ((1, 4), 12)
    assert change.mean[0] == pytest.approx(0.5625)
    assert decide(change) == ("better", "better")
    assert looks_band([first]) is None
    assert looks_band([first, Look(9, {"other": (8, 1)})]) is None
