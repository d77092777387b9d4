"""The runner with fake cells: order, resume, extension, failures, budget, jobs, and stopping."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from compare_fakes import FakeMachine, board, finish, run_all, study, trained

from simko.compare.board import Board
from simko.compare.cells import Evaluation, Training
from simko.compare.plan import Plan
from simko.compare.runner import Runner
from simko.errors import UserError


def kinds(commands: list[list[str]]) -> list[str]:
    """`train grpo 0` for each command."""
    lines = []
    for words in commands:
        place = next(Path(word) for word in words if "seed-" in word)
        lines.append(f"{words[0]} {place.parent.name} {place.name.split('-')[1].split('.')[0]}")
    return lines


def test_whole_seeds_come_first_and_the_base_model_before_its_arms(tmp_path: Path) -> None:
    outcome, machine, lines = run_all(board(tmp_path / "c", study("grpo", "nsr", seeds=(4, 2))))
    assert kinds(machine.commands) == [
        f"{what} {seed}"
        for seed in (4, 2)
        for what in ("eval base", "train grpo", "eval grpo", "train nsr", "eval nsr")
    ]
    assert (outcome.failed, outcome.missing, outcome.out_of_budget) == ({}, [], False)
    assert lines[0] == "trainings 0/4, evaluations 0/6, left unknown until the first run is done"
    assert lines[-1] == "done   nsr, seed 2: final problems at T 1 in 1 s; trainings 4/4, evaluations 6/6"


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    run_all(board(tmp_path / "c", study("grpo", "nsr")))
    _, machine, lines = run_all(board(tmp_path / "c", study("grpo", "nsr")))
    assert machine.commands == []
    assert lines == ["trainings 2/2, evaluations 3/3"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (study("grpo", "nsr"), ["train nsr 0", "eval nsr 0"]),
        (study("grpo", seeds=(0, 7)), ["eval base 7", "train grpo 7", "eval grpo 7"]),
        (study("grpo", eval_samples=16), ["eval base 0", "eval grpo 0"]),
        (study("grpo", steps=6), ["train grpo 0", "eval grpo 0"]),
    ],
)
def test_an_extension_does_only_what_is_missing(tmp_path: Path, more: object, expected: list[str]) -> None:
    first = board(tmp_path / "c", study("grpo"))
    run_all(first)
    _, machine, _ = run_all(board(tmp_path / "c", more, first.plan))  # type: ignore[arg-type]
    assert kinds(machine.commands) == expected


def test_a_half_done_run_goes_on_and_a_run_of_somebody_else_counts(tmp_path: Path) -> None:
    of = board(tmp_path / "c", study("grpo", "nsr"))
    for arm, steps, status in (("grpo", 4, "finished"), ("nsr", 2, "running")):
        settings = {**study().common, "algorithm": arm, "eval_samples": 9, "logger": "none"}
        finish(trained(of.folder / "runs" / arm / "seed-0", settings), steps, status)
    _, machine, lines = run_all(of)
    assert kinds(machine.commands) == ["eval base 0", "eval grpo 0", "train nsr 0", "eval nsr 0"]
    assert machine.commands[2] == ["train", "--resume", str(of.folder / "runs/nsr/seed-0"), "--steps", "4"]
    assert "begun  nsr, seed 0: training from step 2" in lines


@pytest.mark.parametrize(
    ("settings", "steps", "line"),
    [
        ({"learning_rate": 0.3}, 4, "learning_rate was 0.3, and it is 0.0005 in the comparison; move the run away"),
        ({"seed": 3}, 4, "its seed is 3, and the folder says 0"),
        ({}, 9, "it has 9 steps, and the comparison 4"),
    ],
)
def test_a_run_of_other_settings_is_refused(tmp_path: Path, settings: dict, steps: int, line: str) -> None:
    of = board(tmp_path / "c", study("grpo"))
    finish(trained(of.folder / "runs/grpo/seed-0", {**study().common, "algorithm": "grpo", **settings}), steps)
    with pytest.raises(UserError, match=line):
        run_all(of)


def test_a_cell_that_fails_is_one_line_and_the_others_go_on(tmp_path: Path) -> None:
    outcome, machine, lines = run_all(
        board(tmp_path / "c", study("grpo", "nsr", seeds=(0, 1))), FakeMachine(broken={"grpo/seed-0.train": 1})
    )
    log = tmp_path / "c/runs/grpo/seed-0.train.log"
    line = f"grpo, seed 0: training failed (exit code 1: last words); see {log}"
    assert outcome.failed == {Training("grpo", 0): line}
    assert f"failed {line}" in lines
    assert outcome.missing == [Evaluation("grpo", 0, "final", 1.0)]
    assert len(machine.commands) == 9
    assert lines[-1].endswith("; trainings 3/4, evaluations 5/6, left about 0 s")


def test_an_evaluation_without_a_result_failed(tmp_path: Path) -> None:
    of = board(tmp_path / "c", study("grpo"))
    machine = FakeMachine()
    machine._evaluate = lambda words: None  # type: ignore[method-assign]
    outcome, *_ = run_all(of, machine)
    assert "it left no result" in outcome.failed[Evaluation("base", 0, "final", 1.0)]


def test_a_budget_begins_nothing_more_and_finishes_what_is_under_way(tmp_path: Path) -> None:
    of = board(tmp_path / "c", study("grpo", seeds=(0, 1)))
    outcome, machine, _ = run_all(of, FakeMachine(seconds=10.0), budget=15.0)
    assert kinds(machine.commands) == ["eval base 0", "train grpo 0"]
    assert outcome.out_of_budget
    assert [cell.seed for cell in outcome.missing] == [0, 1, 1, 1]
    assert of.state(Training("grpo", 0)) == "done"
    outcome, machine, _ = run_all(Board(of.folder, of.plan), budget=0.0)
    assert machine.commands == []
    assert outcome.out_of_budget
    assert not run_all(Board(of.folder, of.plan), budget=100.0)[0].out_of_budget


@pytest.mark.parametrize("jobs", [1, 3])
def test_jobs_run_at_once(tmp_path: Path, jobs: int) -> None:
    outcome, machine, _ = run_all(board(tmp_path / "c", study("grpo", "nsr", seeds=(0, 1))), jobs=jobs)
    assert machine.most_at_once == jobs
    assert len(machine.commands) == len({tuple(words) for words in machine.commands}) == 10
    assert not outcome.missing


def test_a_stop_ends_the_jobs(tmp_path: Path) -> None:
    machine = FakeMachine(seconds=99.0)

    def interrupt() -> None:
        raise KeyboardInterrupt

    runner = Runner(
        board(tmp_path / "c", study("grpo")), lambda line: None, launch=machine, clock=machine.clock, pause=interrupt
    )
    with pytest.raises(KeyboardInterrupt):
        runner.run()
    assert [job.stopped for job in machine.jobs] == [True]


def test_results_are_asked_for_at_each_whole_seed(tmp_path: Path) -> None:
    whole: list[int] = []
    of = board(tmp_path / "c", study("grpo", seeds=(0, 1)))
    run_all(of, after_seed=lambda: whole.append(sum(entry.state == "done" for entry in of.entries())))
    assert whole == [3, 6]


def test_the_plan_of_a_plan_is_the_same(tmp_path: Path) -> None:
    plan = board(tmp_path / "c", study("grpo", "nsr", control=True)).plan
    assert list(plan.arms) == ["grpo", "nsr", "random_rewards"]
    assert Plan(replace(plan.study)).arms == plan.arms
