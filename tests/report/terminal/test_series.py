"""Bounded histories and bars."""

from __future__ import annotations

import pytest

from simko.report.terminal.numbers import number, percent, short
from simko.report.terminal.series import BARS, Series, bars


def test_a_long_series_keeps_its_shape_in_a_bounded_space() -> None:
    series = Series(most=64)
    for step in range(100_000):
        series.add(step / 100_000)
    assert len(series._sums) <= 64
    assert (series.first, series.last, series.low, series.high) == (0.0, 0.99999, 0.0, 0.99999)
    means = series.means(10)
    assert means == pytest.approx([0.05 + 0.1 * i for i in range(10)], abs=0.03)


def test_the_means_are_of_the_values() -> None:
    series = Series(most=4)
    for value in (1.0, 3.0, None, 5.0, 10.0, None, None, None, 7.0):
        series.add(value)
    # after eight values there are four stretches of two; the ninth merges them to stretches of four
    assert series.means(9) == [3.0, 10.0, 7.0]
    assert series.means(1) == [pytest.approx((1 + 3 + 5 + 10 + 7) / 5)]
    assert Series().means(5) == []


def test_bars() -> None:
    assert bars([0.0, None, 1.0]) == "▁ █"
    assert bars([0.25, 0.75], low=0.0, high=1.0) == f"{BARS[2]}{BARS[5]}"
    assert bars([2.0, 2.0, 2.0]) == "▁▁▁"
    assert bars([None, None]) == "  "
    assert bars([5.0], low=0.0, high=1.0) == "█"


def test_numbers_as_a_person_reads_them() -> None:
    assert [short(x) for x in (None, 0.4312, 12.54, -0.00021, 1234567.0, 0.0, 9.876)] == [
        "-", "0.431", "12.5", "-2.1e-04", "1.2e+06", "0", "9.88",
    ]  # fmt: skip
    assert (percent(0.4531), percent(None)) == ("45.3 %", "-")
    assert [number(x) for x in (True, "1", 2, 10**400, float("inf"))] == [None, None, 2.0, None, None]
