"""majority@K against every subset, drawn one by one."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import combinations, product
from math import comb, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.report import majority, majority_at_k


def by_enumeration(votes: list[int], scores: list[float], k: int, blank: int) -> float:
    pool = [i for i, count in enumerate(votes) for _ in range(count)] + [None] * blank
    total, subsets = Fraction(0), 0
    for drawn in combinations(range(len(pool)), k):
        subsets += 1
        ballots = Counter(pool[i] for i in drawn if pool[i] is not None)
        if ballots:
            most = max(ballots.values())
            winners = [Fraction(scores[a]) for a, count in ballots.items() if count == most]
            total += sum(winners) / len(winners)
    return float(total / subsets)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 1.0, 0.5])), min_size=1, max_size=5), st.integers(0, 2)
)
def test_exact_against_every_subset(answers: list[tuple[int, float]], blank: int) -> None:
    while sum(v for v, _ in answers) + blank > 12:
        answers = answers[:-1]
    votes, scores = [v for v, _ in answers], [s for _, s in answers]
    ks = list(range(1, sum(votes) + blank + 1))
    expected = [by_enumeration(votes, scores, k, blank) for k in ks]
    np.testing.assert_allclose(majority_at_k(votes, scores, ks, blank), expected, rtol=1e-12, atol=1e-13)


def test_long_kernels_agree_with_enumeration() -> None:
    """A group of more than 8 takes the other branch of the convolution."""
    votes, scores = [10, 6, 2], [0.0, 1.0, 1.0]
    ks = [3, 8, 15, 17]
    expected = [by_enumeration(votes, scores, k, 0) for k in ks]
    np.testing.assert_allclose(majority_at_k(votes, scores, ks), expected, rtol=1e-12)


def test_middling_groups_against_every_count() -> None:
    """Three answers and blanks: every way to draw k = a + b + c + d, counted in whole numbers."""
    sizes, scores, k = (60, 50, 30, 12), (Fraction(1), Fraction(0), Fraction(1)), 40
    total = Fraction(0)
    for counts in product(*(range(min(size, k) + 1) for size in sizes[:3])):
        if (blank := k - sum(counts)) < 0:
            continue
        most = max(counts)
        winners = [score for score, count in zip(scores, counts, strict=True) if count == most > 0]
        ways = prod(comb(size, count) for size, count in zip(sizes, (*counts, blank), strict=True))
        total += ways * sum(winners) / max(1, len(winners))
    expected = float(total / comb(sum(sizes), k))
    assert majority_at_k(sizes[:3], [1.0, 0.0, 1.0], [k], blank=12)[0] == pytest.approx(expected, rel=1e-12)


def test_large_groups_agree_with_simulation() -> None:
    votes, scores, blank = [90, 80, 30, *[1] * 36], [0.0, 1.0, 1.0, *[0.0] * 36], 20
    rng = np.random.default_rng(0)
    for k in (16, 64):
        drawn = rng.multivariate_hypergeometric([*votes, blank], k, size=20_000)[:, :-1]
        winners = drawn == drawn.max(axis=1, keepdims=True)
        simulated = (winners @ np.array(scores)) / winners.sum(axis=1)
        assert majority_at_k(votes, scores, [k], blank)[0] == pytest.approx(simulated.mean(), abs=0.012)


def test_nothing_underflows_at_a_thousand_samples() -> None:
    values = majority_at_k([600, 400], [1.0, 0.0], [1, 2, 512, 1000])
    np.testing.assert_allclose(values[:2], [0.6, 0.6], rtol=1e-12)
    assert values[2] > 1 - 1e-9
    assert values[3] == 1.0


def test_symmetric_answers_share() -> None:
    np.testing.assert_allclose(majority_at_k([128, 128], [1.0, 0.0], [1, 2, 64, 255, 256]), 0.5, rtol=1e-12)


def test_blanks_do_not_vote() -> None:
    np.testing.assert_allclose(majority_at_k([1], [1.0], [1, 2, 4], blank=3), [0.25, 0.5, 1.0], rtol=1e-12)
    assert majority_at_k([], [], [1, 3], blank=3).tolist() == [0.0, 0.0]


def test_k_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="majority@3 of 2"):
        majority_at_k([1], [1.0], [3], blank=1)


def test_both_ways_to_multiply_give_the_same() -> None:
    """Above `_DIRECT` samples the polynomials are multiplied at the roots of unity."""
    rng = np.random.default_rng(3)
    for n, answers in ((60, 5), (96, 12), (200, 20), (64, 60)):
        votes = rng.multinomial(n - 7, rng.dirichlet(np.full(answers, 0.7)))
        scores = rng.integers(0, 2, answers).astype(float)
        ks = [33, n // 2 + 1, n - 1]
        spectrum = majority_at_k(votes.tolist(), scores.tolist(), ks, blank=7)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(majority, "_DIRECT", n)
            direct = majority_at_k(votes.tolist(), scores.tolist(), ks, blank=7)
        np.testing.assert_allclose(spectrum, direct, rtol=1e-11, atol=1e-13)
