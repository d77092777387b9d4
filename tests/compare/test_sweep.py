"""Equal-effort tuning: the best of each grid by its score, written as a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compare_fakes import COMMON, SIZES, FakeMachine, board, run_all

from simko.compare.plan import checked_plan
from simko.compare.study import Study, grid_hash, joined, read_study
from simko.compare.sweep import best, sweep_table, write_tuned
from simko.errors import UserError

SWEEP = Study(
    COMMON,
    {"grpo": {"algorithm": "grpo"}, "simko": {"algorithm": "simko", "top1_penalty": 1.2}},
    {"grpo": {"learning_rate": [1e-4, 5e-4, 1e-3]}, "simko": {"alpha": [0.2, 0.5, 0.8]}},
    (100, 101),
    SIZES,
)
QUALITY = {"grpo-1": 0.1, "grpo-2": 0.3, "grpo-3": 0.2, "simko-1": 0.4, "simko-2": 0.4, "simko-3": 0.3}


def better(result: dict[str, Any]) -> float:
    return QUALITY[Path(result["path"]).parent.name]


def test_the_best_setting_of_each_arm_becomes_a_study(tmp_path: Path) -> None:
    of = board(tmp_path / "c", SWEEP)
    outcome, machine, _ = run_all(of, FakeMachine(better=better))
    assert not outcome.missing
    assert len(machine.commands) == 2 * 6 * 2  # a training and an evaluation; no base model, no final problem
    assert {entry.cell.part for entry in of.entries() if hasattr(entry.cell, "part")} == {"tuning"}
    assert best(of) == {"grpo": "grpo-2", "simko": "simko-1"}  # of equal ones the first
    path = write_tuned(of)
    assert path is not None
    tuned = read_study(str(path))
    assert tuned.arms == {
        "grpo": {"algorithm": "grpo", "learning_rate": 5e-4},
        "simko": {"algorithm": "simko", "top1_penalty": 1.2, "alpha": 0.2},
    }
    assert tuned.common == COMMON
    assert tuned.tuned == {"sweep": "c", "grid_sha256": grid_hash(of.plan.study)}
    assert checked_plan(tuned).study.tuned == tuned.tuned
    assert str(tmp_path) not in path.read_text()
    assert "--config tuned.yaml --seeds 102,103,104,105,106 --out" in path.read_text()  # not those of the sweep
    lines = sweep_table(of).splitlines()
    assert lines[0].split() == ["candidate", "seed", "100", "seed", "101", "score", "setting"]
    assert [line.split()[0] for line in lines if "<- best" in line] == ["grpo-2", "simko-1"]
    assert "30.0" in lines[2]
    assert "learning_rate 0.0005" in lines[2]


def test_without_all_candidates_nothing_is_chosen(tmp_path: Path) -> None:
    of = board(tmp_path / "c", SWEEP)
    outcome, *_ = run_all(of, FakeMachine(better=better, broken={"simko-3/seed-101.train": 1}))
    assert len(outcome.missing) == 1
    assert best(of) == {"grpo": "grpo-2"}
    assert write_tuned(of) is None
    assert sweep_table(of).splitlines()[-1].split()[:4] == ["simko-3", "30.0", "-", "-"]


def test_a_grid_that_was_written_down_stays(tmp_path: Path) -> None:
    before = checked_plan(SWEEP)
    for grid in ([1e-4, 5e-4, 2e-3], [5e-4, 1e-4, 1e-3]):
        with pytest.raises(UserError, match="learning_rate was"):
            checked_plan(joined(SWEEP, Study(grids={"grpo": {"learning_rate": grid}})), before)
    one = {"grpo": {"learning_rate": [1e-4]}, "simko": {"alpha": [0.2]}}
    with pytest.raises(UserError, match=r"arm grpo-2 is in the folder's plan\.yaml, and the new grid lacks it"):
        checked_plan(joined(SWEEP, Study(grids=one)), before)
