"""When the held-out score and the reward part, and how often the rule says so by chance."""

from __future__ import annotations

import numpy as np
import pytest

from simko.report.parting import look_score, partings
from simko.run.records import Look

SAMPLES = 32


def a_look(step: int, correct: list[int], samples: int = SAMPLES) -> Look:
    return Look(step, {f"task {i}": (samples, c) for i, c in enumerate(correct)})


HALF, LOW = [16, 14, 18, 15, 17, 16, 12, 20], [9, 8, 10, 10, 8, 9, 7, 11]
RISING = {step: step / 50 for step in range(1, 21)}


def test_the_score_of_a_look() -> None:
    look = Look(0, {"a": (4, 2), "b": (4, 0), "verifier failed": (0, 0), "twice": (2, 1)})
    assert look_score(look, 1) == pytest.approx((0.5 + 0 + 0.5) / 3)
    assert look_score(look, 4) == pytest.approx(0.5)
    assert look_score(look, 8) is None


def test_a_fall_of_pass_at_1_counts_while_the_reward_rises() -> None:
    looks = [a_look(0, LOW), a_look(10, HALF), a_look(20, LOW)]
    (line,) = partings(looks, RISING, 1)
    assert "pass@1 fell from 50.0 % (step 10) to 28.1 %" in line
    assert "rose from 11% to 31%" in line
    assert partings(looks, dict.fromkeys(RISING, 0.3), 1) == []
    assert partings([a_look(0, HALF), a_look(10, LOW)], {step: rate for step, rate in RISING.items() if step <= 10}, 1)
    assert partings(looks[:2], RISING, 1) == []
    assert partings(looks[:1], RISING, 1) == []


def test_a_fall_within_its_noise_does_not_count() -> None:
    looks = [a_look(0, HALF), a_look(10, [c - d for c, d in zip(HALF, (9, -7, 3, -5, 8, 0, -4, 6), strict=True)])]
    assert partings(looks, RISING, 16) == []


def test_a_fall_of_pass_at_k_counts_whatever_the_reward_does() -> None:
    first, now = a_look(0, [4, 3, 5, 4, 2, 3, 4, 3]), a_look(20, [0, 0, 1, 0, 0, 0, 32, 0])
    (line,) = partings([first, a_look(10, HALF), now], dict.fromkeys(RISING, 0.3), 16)
    assert "pass@16 fell from" in line
    assert "--algorithm simko_pass_at_k" in line


def test_problems_that_only_one_look_has_are_not_compared() -> None:
    first = Look(0, {f"other {i}": (SAMPLES, c) for i, c in enumerate(HALF)})
    assert partings([first, a_look(20, LOW)], RISING, 16) == []


@pytest.mark.parametrize(("problems", "samples"), [(16, 32), (8, 8)])
def test_a_policy_that_does_not_change_is_seldom_warned_of(problems: int, samples: int) -> None:
    rng, false, runs = np.random.default_rng(0), 0, 200
    for _ in range(runs):
        chance = rng.beta(0.5, 1.0, problems)
        looks = [a_look(10 * i, rng.binomial(samples, chance).tolist(), samples) for i in range(20)]
        rates = {step: step / 200 for step in range(1, 191)}  # rising all the time: the worst case for the first rule
        false += any(partings(looks[: i + 1], rates, samples // 2) for i in range(1, 20))
    assert false <= 0.05 * runs
