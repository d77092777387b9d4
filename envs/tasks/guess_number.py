"""Guess the number, in two turns: the policy guesses, hears "higher" or "lower", and guesses once more.

At levels 1 and 2 the range holds three numbers, so a first guess in the middle and the hint settle it; at levels 3 and 4
it holds more, and the best player wins 3 times in 5 and 3 times in 7. Only the range is in the problem: the split is by
range, the hidden number is drawn for each task.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from simko.envs.tasks.procedural import Draft, ProceduralSource
from simko.envs.verifiers.guess_number import read_guess
from simko.types import Task

SIZES = {1: (3, 99), 2: (3, 999), 3: (5, 999), 4: (7, 999)}  # level: numbers in the range, largest number


class GuessNumber(ProceduralSource):
    """Endless guessing games. The gold answer is the hidden number; the verifier is `guess_number`."""

    name = "guess_number"
    levels: ClassVar = {
        1: "one of three numbers below 100",
        2: "one of three numbers below 1000",
        3: "one of five numbers below 1000",
        4: "one of seven numbers below 1000",
    }

    def generate(self, rng: np.random.Generator, level: int) -> Draft:
        """A range and a number in it."""
        size, largest = SIZES[level]
        low = int(rng.integers(1, largest - size + 2))
        high = low + size - 1
        hidden = low + int(rng.integers(size))
        problem = (
            f"I am thinking of a whole number from {low} to {high}. Guess it: reply with one number only. "
            "I will then say whether mine is higher or lower, and you guess once more."
        )
        return Draft(problem, str(hidden))

    def answer(self, task: Task) -> str:
        """The hidden number."""
        return task.gold

    def reply(self, task: Task, turns: Sequence[str]) -> str | None:
        """The environment's answer to the policy's turns so far; see the function `reply`."""
        return reply(task, turns)


def reply(task: Task, turns: Sequence[str]) -> str | None:
    """The hint after the first guess; None where that guess is right or a second one was made."""
    if len(turns) != 1:
        return None
    guess = read_guess(turns[0])
    if guess is None:
        return "I see no single whole number there. Guess once more."
    hidden = json.loads(task.gold)
    if guess == hidden:
        return None
    return f"Not {guess}. My number is {'higher' if hidden > guess else 'lower'}. Guess once more."
