"""Student's t against printed tables, and tails against their own quantiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.report.student import normal_quantile, normal_tail, student_quantile, student_tail


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (0.05, [12.7062, 4.3027, 2.7764, 2.2622, 1.9842, 1.95996]),
        (0.01, [63.6567, 9.9248, 4.6041, 3.2498, 2.6259, 2.57583]),
        (0.001, [636.619, 31.5991, 8.6103, 4.7809, 3.3905, 3.29053]),
    ],
)
def test_quantiles_of_the_printed_tables(tail: float, expected: list[float]) -> None:
    freedom = np.array([1, 2, 4, 9, 100, np.inf])
    np.testing.assert_allclose(student_quantile(tail, freedom), expected, rtol=2e-4)


@given(st.floats(1e-4, 0.9), st.floats(1, 3e5))
def test_the_tail_beyond_a_quantile_is_what_was_asked(tail: float, freedom: float) -> None:
    t = student_quantile(tail, np.array([freedom]))
    np.testing.assert_allclose(student_tail(t, np.array([freedom])), tail, rtol=1e-3)


def test_fractions_of_a_degree_lie_between() -> None:
    low, between, high = student_quantile(0.05, np.array([3.0, 2.5, 2.0]))
    assert low < between < high


def test_the_normal() -> None:
    assert normal_tail(1.959964) == pytest.approx(0.05, rel=1e-5)
    assert normal_quantile(0.05) == pytest.approx(1.959964, rel=1e-6)
    assert normal_quantile(1.0) == 0.0
    assert student_tail(np.array([2.0]), np.array([1e6]))[0] == pytest.approx(normal_tail(2.0), rel=1e-9)
