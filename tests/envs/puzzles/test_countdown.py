"""Countdown problems: solvable, well-formed, made again from their ids, and disjoint between the splits."""

from __future__ import annotations

import json
import pickle
import re
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs.puzzles.countdown import LARGE, RULES, SMALL, Countdown, random_expression
from simko.envs.verifiers.expression import evaluate, expression
from simko.errors import UserError
from simko.types import Task

LEVELS = sorted(RULES)


def shown(problem: str) -> tuple[list[int], int]:
    """Numbers and target as a reader of the sentence sees them."""
    match = re.fullmatch(
        r"Using each of the numbers ([\d, ]+) exactly once with \+ - \* / and parentheses, "
        r"write an expression that equals (\d+)\.",
        problem,
    )
    assert match is not None
    numbers, target = match.groups()
    return [int(n) for n in numbers.split(", ")], int(target)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("split", ["train", "eval"])
def test_problem_and_gold_agree_and_keep_the_rule(split: str, level: int) -> None:
    rule, source = RULES[level], Countdown(split, level)
    for task in source.tasks(40, seed=3):
        numbers, target = shown(task.problem)
        assert json.loads(task.gold) == {"numbers": sorted(numbers), "target": target}
        assert len(numbers) == rule.count
        assert rule.targets[0] <= target <= rule.targets[1]
        assert all(1 <= n <= (rule.highest or 100) for n in numbers)
        assert task.level == str(level)
        assert not task.extra


def test_the_tiles_of_the_classic_game() -> None:
    for task in Countdown("train", 5).tasks(100, seed=0):
        numbers = Counter(json.loads(task.gold)["numbers"])
        large = [n for n in numbers if n in LARGE]
        assert len(large) == 2
        assert all(count <= SMALL.count(n) for n, count in numbers.items() if n not in LARGE)


@pytest.mark.parametrize("level", LEVELS)
def test_answers_grade_correct_and_solve_no_other_problem(level: int) -> None:
    source = Countdown("eval", level)
    tasks = source.tasks(30, seed=5)
    for task, other in zip(tasks, tasks[1:] + tasks[:1], strict=True):
        assert expression(source.answer(task), task.gold).correct
        assert not expression(source.answer(task), other.gold).correct


def test_the_answer_to_a_task_with_another_gold_is_refused() -> None:
    source = Countdown()
    task = source.draw(np.random.default_rng(0))
    with pytest.raises(UserError, match="does not have the gold answer"):
        source.answer(Task(task.id, task.problem, json.dumps({"numbers": [1], "target": 7})))


@pytest.mark.parametrize("level", [1, 2])
def test_no_problem_is_in_both_splits_in_whatever_order(level: int) -> None:
    train = {task.gold for task in Countdown("train", level).tasks(1500, seed=0)}
    held_out = {task.gold for task in Countdown("eval", level).tasks(400, seed=1)}
    assert len(train) > 500
    assert not train & held_out


def test_tasks_are_distinct_in_whatever_order_their_numbers_are() -> None:
    tasks = Countdown("eval", 1).tasks(300, seed=0)
    assert len({task.gold for task in tasks}) == 300


def test_ids_make_the_task_again() -> None:
    source = Countdown("eval")
    task = source.draw(np.random.default_rng(7))
    assert task.id.startswith("countdown/eval/2/")
    assert pickle.loads(pickle.dumps(source)).get(task.id) == task
    assert source.tasks(20, seed=4) == Countdown("eval", 2).tasks(20, seed=4)
    with pytest.raises(UserError):
        Countdown("train").get(task.id)


def test_the_numbers_are_not_shown_in_order() -> None:
    problems = [shown(task.problem)[0] for task in Countdown("train").tasks(100, seed=0)]
    assert sum(numbers == sorted(numbers) for numbers in problems) < 30


@pytest.mark.parametrize(("split", "level"), [("test", None), ("train", 0), ("train", 6)])
def test_unknown_split_or_level_is_refused(split: str, level: int | None) -> None:
    with pytest.raises(UserError, match="countdown"):
        Countdown(split, level)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_random_expressions_say_their_value(numbers: list[int], random: object) -> None:
    made = random_expression(numbers, random.randrange)  # type: ignore[attr-defined]
    if made is not None:
        text, numerator, denominator = made
        assert evaluate(text) == (Fraction(numerator, denominator), sorted(numbers))


def test_every_pair_of_parentheses_is_needed() -> None:
    rng, pairs = np.random.default_rng(0), 0
    for _ in range(300):
        made = random_expression([101, 211, 307, 401], lambda n: int(rng.integers(n)))
        assert made is not None
        text, value = made[0], Fraction(*made[1:])
        for opening in (i for i, char in enumerate(text) if char == "("):
            ends = (i for i in range(opening, len(text)) if text[i] == ")")
            closing = next(i for i in ends if text[opening : i + 1].count("(") == text[opening : i + 1].count(")"))
            assert evaluate(text[:opening] + text[opening + 1 : closing] + text[closing + 1 :])[0] != value
            pairs += 1
    assert pairs > 100
