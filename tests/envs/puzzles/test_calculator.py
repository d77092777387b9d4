from __future__ import annotations

import contextlib
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simko.envs
from simko.envs.puzzles.calculator import MAX_RESULT, Calculator, calculate, reply
from simko.envs.turns import NO_CALLS_LEFT
from simko.envs.verifiers.reading.numbers import evaluate
from simko.types import Task


@pytest.mark.parametrize("level", Calculator.levels)
def test_gold_is_the_value_and_the_calculator_finds_it(level: int) -> None:
    made, rng = Calculator(split="train", level=level), np.random.default_rng(level)
    for _ in range(100):
        task = made.draw(rng)
        expression = re.fullmatch(r"What is ([-+*() 0-9]+)\?", task.problem)
        assert expression is not None
        assert evaluate(expression[1]) == int(task.gold)
        assert calculate(expression[1]) == task.gold
        assert len(task.gold.lstrip("-")) >= 4 or level == 3  # a difference may come out small


def test_order_of_factors_and_terms_does_not_cross_the_split() -> None:
    made = {split: Calculator(split, 1) for split in ("train", "eval")}
    rng = np.random.default_rng(0)

    def pairs(source: Calculator) -> set[tuple[str, ...]]:
        return {tuple(sorted(re.findall(r"\d+", source.draw(rng).problem))) for _ in range(3000)}

    assert not pairs(made["train"]) & pairs(made["eval"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12*34", "408"),
        (" ( 1 + 2 ) * 3 ", "9"),
        ("7/2", "7/2"),
        ("6/3", "2"),
        ("-5 - 3", "-8"),
        ("2.5*4", "10"),
        ("0.1+0.2", "3/10"),
        ("1,234,567*2", "2469134"),
        ("3 × 4 ÷ 2", "6"),
        (r"\frac{1}{3} \times 3", "1"),
    ],
)
def test_calculate(text: str, value: str) -> None:
    assert calculate(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write numbers"),
        ("1 +", "write numbers"),
        ("2**9", "write numbers"),
        ("7//2", "write numbers"),
        ("1,2", "write numbers"),
        ("1.2.3", "write numbers"),
        ("abs(3)", "write numbers"),
        ("__import__('os')", "write numbers"),
        ("12*34=408", "write numbers"),
        ("1/(2-2)", "division by zero"),
        ("9" * 150, "too long"),
        ("1+" * 200 + "1", "at most 200 characters"),
        ("(" * 90 + "1" + ")" * 90, "write numbers"),
    ],
)
def test_what_calculate_refuses(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        calculate(text)


@given(st.text("0123456789+-*/()., ×\\frac{}_a=\n", max_size=60) | st.text(max_size=30))
def test_any_text_gives_a_number_or_a_reason(text: str) -> None:
    with contextlib.suppress(ValueError):
        value = calculate(text)
        assert 0 < len(value) <= MAX_RESULT
        assert str(Fraction(value)) == value


def test_a_talk() -> None:
    env = simko.envs.make("simko/Calculator-v0", level=2)
    task = env.source.tasks(1, seed=0)[0]
    assert env.stop == ("</calc>",)
    assert "<calc>12*34</calc>" in env.describe(task)["text"]
    episode = env.begin(task)
    for turn in ("First <calc>12*34</calc>", "<calc>1/0</calc>", "<calc>no</calc>", "<calc>1</calc>", task.gold):
        episode.extend([*turn.encode(), 256])
    answer = [i for i, sampled in zip(episode.ids, episode.sampled, strict=True) if sampled]
    spoken = [i for i, sampled in zip(episode.ids, episode.sampled, strict=True) if not sampled]
    assert bytes(spoken).decode().split("\n")[1:-1:2] == [
        "408",
        "Error: division by zero",
        "Error: write numbers, + - * / and parentheses",
        NO_CALLS_LEFT,
    ]
    assert bytes(answer[:24]).decode() == "First <calc>12*34</calc>"
    assert episode.terminated
    reward, info = env.conclude(episode)
    assert (reward, info["verdict"]["outcome"]) == (1.0, "correct")


def test_calls_without_end_end() -> None:
    episode = simko.envs.make("simko/Calculator-v0").begin(Task("t", "?", "408"))
    for _ in range(reply.turns):
        assert not episode.done
        episode.extend(b"<calc>6*7</calc>")
    assert episode.terminated
