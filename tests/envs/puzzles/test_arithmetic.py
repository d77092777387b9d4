from __future__ import annotations

import re

import numpy as np
import pytest

from simko.envs.puzzles.arithmetic import Arithmetic
from simko.envs.verifiers.reading.numbers import evaluate


@pytest.mark.parametrize("level", Arithmetic.levels)
def test_gold_is_the_value_and_not_negative(level: int) -> None:
    made, rng = Arithmetic(split="train", level=level), np.random.default_rng(level)
    for _ in range(100):
        task = made.draw(rng)
        expression = re.fullmatch(r"What is ([-+*() 0-9]+)\?", task.problem)
        assert expression is not None
        assert evaluate(expression[1]) == int(task.gold) >= 0


def test_levels_rise() -> None:
    rng = np.random.default_rng(0)
    lengths = []
    for level in Arithmetic.levels:
        made = Arithmetic(split="train", level=level)
        lengths.append(np.mean([len(re.findall(r"[-+*]", made.draw(rng).problem)) for _ in range(50)]))
    assert lengths == sorted(lengths)
    problems = {level: Arithmetic(split="train", level=level).draw(rng).problem for level in Arithmetic.levels}
    assert all(("*" in problem) == (level >= 4) for level, problem in problems.items())
    assert all(("(" in problem) == (level >= 5) for level, problem in problems.items())


def test_order_of_terms_does_not_cross_the_split() -> None:
    train, held_out = Arithmetic("train", 2), Arithmetic("eval", 2)
    rng = np.random.default_rng(0)

    def numbers(made: Arithmetic) -> set[tuple[int, ...]]:
        sums = [t.problem for t in (made.draw(rng) for _ in range(600)) if "+" in t.problem]
        return {tuple(sorted(map(int, re.findall(r"\d+", s)))) for s in sums}

    assert not numbers(train) & numbers(held_out)
