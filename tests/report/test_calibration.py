"""A small run of the study of false alarms: bands hold what they promise, and what they replaced does not."""

from __future__ import annotations

import numpy as np
import pytest

from studies.calibration import World, ends, false_alarms, nested, ours, plain, separate


@pytest.mark.parametrize(
    ("kind", "seeds"), [("the same policy", 1), ("other seeds, turning", 3), ("other problems", 5)]
)
def test_nothing_is_called_a_difference_rarely(kind: str, seeds: int) -> None:
    """5 % of 200 comparisons are 10; 20 and more have a chance of 0.3 %."""
    assert false_alarms(World(kind, seeds, 96), ours, 200) < 0.1


def test_what_the_band_replaces_calls_nothing_a_difference_often() -> None:
    world = World("other seeds", 3, 96)
    assert false_alarms(world, separate, 100) > 0.4
    assert false_alarms(world, nested, 100) > 0.3
    assert false_alarms(world, plain, 100) > 0.07
    assert false_alarms(World("the same policy", 1, 96), separate, 200) > 0.1


def test_five_seeds_see_ten_points() -> None:
    low, high = ends(World("other seeds", 5, 96, gain=0.92), ours, 60)
    assert np.mean(low[:, 0] > 0) > 0.6
    assert not np.any(high[:, 0] < 0)


def test_a_world_is_the_same_again() -> None:
    world = World("other seeds", 2, 8)
    np.testing.assert_array_equal(world.differences(3, 1), world.differences(3, 1))
    assert not np.array_equal(world.differences(3, 1), world.differences(3, 2))
