"""How a run ended: facts of its folder, in plain words, and the commands that follow from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from simko.algorithms import registry
from simko.report.ending import Ending, ending_of
from simko.report.ending_words import ending_lines
from simko.run.records import Look, Records
from simko.settings import train_config

RISING = [0.1, 0.12, 0.11, 0.13] * 5 + [0.5, 0.52, 0.51, 0.53] * 5
FLAT = [0.1, 0.3, 0.2, 0.25] * 10
RESULT: dict[str, Any] = {
    "step": 40, "problems": 32, "n": 16, "pass_at_k": {"1": 0.42, "2": 0.5}, "base": {"pass_at_k": {"1": 0.3, "2": 0.5}},
    "verdicts": {"1": "better", "2": "not decided"}, "in_words": "better at K = 1, not decided at the others",
}  # fmt: skip


def a_run(
    folder: Path,
    rewards: Sequence[float],
    result: Mapping[str, Any] | None = None,
    sampling: str = "plain",
    lines: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Ending:
    """The ending of a run folder with these rewards, a step each."""
    for name in ("checkpoints/step-000025", "checkpoints/step-000040", "eval"):
        (folder / name).mkdir(parents=True)
    every = {"updates": 1.0, "seconds_rollout": 1.0, "seconds_update": 0.5, "informative": 0.6, **(lines or {})}
    text = "".join(json.dumps({"step": i, "reward": x, **every}) + "\n" for i, x in enumerate(rewards, start=1))
    (folder / "metrics.jsonl").write_text(text)
    (folder / "checkpoints" / "best").write_text('{"checkpoint": "step-000025"}')
    if result is not None:
        (folder / "eval" / "result.json").write_text(json.dumps(result))
    return ending_of(folder, train_config({"steps": 40, **settings}), sampling)


def said(ending: Ending, **more: Any) -> str:
    """What is printed, in one line."""
    return " ".join(" ".join(ending_lines(ending, **more)).split())


def typed(ending: Ending) -> list[str]:
    """The next commands without the run's name."""
    return [line.replace(f" {ending.path}", "") for line, _ in ending.next_commands()]


def test_a_run_that_learned_is_measured_next(tmp_path: Path) -> None:
    ending = a_run(tmp_path, RISING)
    text = said(ending, peak_bytes=1_200_000_000)
    assert "steps: 40 of 40." in text
    assert "0.115 -> 0.515, means of the first and last 4 steps: higher, by more than noise." in text
    assert "not measured. Only held-out problems tell" in text
    assert "1 min 00 s in steps, 1.5 s each, 67% of it decoding; memory of this process up to 1.2 GB." in text
    assert f"newest: {tmp_path}/checkpoints/step-000040" in text
    assert f"best: {tmp_path}/checkpoints/step-000025" in text
    assert typed(ending) == ["simko eval", "simko report", f"simko export --merged {tmp_path.name}-merged --check"]


def test_a_reward_within_its_noise_is_not_called_higher(tmp_path: Path) -> None:
    ending = a_run(tmp_path, FLAT)
    text = said(ending)
    assert "not more than noise. 100% of the shuffles of these steps differ as much." in text
    assert "higher" not in text
    assert typed(ending) == ["simko eval", "simko train --resume --steps 80", "simko report"]


def test_a_reward_that_still_rises_is_trained_on(tmp_path: Path) -> None:
    ending = a_run(tmp_path, [step / 40 for step in range(40)], RESULT)
    assert "It still rose at the end." in said(ending)
    assert typed(ending)[:2] == ["simko train --resume --steps 80", "simko report"]


def test_a_fall_is_called_lower(tmp_path: Path) -> None:
    assert "LOWER, by more than noise" in said(a_run(tmp_path, RISING[::-1]))


