"""Exponents of growth: the fit, the work, and the words."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import growth
from benchmarks.growing import STAGES, sweep

AXES: dict[str, dict[str, Any]] = {"length": {"points": [64, 256, 512, 1024], "fixed": {"group": 2, "prompts": 2}}}


def row(power: float, metric: str = "cpu_s", fixed: float = 0.0) -> dict[str, float]:
    return {f"a|length|{n}|{metric}": fixed + 100 * n**power for n in AXES["length"]["points"]}


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_its_power(power: float) -> None:
    (found,) = growth.growths("grading", AXES, row(power), "cpu_s")
    assert found.exponent == pytest.approx(power)
    assert found.work == pytest.approx(1.0)
    assert found.verdict == ("FASTER than the work" if power == 2 else "no faster than the work")


def test_a_fixed_cost_at_the_smallest_size_does_not_hide_a_square() -> None:
    costs = row(2.0) | {"a|length|64|cpu_s": 1e8}
    (found,) = growth.growths("grading", AXES, costs, "cpu_s")
    assert found.exponent == pytest.approx(2.0)


def test_attention_is_part_of_the_work_of_training_in_time_and_not_in_memory() -> None:
    (time,) = growth.growths("training", AXES, row(1.3), "cpu_s")
    (memory,) = growth.growths("training", AXES, row(1.3, "peak_mib"), "peak_mib")
    assert 1.2 < time.work < 2.0
    assert "no faster" in time.verdict
    assert "FASTER" in memory.verdict
    (flat,) = growth.growths("training", AXES, row(0.0, "peak_mib"), "peak_mib")
    assert (flat.exponent, flat.verdict) == (None, "flat")


def test_the_table_has_a_line_for_each_curve() -> None:
    curves = [("cpu_s", found) for found in growth.growths("grading", AXES, row(2.0), "cpu_s")]
    assert "| a | length | 64-1024 | CPU s |" in growth.shown(curves).splitlines()[2]
    assert growth.shown(curves).endswith("| 2.00 | 1.00 | FASTER than the work |")


def test_every_stage_has_axes_of_its_own_sizes() -> None:
    assert growth.AXES.keys() == STAGES.keys()
    for axes in growth.AXES.values():
        assert all(len(plan["points"]) >= 4 and axis not in plan["fixed"] for axis, plan in axes.items())


def test_a_stage_is_measured_at_each_point() -> None:
    axes = {"problems": {"points": [2, 4], "fixed": {"samples": 8}}}
    columns = sweep("statistics", axes)()
    assert set(columns) == {f"pass@K with bands|problems|{n}|{m}" for n in (2, 4) for m in ("cpu_s", "peak_mib")}
    assert all(value >= 0 for value in columns.values())
