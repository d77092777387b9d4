"""Guess the number, in two turns: the policy guesses, is told "higher" or "lower", and guesses once more.

At levels 1 and 2 the range holds three numbers: guess the middle, and the hint leaves one number. At level 3 the best
player wins 3 times in 5, and at level 4 3 times in 7. The problem text gives only the range, so the range decides the
split; the hidden number is drawn for each task. The task comes first in this file, then its checker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from simko.envs.puzzles.procedural import Draft, ProceduralSource
from simko.envs.verifiers.answer.visible import without_thinking
from simko.types import Task, Verdict

SIZES = {1: (3, 99), 2: (3, 999), 3: (5, 999), 4: (7, 999)}  # level: (numbers in the range, largest number)


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
        """The environment's reply to the policy's turns so far: see the function `reply`."""
        return reply(task, turns)


def reply(task: Task, turns: Sequence[str]) -> str | None:
    """The hint after the first guess. None ends the game: that guess was right, or a second one was made."""
    if len(turns) != 1:
        return None
    guess = read_guess(turns[0])
    if guess is None:
        return "I see no single whole number there. Guess once more."
    hidden = json.loads(task.gold)
    if guess == hidden:
        return None
    return f"Not {guess}. My number is {'higher' if hidden > guess else 'lower'}. Guess once more."


MAX_TURN = 10_000  # characters read of a turn, from the end
_INTEGER = re.compile(r"(?<![\d.,])\d{1,9}(?![\d]|[.,]\d)")


def read_guess(text: str) -> int | None:
    """The whole number in the last line that is not blank, or None if that line does not have exactly one number.

    Thinking is not read.

    The environment also reads the first turn with this. So of a list of guesses only the last line counts.
    """
    lines = [line for line in without_thinking(text)[-MAX_TURN:].splitlines() if line.strip()]
    if not lines:
        return None
    numbers = _INTEGER.findall(lines[-1])
    digits = re.sub(r"\D", "", lines[-1])
    return int(numbers[0]) if len(numbers) == 1 and digits == numbers[0] and "-" not in lines[-1] else None


def guess_number(response: str, gold: str) -> Verdict:
    """Grade the last guess. `response` is the policy's turns joined by line breaks; `gold` is the hidden number."""
    guess = read_guess(response)
    if guess is None:
        return Verdict("no_answer", 0.0)
    correct = guess == int(gold)
    return Verdict("correct" if correct else "incorrect", float(correct), str(guess))
