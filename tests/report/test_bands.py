"""Bands against the published package, against brute force, and against what they promise."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from simko.report import Band, FirstLoss, band, decide, first_loss, holm, k_grid, pass_matrix, words
from simko.report.bands import SHARE, loss_words

BASE = [0, 1, 3, 7, 12, 20, 33, 41, 58, 64, 0, 2, 9, 15, 27, 30, 50, 60, 5, 44]
ARM = [0, 0, 6, 12, 20, 31, 44, 50, 61, 64, 0, 0, 12, 25, 37, 41, 58, 63, 2, 52]
GRID = k_grid(64)
# passk-inference 0.3.1: compare(BASE, 64, ARM, 64, ks=GRID, bootstrap=200000, seed=0)
ORACLE = {
    "lower": [0.03539, 0.01972, -0.01132, -0.05485, -0.11073, -0.17718, -0.26524],
    "upper": [0.11617, 0.11664, 0.09907, 0.07342, 0.04983, 0.04115, 0.06524],
}


def difference(base: list[int], arm: list[int], ks: tuple[int, ...] = GRID, n: int = 64) -> np.ndarray:
    return pass_matrix([n] * len(arm), arm, ks) - pass_matrix([n] * len(base), base, ks)


def flat(mean: list[float], half: list[float], **more: Any) -> Band:
    centre, reach = np.array(mean), np.array(half)
    return Band("x", tuple(1 << i for i in range(len(mean))), centre, centre - reach, centre + reach, **more)


def test_one_seed_agrees_with_the_figures_of_the_published_package() -> None:
    """Its multipliers have variance `(P - 1) / P`, so its half width is that much smaller than ours."""
    ours = band("x", GRID, difference(BASE, ARM), draws=200_000, last_is_n=True)
    theirs = (np.array(ORACLE["upper"]) - ORACLE["lower"]) / 2
    ratio = (ours.high - ours.low)[:4] / 2 / theirs[:4]
    np.testing.assert_allclose(ratio, (20 / 19) ** 0.5, rtol=0.005)
    np.testing.assert_allclose(ours.mean, (np.array(ORACLE["upper"]) + ORACLE["lower"]) / 2, atol=1e-5)
    # from K = 16 on fewer than five of the twenty problems carry the column: ours is wider there
    assert np.all(ours.low[4:] < ORACLE["lower"][4:])
    assert np.all(ours.high[4:] > ORACLE["upper"][4:])
    assert decide(ours)[:4] == ("better", "better", "not decided", "not decided")


@pytest.mark.parametrize("seed", range(4))
def test_one_seed_agrees_with_the_published_package(seed: int) -> None:
    oracle = pytest.importorskip("passk_inference", exc_type=ImportError)
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.35, 0.65, 96)
    base, arm = rng.binomial(256, rates), rng.binomial(256, np.clip(rates * 1.1, 0, 1))
    ks = (1, 2, 4, 8, 16, 32)
    theirs = oracle.compare(base, [256] * 96, arm, [256] * 96, ks=ks, bootstrap=20_000)
    ours = band("x", ks, difference(base.tolist(), arm.tolist(), ks, 256), draws=20_000)
    reach = np.array(theirs["upper"]) - np.array(theirs["lower"])
    np.testing.assert_allclose(ours.high - ours.low, reach, rtol=0.03)
    np.testing.assert_allclose(ours.mean, theirs["mean"], atol=1e-12)


CUBES = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 5)),
    elements=st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]),
)  # fmt: skip


@settings(deadline=None)
@given(CUBES)
def test_a_band_holds_its_mean_and_is_never_a_point(cube: np.ndarray) -> None:
    result = band("x", range(1, cube.shape[2] + 1), cube, draws=200)
    np.testing.assert_allclose(result.mean, cube.mean(axis=(0, 1)), atol=1e-12)
    assert np.all((result.low <= result.mean + 1e-12) & (result.mean <= result.high + 1e-12))
    assert np.all(result.high - result.low > 0.1)  # at most nine problems
    assert np.all((result.low >= -1) & (result.high <= 1))
    assert (result.seeds, result.problems) == cube.shape[:2]
    assert 0 < result.p_value <= 1


@settings(deadline=None)
@given(CUBES, st.randoms())
def test_the_order_of_problems_and_seeds_does_not_matter(cube: np.ndarray, random: Any) -> None:
    seeds, problems = list(range(cube.shape[0])), list(range(cube.shape[1]))
    random.shuffle(seeds)
    random.shuffle(problems)
    first, second = (band("x", range(cube.shape[2]), c, draws=200) for c in (cube, cube[seeds][:, problems]))
    for a, b in zip((first.low, first.high, first.p_value), (second.low, second.high, second.p_value), strict=True):
        np.testing.assert_allclose(a, b, atol=0.006)  # a draw that ties a quantile may fall on its other side


@settings(deadline=None)
@given(CUBES)
def test_a_swap_of_the_arms_turns_the_band_over(cube: np.ndarray) -> None:
    there, back = (band("x", range(cube.shape[2]), sign * cube, draws=200) for sign in (1, -1))
    np.testing.assert_allclose(there.low, -back.high, atol=1e-12)
    turned = {"better": "worse", "worse": "better", "not decided": "not decided"}
    assert decide(back) == tuple(turned[verdict] for verdict in decide(there))


@pytest.mark.parametrize("seeds", [1, 3])
def test_identical_arms_differ_by_zero_with_a_width(seeds: int) -> None:
    result = band("x", (1, 2), np.zeros((seeds, 100, 2)))
    assert result.mean.tolist() == [0, 0]
    assert np.all(result.high == -result.low)
    assert np.all(result.high >= 0.03)  # the rule of three
    assert result.p_value == 1
    assert words(result) == "not decided at any K"


def test_all_and_nothing_solved_have_a_band_to_one_side() -> None:
    for value in (0.0, 1.0):
        result = band("x", (1, 2), np.full((50, 2), value), support=SHARE)
        width = result.high - result.low
        assert np.all((width >= 3 / 50) & (width < 5 / 50))
        assert result.mean.tolist() == [value, value]
        assert (result.low if value == 0 else result.high).tolist() == [value, value]


def test_a_single_odd_problem_does_not_narrow_a_band() -> None:
    """127 problems that are always solved and one that nearly is: the next one may still be unsolvable."""
    rows = np.ones((128, 1))
    rows[0] = 0.9999
    assert band("x", (128,), rows, support=SHARE).low[0] < 1 - 2.9 / 128


def test_what_is_no_cube_of_shares_is_refused() -> None:
    for values in (np.zeros((0, 2)), np.zeros((3, 3)), np.zeros(2)):
        with pytest.raises(ValueError, match="not seeds x problems x 2 K"):
            band("x", (1, 2), values)
    for value in (np.nan, 1.5):
        with pytest.raises(ValueError, match="a value is outside"):
            band("x", (1,), np.full((3, 1), value))
    with pytest.raises(ValueError, match="a value is outside"):
        band("x", (1,), np.full((3, 1), -0.5), support=SHARE)


def test_a_shared_problem_effect_does_not_average_away_over_seeds() -> None:
    """Problems are crossed with seeds: ten seeds that repeat each other know no more of other problems than one."""
    rows = np.random.default_rng(0).normal(0, 0.2, (60, 2)).clip(-1, 1)
    one, ten = band("x", (1, 2), rows), band("x", (1, 2), np.repeat(rows[None], 10, axis=0))
    np.testing.assert_allclose(ten.high - ten.low, one.high - one.low, rtol=0.05)


def test_seeds_that_disagree_widen_the_band() -> None:
    rows = np.random.default_rng(0).normal(0, 0.05, (3, 200, 2))
    apart = rows + np.array([-0.05, 0.0, 0.05])[:, None, None]
    calm, wild = band("x", (1, 2), rows), band("x", (1, 2), apart)
    assert np.all(wild.high - wild.low > 2 * (0.05 / 3**0.5) * 4.0)  # Student at two degrees of freedom: 4.3
    assert np.all(calm.high - calm.low < (wild.high - wild.low) / 3)


def test_p_value_and_band_agree() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        cube = (rng.normal(rng.uniform(-0.1, 0.1), 0.3, (3, 40, 4)) + rng.normal(0, 0.02, (3, 1, 4))).clip(-1, 1)
        p_value = band("x", (1, 2, 4, 8), cube).p_value
        for level in (1 - 1.05 * p_value, 1 - 0.95 * p_value):
            if 0.01 < 1 - level < 0.99:
                decided = set(decide(band("x", (1, 2, 4, 8), cube, level=level))) != {"not decided"}
                assert decided == (1 - level > p_value)


def test_the_last_point_is_never_decided() -> None:
    sure = flat([0.5, 0.5, 0.5], [0.1, 0.1, 0.1], last_is_n=True)
    assert decide(sure) == ("better", "better", "not decided")
    assert words(sure) == "better at every K"
    lost = flat([0.5, 0.5, -0.5], [0.1, 0.1, 0.1], last_is_n=True)
    assert first_loss(lost) == FirstLoss((), True, (1, 2))
    assert decide(flat([0.5], [0.1], last_is_n=True)) == ("better",)  # a single sample is all there is


@pytest.mark.parametrize(
    ("mean", "half", "expected"),
    [
        ([0.3, 0.2, 0.1, 0.0, -0.3], 0.05, "better at K = 1 to 4, worse at K = 16, not decided at the others"),
        ([0.0, 0.0, 0.0], 0.05, "not decided at any K"),
        ([-0.3, -0.3], 0.05, "worse at every K"),
        ([0.0], 0.05, "not decided at K = 1"),
        ([0.3, 0.3, -0.3], 0.05, "better at K = 1 and 2, worse at K = 4"),
        ([0.3, 0.0, 0.3, 0.3, 0.3], 0.05, "better at K = 1 and 4 to 16, not decided at the others"),
    ],
)
def test_words(mean: list[float], half: float, expected: str) -> None:
    assert words(flat(mean, [half] * len(mean))) == expected


@given(
    st.lists(st.tuples(st.sampled_from([-2, -1, 0, 1]), st.integers(0, 3)), min_size=1, max_size=5),
)
def test_first_loss_is_what_some_curve_inside_the_band_has(ends: list[tuple[int, int]]) -> None:
    """Try every curve on half steps inside the band, and note where it first is below zero."""
    low = np.array([end for end, _ in ends], dtype=float)
    high = low + np.array([width for _, width in ends])
    ks = tuple(1 << i for i in range(len(ends)))
    inside = [np.arange(a, b + 0.25, 0.5) for a, b in zip(low, high, strict=True)]
    firsts = {
        next((k for k, value in zip(ks, curve, strict=True) if value < 0), None) for curve in itertools.product(*inside)
    }
    loss = first_loss(Band("x", ks, (low + high) / 2, low, high))
    assert set(loss.possible) == firsts - {None}
    assert loss.none == (None in firsts)


def test_first_loss_in_words() -> None:
    assert loss_words(FirstLoss((8, 16), False, (1, 2, 4, 8, 16, 32))) == "first loss at K = 8 or 16"
    assert loss_words(FirstLoss((), True, (1, 2))) == "no loss up to K = 2"
    assert loss_words(FirstLoss((1, 2, 4), True, (1, 2, 4))) == (
        "the first loss may be at K = 1 to 4, or at none up to K = 4"
    )


def test_holm_by_hand() -> None:
    result = holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.005})
    assert {name: round(method.adjusted, 9) for name, method in result.items()} == {
        "a": 0.06, "b": 0.03, "c": 0.06, "d": 0.02,
    }  # fmt: skip
    assert list(result) == ["a", "b", "c", "d"]
    levels = {name: round(1 - method.level, 6) for name, method in result.items()}
    assert levels == {"d": 0.0125, "b": round(0.05 / 3, 6), "c": 0.025, "a": 0.025}  # c stays, so a is tested like it
    assert holm({"x": 0.5})["x"].adjusted == 0.5
    assert holm({}) == {}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=6))
def test_holm_agrees_with_its_levels(p_values: dict[str, float]) -> None:
    for method in holm(p_values).values():
        assert method.p_value <= method.adjusted <= 1
        if abs(method.adjusted - 0.05) > 1e-9:
            assert (method.adjusted <= 0.05) == (method.p_value <= 1 - method.level)
