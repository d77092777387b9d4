"""How long the rest will take: medians of what was measured, and honest silence before."""

from __future__ import annotations

from pathlib import Path

import pytest
from compare_fakes import board, finish, run_all, study, trained

from simko.compare.board import Board
from simko.compare.costs import UNKNOWN, Costs, cost_of, left, measured, summary


def fresh(tmp_path: Path) -> Board:
    return board(tmp_path / "c", study("grpo", "nsr", seeds=(0, 1)))


def half(of: Board, arm: str, steps: int) -> None:
    finish(trained(of.folder / "runs" / arm / "seed-0", {**of.plan.study.common, "algorithm": arm}), steps, "running")


def test_nothing_is_known_before_something_has_run(tmp_path: Path) -> None:
    of = fresh(tmp_path)
    entries = of.entries()
    assert left(of, entries, measured(of, entries), 1) is None
    assert summary(of, entries, Costs(), 1) == f"trainings 0/4, evaluations 0/6, left {UNKNOWN}"


def test_the_rest_is_what_its_steps_and_samples_cost(tmp_path: Path) -> None:
    of = fresh(tmp_path)
    half(of, "grpo", 2)
    entries = of.entries()
    costs = measured(of, entries)
    assert costs.step == {"grpo": 3.0}
    assert costs.rollout == 0.5  # 2 s for 2 x 2 answers
    trainings = 3.0 * (2 + 3 * 4)  # two steps of grpo are left, and three whole runs
    evaluations = 6 * 0.5 * 3 * 8
    assert left(of, entries, costs, 1) == pytest.approx(trainings + evaluations)
    assert left(of, entries, costs, 2) == pytest.approx((trainings + evaluations) / 2)
    assert summary(of, entries, costs, 1) == "trainings 0/4, evaluations 0/6, left about 1 min 54 s"
    assert left(of, entries, costs, 1, [entry.cell for entry in entries]) == 0


def test_an_arms_own_steps_count_before_those_of_others(tmp_path: Path) -> None:
    of = fresh(tmp_path)
    costs = Costs({"grpo": 2.0, "psr": 6.0}, sample=0.1, rollout=9.0, start=5.0)
    by_arm = {entry.cell.name: cost_of(of, entry.cell, costs) for entry in of.entries()}
    assert by_arm["grpo, seed 0: training"] == pytest.approx(5 + 4 * 2)
    assert by_arm["nsr, seed 1: training"] == pytest.approx(5 + 4 * 4)
    assert by_arm["base, seed 0: final problems at T 1"] == pytest.approx(5 + 3 * 8 * 0.1)


def test_evaluations_tell_what_a_sample_costs(tmp_path: Path) -> None:
    of = fresh(tmp_path)
    run_all(of)
    entries = of.entries()
    assert measured(of, entries).sample == pytest.approx(6.0 / 24)
    assert summary(of, entries, measured(of, entries), 1) == "trainings 4/4, evaluations 6/6"


def test_a_damaged_record_costs_nothing(tmp_path: Path) -> None:
    of = fresh(tmp_path)
    half(of, "grpo", 2)
    (of.folder / "runs/grpo/seed-0/metrics.jsonl").write_text("rubbish\n")
    assert measured(of, of.entries()) == Costs()