def test_the_verdict_on_held_out_problems_is_that_of_the_band(tmp_path: Path) -> None:
    ending = a_run(tmp_path, RISING, RESULT)
    text = said(ending)
    assert "pass@1 30.0% -> 42.0% at step 40: better, by more than noise. Over K: better at K = 1," in text
    assert "32 problems x 16 samples; another training seed may differ" in text
    assert typed(ending)[0] == "simko report"
    facts = ending.facts()
    assert facts["held_out"]["decided"] == "better"
    assert facts["training_reward"]["more_than_noise"] is True
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_a_worse_verdict_is_said_and_nothing_is_exported(tmp_path: Path) -> None:
    result = RESULT | {"verdicts": {"1": "worse"}, "in_words": "worse at every K up to 8"}
    ending = a_run(tmp_path, RISING, result)
    assert "WORSE, by more than noise. Over K: worse at every K up to 8" in said(ending)
    assert typed(ending) == ["simko inspect", "simko eval --best", "simko report"]


@pytest.mark.parametrize("change", [{"step": 20}, {"base": None}, {"verdicts": None}, {"pass_at_k": []}])
def test_results_of_another_step_or_without_a_verdict_are_passed_over(tmp_path: Path, change: dict[str, Any]) -> None:
    ending = a_run(tmp_path, RISING, RESULT | change)
    assert ending.held_out is None
    assert typed(ending)[0] == "simko eval"


def test_looks_during_training_stand_in_for_an_evaluation(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.add_look(Look(0, {f"p{i}": (8, 1) for i in range(8)}))
    records.add_look(Look(40, {f"p{i}": (8, 1 + (i == 0)) for i in range(8)}))
    ending = a_run(tmp_path, RISING)
    assert "pass@1 12.5% -> 14.1% at step 40: not decided: it may be noise." in said(ending)
    assert typed(ending)[0] == "simko eval"


def test_what_filters_answers_is_no_measure(tmp_path: Path) -> None:
    """Of all ways to sample, only the plain one leaves the reward comparable."""
    registry.load()
    others = {name for kind, name in registry.PARTS if kind == "sampling"} - {"plain"}
    every: dict[str, dict[str, Any]] = {name: {"sampling": name} for name in others}
    for name, settings in {**every, "coin": {"random_rewards": 0.5}}.items():
        ending = a_run(tmp_path / name, RISING, **settings)
        assert ending.facts()["training_reward"] is None
        assert "It is no measure here:" in said(ending)
        assert "noise" not in said(ending)


def test_a_run_that_learned_nothing_says_so(tmp_path: Path) -> None:
    ending = a_run(tmp_path, [0.0] * 40, lines={"updates": 0.0, "informative": 0.0})
    text = said(ending)
    assert "40 of 40. Nothing was learned: no step changed the policy." in text
    assert "alarm: dead_groups, at step 5: only 0% of the problems teach anything" in text
    assert "To mend it, take --keep-solved" in text
    assert typed(ending) == ["simko inspect", "simko sample --split train", "simko report"]


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    ending = a_run(tmp_path, FLAT[:7], python="/x/my python")
    text = said(ending)
    assert "steps: 7 of 40." in text
    assert "Fewer than 8 steps are too few to tell it from noise." in text
    assert typed(ending) == ["simko train --resume --python '/x/my python'", "simko inspect", "simko report"]


def test_steps_without_an_update_are_counted(tmp_path: Path) -> None:
    """Also where the other steps took several updates each, and where an older version recorded none."""
    a_run(tmp_path, FLAT)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line["updates"] = 4.0 * (line["step"] > 20)
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    ending = ending_of(tmp_path, train_config({"steps": 40}))
    assert "40 of 40, of these 20 without an update." in said(ending)
    assert ending.facts()["updates"] == 80
    older = a_run(tmp_path / "older", FLAT, lines={"updates": None})
    assert "steps: 40 of 40. reward:" in said(older)


def test_no_step_at_all(tmp_path: Path) -> None:
    ending = a_run(tmp_path, [], steps=0)
    assert "none, as was asked" in said(ending)
    assert typed(ending)[0] == "simko eval"


def test_lines_are_short_and_commands_whole(tmp_path: Path) -> None:
    ending = a_run(tmp_path / "a folder", RISING, RESULT)
    lines = ending_lines(ending, width=72)
    at = lines.index("next")
    assert all(len(line) <= 72 for line in lines[:at] if str(tmp_path) not in line)
    assert [line.strip() for line in lines[at + 1 :] if "#" not in line] == [line for line, _ in ending.next_commands()]
    assert "'" in lines[-1]  # a folder with a space is quoted
