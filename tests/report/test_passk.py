"""pass@K against exact fractions, intervals against what they promise, crossings by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.report import Curve, bootstrap, crossover, k_grid, mean_curve, pass_at_k, pass_matrix
from simko.report.passk import format_k


def exact(n: int, c: int, k: int) -> Fraction:
    return 1 - Fraction(math.comb(n - c, k), math.comb(n, k))


def test_every_small_case_is_exact() -> None:
    for n in range(1, 14):
        for c in range(n + 1):
            for k in range(1, n + 1):
                assert pass_at_k(n, c, k) == pytest.approx(float(exact(n, c, k)), rel=1e-13)


@given(st.data())
def test_large_cases_keep_their_relative_precision(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 5000))
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert pass_at_k(n, c, k) == pytest.approx(float(exact(n, c, k)), rel=1e-11, abs=0)


def test_ends() -> None:
    assert pass_at_k(256, 0, 256) == 0.0
    assert pass_at_k(256, 1, 256) == 1.0
    assert pass_at_k(256, 64, 1) == pytest.approx(0.25, rel=1e-14)
    assert pass_at_k(1, 1, 1) == 1.0


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5), (0, 0, 1)])
def test_what_cannot_be_is_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="need 0 <= c <= n"):
        pass_at_k(n, c, k)


def test_the_estimator_is_unbiased() -> None:
    """Its mean over every outcome of n draws at success rate p is 1 - (1 - p)^k."""
    n, k, p = 12, 5, Fraction(3, 10)
    mean = sum(math.comb(n, c) * p**c * (1 - p) ** (n - c) * Fraction(pass_at_k(n, c, k)) for c in range(n + 1))
    assert float(mean) == pytest.approx(float(1 - (1 - p) ** k), rel=1e-12)


def test_k_grid() -> None:
    assert k_grid(1) == (1,)
    assert k_grid(8) == (1, 2, 4, 8)
    assert k_grid(300) == (1, 2, 4, 8, 16, 32, 64, 128, 256, 300)
    with pytest.raises(ValueError, match="0 samples"):
        k_grid(0)


def test_each_problem_uses_its_own_number_of_samples() -> None:
    values = pass_matrix([10, 4], [5, 1], [1, 4])
    expected = [[0.5, float(exact(10, 5, 4))], [0.25, 1.0]]
    np.testing.assert_allclose(values, expected, rtol=1e-13)
    with pytest.raises(ValueError, match="pass@8"):
        pass_matrix([10, 4], [5, 1], [8])


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Over 200 worlds of 60 problems, the 95 % interval holds the true mean 0.3 in 90 to 99 % of them."""
    rng = np.random.default_rng(1)
    worlds = (rng.random((200, 60)) < 0.3).astype(float)
    hits = 0
    for i, world in enumerate(worlds):
        low, high = bootstrap(world[:, None], seed=i, resamples=500)
        hits += bool(low[0] <= 0.3 <= high[0])
    assert 180 <= hits <= 198


def test_intervals_are_seeded_hold_the_mean_and_narrow_with_problems() -> None:
    few, many = np.random.default_rng(0).random((20, 3)), np.random.default_rng(0).random((2000, 3))
    curve, again, other = (mean_curve("x", (1, 2, 4), few, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(curve.low, again.low)
    assert not np.array_equal(curve.low, other.low)
    assert np.all(curve.low < curve.mean)
    assert np.all(curve.mean < curve.high)
    wide, narrow = curve.high - curve.low, np.subtract(*reversed(bootstrap(many)))
    np.testing.assert_allclose(wide / narrow, 10, rtol=0.25)  # sqrt(2000 / 20)


def test_intervals_have_the_width_of_95_percent() -> None:
    values = np.random.default_rng(0).normal(size=(1000, 4))
    low, high = bootstrap(values)
    np.testing.assert_allclose((high - low) / values.std(axis=0), 2 * 1.96 / math.sqrt(1000), rtol=0.06)


def test_the_paired_interval_of_a_constant_difference_is_a_point() -> None:
    a = np.random.default_rng(0).random((50, 2))
    curve = mean_curve("difference", (1, 2), (a + 0.125) - a)
    np.testing.assert_allclose([curve.low, curve.mean, curve.high], 0.125, atol=1e-12)


def test_equal_values_give_exact_ends() -> None:
    curve = mean_curve("all solved", (1, 2), np.ones((7, 2)))
    assert curve.low.tolist() == curve.mean.tolist() == curve.high.tolist() == [1.0, 1.0]


def test_no_problem_no_interval() -> None:
    with pytest.raises(ValueError, match="no problem"):
        bootstrap(np.zeros((0, 3)))


def line(*means: float, k: tuple[int, ...] = (1, 2, 4, 8)) -> Curve:
    mean = np.array(means)
    return Curve("x", k[: len(means)], mean, mean, mean)


def test_crossover_is_interpolated_over_log_k() -> None:
    # behind by 0.3 at 2, ahead by 0.1 at 4: the lines cross at three quarters of the way in log K
    assert crossover(line(0.4, 0.5, 0.6), line(0.1, 0.2, 0.7)) == pytest.approx(2 * 2**0.75)


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ((-1, -1, -1, -1), None),  # the base never gets there
        ((0, 0, 0, 0), None),  # nor past it
        ((-1, 1, -1, -1), None),  # ahead for a moment is not overtaking
        ((-1, 1, -1, 1), math.sqrt(32)),  # the last time counts
        ((1, 1, 1, 1), 1.0),  # never behind
        ((0, 0, 1, 1), 2.0),  # from where it was level
        ((-1, 0, 0, 1), 4.0),
        ((-1, 1, 0, 0), math.sqrt(2)),  # both reach 100 % later: still overtaken
    ],
)
def test_crossover_cases(gaps: tuple[float, ...], expected: float | None) -> None:
    k = crossover(line(0, 0, 0, 0), line(*gaps))
    assert k == (None if expected is None else pytest.approx(expected))


def test_crossover_needs_equal_ks() -> None:
    with pytest.raises(ValueError, match="different K's"):
        crossover(line(0.1, 0.2), line(0.1, 0.2, 0.3))


def test_format_k() -> None:
    assert [format_k(k) for k in (2.714, 9.96, 45.2, 128.0)] == ["2.7", "10.0", "45", "128"]
