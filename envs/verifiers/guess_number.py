"""The verifier of the two-turn guessing game: only the last guess counts."""

from __future__ import annotations

import re

from simko.types import Verdict

MAX_TURN = 10_000  # characters read of a turn, from the end
_INTEGER = re.compile(r"(?<![\d.,])\d{1,9}(?![\d]|[.,]\d)")


def read_guess(text: str) -> int | None:
    """The whole number in the last line that is not blank; None where that line has no number or more than one.

    The environment reads the first turn with this, too, so a list of guesses is worth no more than its last line.
    """
    lines = [line for line in text[-MAX_TURN:].splitlines() if line.strip()]
    if not lines:
        return None
    found = _INTEGER.findall(lines[-1])
    digits = re.sub(r"\D", "", lines[-1])
    return int(found[0]) if len(found) == 1 and digits == found[0] and "-" not in lines[-1] else None


def guess_number(response: str, gold: str) -> Verdict:
    """`response` is the policy's turns joined by line breaks, so its last line is its last guess; `gold` the number."""
    guess = read_guess(response)
    if guess is None:
        return Verdict("no_answer", 0.0)
    correct = guess == int(gold)
    return Verdict("correct" if correct else "incorrect", float(correct), str(guess))
