from __future__ import annotations

import re

import numpy as np
import pytest

from simko.envs import grade
from simko.envs.puzzles.guess_number import SIZES, GuessNumber, reply
from simko.types import Task


def bounds(task: Task) -> tuple[int, int]:
    low, high = re.search(r"from (\d+) to (\d+)", task.problem).groups()  # type: ignore[union-attr]
    return int(low), int(high)


def play(task: Task) -> bool:
    """The best player: the middle, then the middle of what is left."""
    low, high = bounds(task)
    first = (low + high) // 2
    hint = reply(task, [str(first)])
    if hint is None:
        return grade(str(first), task.gold, "guess_number").correct
    low, high = (first + 1, high) if "higher" in hint else (low, first - 1)
    second = (low + high) // 2
    assert reply(task, [str(first), str(second)]) is None
    return grade(f"{first}\n{second}", task.gold, "guess_number").correct


@pytest.mark.parametrize(("level", "share"), [(1, 1.0), (2, 1.0), (3, 3 / 5), (4, 3 / 7)])
def test_the_hint_is_enough_for_the_share_it_is_said_to_be(level: int, share: float) -> None:
    made, rng = GuessNumber("train", level), np.random.default_rng(0)
    tasks = [made.draw(rng) for _ in range(300)]
    for task in tasks:
        low, high = bounds(task)
        assert high - low + 1 == SIZES[level][0]
        assert low <= int(task.gold) <= high <= SIZES[level][1]
    won = np.mean([play(task) for task in tasks])
    assert won == pytest.approx(share, abs=0 if share == 1 else 0.09)


def test_the_reply_tells_no_more_than_higher_or_lower() -> None:
    told = {
        gold: reply(Task("t", "from 1 to 9", gold), ["5"]) for gold in "12346789"
    }  # the same text for every number on one side
    assert len({told[g] for g in "1234"}) == 1
    assert len({told[g] for g in "6789"}) == 1
    assert told["1"] != told["9"]
    for nothing in ("", "no idea", "4 or 5", "4, 5", "-5", "5.5"):
        assert len({reply(Task("t", "", gold), [nothing]) for gold in "123456789"}) == 1


def test_a_right_first_guess_ends_it_and_there_is_no_third() -> None:
    task = Task("t", "from 1 to 9", "5")
    assert reply(task, ["5"]) is None
    assert reply(task, ["My guess: 5."]) is None
    assert reply(task, ["4", "6"]) is None
    assert reply(task, ["4", "6", "5"]) is None


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        ("42", "correct"),
        ("41\n42", "correct"),
        ("My guess is 42.", "correct"),
        ("41\nThen it must be 42!\n", "correct"),
        ("42\n41", "incorrect"),
        ("41\n4", "incorrect"),
        ("41 42", "no_answer"),
        ("42\n41 or 42", "no_answer"),
        ("-42", "no_answer"),
        ("42.5", "no_answer"),
        ("4,2", "no_answer"),
        ("1042", "incorrect"),
        ("", "no_answer"),
        ("9" * 40, "no_answer"),
    ],
)
def test_the_verifier_counts_the_last_line_only(response: str, outcome: str) -> None:
    assert grade(response, "42", "guess_number").outcome == outcome


def test_a_guess_in_a_thought_is_none() -> None:
    assert grade("<think>\n5", "5", "guess_number").outcome == "no_answer"
    assert grade("<think>\n4</think>5", "5", "guess_number").correct
    assert reply(Task("t", "from 1 to 9", "5"), ["<think>\n5"]) == reply(Task("t", "from 1 to 9", "5"), [""])
