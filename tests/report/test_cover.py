"""Cover, pass^K and the guess floor against brute force and against pass@K."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.report import cover_at, cover_curve, pass_all_k, pass_at_k
from simko.report.cover import cover_values, guess_floor, pass_all_matrix, tokens_at

PAIRS = st.lists(
    st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=12
)


def test_pass_all_k_counts_subsets() -> None:
    for n, c in [(5, 0), (5, 3), (6, 6), (4, 1)]:
        samples = [i < c for i in range(n)]
        for k in range(1, n + 1):
            subsets = list(itertools.combinations(samples, k))
            assert pass_all_k(n, c, k) == pytest.approx(sum(map(all, subsets)) / len(subsets), rel=1e-13)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_all_k_is_exact_and_mirrors_pass_at_k(case: tuple[int, int, int]) -> None:
    n, c, k = case
    exact = Fraction(math.comb(c, k), math.comb(n, k))
    if exact == 0 or float(exact) > 1e-300:
        assert pass_all_k(n, c, k) == pytest.approx(float(exact), rel=1e-10, abs=0)
    assert 1 - pass_all_k(n, n - c, k) == pytest.approx(pass_at_k(n, c, k), abs=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)])
def test_what_cannot_be_is_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="need 0 <= c <= n"):
        pass_all_k(n, c, k)


def test_a_matrix_row_is_a_problem() -> None:
    np.testing.assert_allclose(pass_all_matrix([4, 8], [2, 8], [1, 2]), [[0.5, 1 / 6], [1, 1]])


@given(PAIRS, st.sampled_from([0.1, 0.25, 0.5, 0.9, 1.0]))
def test_cover_counts_problems(pairs: list[tuple[int, int]], tau: float) -> None:
    exact = Fraction(str(tau))
    expected = sum(Fraction(c, n) >= exact for n, c in pairs) / len(pairs)
    assert cover_at(pairs, [tau]) == {tau: pytest.approx(expected)}
    by_id = {str(i): pair for i, pair in enumerate(pairs)}
    assert cover_at(by_id, [tau]) == cover_at(pairs, [tau])


def test_a_rate_of_exactly_tau_is_covered() -> None:
    assert cover_values([(30, 3), (30, 2)], [0.1]).tolist() == [[1.0], [0.0]]  # 0.1 * 30 is above 3 in binary


@given(PAIRS, st.integers(1, 30))
def test_pass_at_k_is_the_cover_curve_under_beta_1_k(pairs: list[tuple[int, int]], k: int) -> None:
    """The integral of cover(tau) times K (1 - tau)^(K-1), exactly: the curve is constant between its steps."""
    rates, shares = cover_curve(pairs)
    edges = np.concatenate([[0.0], rates])
    total = sum(
        share * ((1 - left) ** k - (1 - right) ** k)
        for left, right, share in zip(edges[:-1], edges[1:], shares, strict=True)
    )
    with_replacement = np.mean([1 - (1 - c / n) ** k for n, c in pairs])
    assert total == pytest.approx(with_replacement, abs=1e-12)


@given(PAIRS)
def test_the_curve_agrees_with_cover_at(pairs: list[tuple[int, int]]) -> None:
    rates, shares = cover_curve(pairs)
    assert np.all(np.diff(rates) > 0)
    assert shares[0] == 1.0
    for rate, share in zip(rates, shares, strict=True):
        assert share == pytest.approx(sum(c / n >= rate for n, c in pairs) / len(pairs))


def test_no_problem_has_no_cover() -> None:
    for pairs in ([], [(0, 0)]):
        with pytest.raises(ValueError, match="needs problems"):
            cover_at(pairs)


def test_a_guesser_among_the_seen_answers() -> None:
    answers = [{"A": [5, 5], "B": [90, 0]}, {"x": [1, 0]}, {}]
    np.testing.assert_allclose(guess_floor(answers, [1, 3]), [[0.5, 0.875], [0, 0], [0, 0]])


def test_tokens_grow_with_k() -> None:
    assert tokens_at([1, 8], 12.5) == (12.5, 100.0)
