"""What holds of every generated task source."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

from simko.envs import grade
from simko.envs.puzzles.arithmetic import Arithmetic
from simko.envs.puzzles.guess_number import GuessNumber
from simko.envs.puzzles.knights import KnightsKnaves
from simko.envs.puzzles.procedural import Draft, ProceduralSource
from simko.envs.puzzles.tree_mdp import TreeMDP
from simko.envs.split import is_eval
from simko.errors import UserError
from simko.types import Task, TaskSource

SOURCES = [
    (Arithmetic, "numeric"),
    (KnightsKnaves, "knights"),
    (TreeMDP, "tree_mdp"),
    (GuessNumber, "guess_number"),
]
LEVELS = [(source, verifier, level) for source, verifier in SOURCES for level in source.levels]


@pytest.mark.parametrize(("source", "verifier", "level"), LEVELS)
@pytest.mark.parametrize("split", ["train", "eval"])
def test_tasks_can_be_drawn_made_again_and_answered(
    source: type[ProceduralSource], verifier: str, level: int, split: str
) -> None:
    made = source(split=split, level=level)
    assert isinstance(made, TaskSource)
    rng = np.random.default_rng(3)
    tasks = [made.draw(rng) for _ in range(20)]
    for task in tasks:
        assert made.get(task.id) == task == pickle.loads(pickle.dumps(made)).get(task.id)
        assert task.level == str(level)
        assert task.id.startswith(f"{made.name}/{split}/{level}/")
        assert grade(made.answer(task), task.gold, verifier).outcome == "correct"
    golds = {task.gold for task in tasks}
    for task in tasks:
        for other in golds - {task.gold}:
            if verifier != "tree_mdp":  # relabelled trees share paths
                assert not grade(made.answer(task), other, verifier).correct


@pytest.mark.parametrize(("source", "level"), [(source, level) for source, _, level in LEVELS])
def test_splits_share_no_problem(source: type[ProceduralSource], level: int) -> None:
    if level in source.single:
        return
    rng = np.random.default_rng(0)
    train, held_out = source(split="train", level=level), source(split="eval", level=level)
    seen = {train.draw(rng).problem for _ in range(300)}
    assert not seen & {held_out.draw(rng).problem for _ in range(300)}


@pytest.mark.parametrize("source", [source for source, _ in SOURCES])
def test_equal_seeds_give_equal_tasks_in_every_process(source: type[ProceduralSource]) -> None:
    made = source(split="train")
    tasks = made.tasks(1, 5)
    program = (
        f"from {source.__module__} import {source.__name__} as S; import sys;"
        "sys.stdout.write(repr(S(split='train').tasks(1, 5)))"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout == repr(tasks)


def test_tasks_are_distinct_seeded_and_finite() -> None:
    made = Arithmetic(split="train", level=3)
    tasks = made.tasks(200, 1)
    assert len({t.problem for t in tasks}) == 200
    assert tasks == made.tasks(200, 1)
    assert tasks != made.tasks(200, 2)
    with pytest.raises(UserError, match=r"only \d+ distinct problems"):
        Arithmetic(split="eval", level=1).tasks(10_000, 0)
    with pytest.raises(UserError, match="without end"):
        made.tasks(None, 0)


def test_without_a_level_all_levels_come_up() -> None:
    made, rng = Arithmetic(split="train"), np.random.default_rng(0)
    assert {made.draw(rng).level for _ in range(200)} == {str(level) for level in Arithmetic.levels}


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"split": "test"}, "use 'train' or 'eval'"),
        ({"level": 9}, "level is 9; use one of 1, 2"),
        ({"data": "a.jsonl"}, "leave data out"),
    ],
)
def test_wrong_arguments_are_refused(keywords: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Arithmetic(**keywords)


UNKNOWN = [
    "",
    "arithmetic",
    "arithmetic/eval/1/5",
    "knights/train/2/5",
    "arithmetic/train/9/5",
    "arithmetic/train/1/-1",
]
UNKNOWN += ["arithmetic/train/1/05", "arithmetic/train/1/5/6", "arithmetic/train/1/x", f"arithmetic/train/1/{1 << 40}"]


@pytest.mark.parametrize("task_id", UNKNOWN)
def test_unknown_ids_are_refused(task_id: str) -> None:
    with pytest.raises(UserError, match="give an id like arithmetic/train/<level>/<seed>"):
        Arithmetic(split="train").get(task_id)


class Two(ProceduralSource):
    """Two problems, told apart by their key; the same text."""

    name = "two"
    levels = {1: ""}  # noqa: RUF012

    def generate(self, rng: np.random.Generator, level: int) -> Draft:
        n = int(rng.integers(2))
        return Draft("same text", str(n), key=KEYS[n])

    def answer(self, task: Task) -> str:
        return task.gold


KEYS = [next(f"k{i}" for i in range(99) if is_eval(f"k{i}") is held_out) for held_out in (False, True)]


def test_the_key_decides_the_split() -> None:
    rng = np.random.default_rng(0)
    assert {Two("train").draw(rng).gold for _ in range(20)} == {"0"}
    assert {Two("eval").draw(rng).gold for _ in range(20)} == {"1"}


def test_a_split_without_problems_is_an_error_not_a_hang() -> None:
    class Never(Two):
        def generate(self, rng: np.random.Generator, level: int) -> Draft:
            return Draft("one", "1", key=KEYS[0])

    with pytest.raises(UserError, match="no problem in split 'eval'"):
        Never("eval").draw(np.random.default_rng(0))
