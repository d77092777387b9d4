"""What is chosen on tuning problems, and what the folder says of cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from compare_fakes import FakeMachine, board, run_all, study

from simko.compare.board import Board, score
from simko.compare.cells import Evaluation, side_file
from simko.compare.results import final_results, label, notes


def names(of: Board) -> list[str]:
    return [entry.cell.name for entry in of.entries() if entry.state == "done"]


def hot(result: dict[str, Any]) -> float:
    """An evaluation is the better the hotter it is, and the best with prompt qwen."""
    return result["temperature"] / 10 + 0.5 * (result["template"] == "qwen")


def test_temperature_and_prompt_are_chosen_at_the_first_seed(tmp_path: Path) -> None:
    of = board(
        tmp_path / "c", study("grpo", seeds=(0, 1), temperatures="0.6,1.0,1.2", templates="chat,plain,qwen,llama")
    )
    outcome, *_ = run_all(of, FakeMachine(better=hot))
    assert not outcome.missing
    tuned = [entry.cell for entry in of.entries() if isinstance(entry.cell, Evaluation) and entry.cell.part == "tuning"]
    assert {cell.seed for cell in tuned} == {0}
    assert len(tuned) == 3 + 3 + 3  # prompts beside that of training; temperatures of base and of grpo
    assert [(label(cell), cell.seed) for cell, _ in final_results(of)] == [
        (name, seed)
        for seed in (0, 1)
        for name in ("base", "base with prompt qwen", "base at T 1.2", "grpo", "grpo at T 1.2")
    ]
    assert notes(of) == [
        "base: best temperature on tuning problems 1.2",
        "grpo: best temperature on tuning problems 1.2",
        "base: strongest prompt qwen",
    ]


def test_of_equal_ones_that_of_training_stays(tmp_path: Path) -> None:
    of = board(tmp_path / "c", study("grpo", temperatures="0.6,1.0,1.2", templates="chat,qwen"))
    run_all(of)
    assert [label(cell) for cell, _ in final_results(of)] == ["base", "grpo"]
    assert notes(of)[-1] == "base: strongest prompt chat, that of training"


def test_one_value_turns_the_choice_off(tmp_path: Path) -> None:
    of = board(tmp_path / "c", study("grpo"))
    _, machine, _ = run_all(of)
    assert len(machine.commands) == 3
    assert notes(of) == []


def test_the_choice_waits_for_all_candidates(tmp_path: Path) -> None:
    of = board(tmp_path / "c", study("grpo", temperatures="0.6,1.0", templates="chat,qwen"))
    outcome, *_ = run_all(of, FakeMachine(better=hot, broken={"base/seed-0.tuning-t0.6": 1}))
    assert of.best(of.choices("base")) is None
    assert [cell.name for cell in outcome.missing] == ["base, seed 0: final problems at T (the best)"]
    assert label(of.prompts()[1]) == "base with prompt qwen"


def test_a_prompt_that_does_not_fit_is_left_out_for_good(tmp_path: Path) -> None:
    of = board(tmp_path / "c", study("grpo", templates="chat,qwen,llama"))
    outcome, _, lines = run_all(of, FakeMachine(better=hot, broken={"-qwen": 2}))
    assert (outcome.failed, outcome.missing) == ({}, [])
    assert "left out base, seed 0: tuning problems at prompt qwen: last words" in lines
    assert side_file(of.folder, of.prompts()[1], "refused").read_text() == "last words\n"
    assert run_all(Board(of.folder, of.plan))[1].commands == []


def test_a_part_with_fewer_problems_than_asked_for_is_whole(tmp_path: Path) -> None:
    class Few(FakeMachine):
        def _evaluate(self, words: list[str]) -> None:
            super()._evaluate(words)
            folder = Path(words[1]) / "eval" if "runs" in words[1] else tmp_path / "c/base/seed-0"
            for path in folder.glob("*.json"):
                path.write_text(json.dumps({**json.loads(path.read_text()), "problems": 2}))

    of = board(tmp_path / "c", study("grpo"))
    assert run_all(of, Few())[0].failed == {}
    more = board(tmp_path / "c", study("grpo", eval_problems=50))
    assert run_all(more, Few())[1].commands == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pass_at_k": 3}', "null", "[" * 5000, "NONE"])
def test_a_damaged_result_is_none(tmp_path: Path, text: str) -> None:
    of = board(tmp_path / "c", study("grpo"))
    run_all(of)
    (path,) = (of.folder / "base/seed-0").glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "pass_at_k": {}}) if text == "NONE" else text)
    assert [words[0] for words in run_all(Board(of.folder, of.plan))[1].commands] == ["eval"]


def test_a_result_of_another_environment_is_not_taken(tmp_path: Path) -> None:
    of = board(tmp_path / "c", study("grpo"))
    run_all(of)
    (path,) = (of.folder / "base/seed-0").glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "env": "simko/Arithmetic-v0"}))
    assert [words[0] for words in run_all(Board(of.folder, of.plan))[1].commands] == ["eval"]


def test_the_score_is_the_mean_over_powers_of_two_up_to_half() -> None:
    assert score({1: 0.2, 2: 0.4, 4: 0.6, 6: 0.9, 8: 1.0}, 8) == pytest.approx(0.4)
    assert score({1: 0.2, 2: 0.4, 4: 0.6, 7: 1.0}, 8) == pytest.approx(0.4)
