"""pass@K against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.report import k_grid, pass_at_k, pass_matrix


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
