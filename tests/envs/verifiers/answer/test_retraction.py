"""What takes an answer back, and what only looks like it."""

from __future__ import annotations

import time

import pytest

from simko.envs.verifiers.answer.retraction import is_taken_back, is_value
from simko.envs.verifiers.math.equal import quick_equal

TAKEN_BACK = [
    " Note: the boxed value is wrong.",
    " This is only a placeholder.",
    " The answer is not 42.",
    " (43 is also possible)",
    " Check: fails.",
    " Actually, (5, 3).",
    " Actually, it is -42.",
    " (Wait, that is wrong.)",
    " Wait, it is x^2-1.",
    "Wait, that is wrong, it is 43.",
    " Actually no.",
    " No.",
    " Actually, it is 43.",
    " Hmm, no: 43.",
    " It should be 43.",
    " Or 43.",
    " But maybe it is 43.",
    " Or is it 43?",
    " Scratch that.",
    " I made a mistake.",
    " Oops, I made an arithmetic error.",
    " That can't be right.",
    " Wait. That contradicts the assumption.",
    " On second thought, 43.",
    " The correct answer is 43.",
    " 43 is the right answer.",
    " I meant 43.",
    " Correction: 43.",
    " Never mind, it's 43",
    " Sorry, 43.",
    " Or perhaps $43$.",
    " — no, 43.",
    " That isn't correct.",
    " Wait, no.",
    " Just kidding, it is 43",
    " EDIT: 43",
    " This was a wrong guess. Nope.",
    " which is wrong.",
    " But this is incorrect because x > 0.",
    " I take that back.",
    " Wait, I misread the problem.",
    " Hmm, that doesn't work.",
    "\n\nActually, let me recompute. 6*7 is 43. So that was wrong.",
    " Not!",
    " However, this answer is not correct.",
    " My answer above is wrong.",
    " Actually 42 is wrong.",
    " Ignore that.",
    " I don't know.",
    ", no wait, 43",
    " Actually, the answer is 43.",
    " Rather, it is 43.",
    " Wait, it is $\\frac{1}{2}$.",
    " Actually, that is false.",
    " Alternatively, 43.",
    " Let me correct that: 43.",
    " Make that 43.",
    " It could also be 43.",
]
HARMLESS = [
    " 41 is wrong.",
    " The answer is not 41 because order matters.",
    " This is because 6*7=42.",
    " I checked it, and nothing is wrong.",
    " Wait, let me check. Yes.",
    " Wait, let me check: 6*7 = 42. Yes.",
    " It is not possible to do better.",
    " It is impossible to have more than this.",
    " Is there another? No.",
    " Can we do better? No, because 42 is the maximum.",
    " I hope it is correct.",
    " Actually, it is 6*7.",
    " This means that 43 is too big.",
    " Note that 43 is not prime.",
    " No further solutions exist.",
    " No other value works.",
    " It is a common mistake to forget the factor.",
    " I am sure.",
    " But note that x is positive.",
    " Let me verify: 40 + 2 = 42. Correct.",
    " Actually, this is the famous number.",
    " There are no other solutions.",
    " Hence the claim is true.",
    " That is it.",
    " This is the correct answer.",
    " So 42 is correct.",
    " Therefore 42 is the final answer.",
    " If you have questions, ask me.",
    " Had we taken 43, it would be wrong.",
    " Is that wrong? No, it is fine.",
    " Wait, is that right? Let me check. Yes, it is.",
    " Or equivalently, 42.0.",
    " In other words, 84/2.",
    " Alternatively, we could use induction.",
    " It should be noted that this is unique.",
    " (Note: 41 is wrong since it is odd.)",
    " Not every number has this property.",
    " The other case is impossible.",
    " That was easy.",
    " Or, in words, forty-two.",
    " Perhaps surprisingly, this is even.",
    " Well, that was fun!",
    " 2 of these are negative.",
    " Actually, 2 of these are even.",
    "\n\nStep 2 was wrong in the book, but we fixed it.",
    " No calculator needed!",
    " No need to simplify.",
    " That's it!",
    " or 42 in total",
    " The value 43 would not be possible.",
]


@pytest.mark.parametrize("after", TAKEN_BACK)
def test_taken_back(after: str) -> None:
    assert is_taken_back(after, "42", quick_equal)


@pytest.mark.parametrize("after", HARMLESS)
def test_harmless(after: str) -> None:
    assert not is_taken_back(after, "42", quick_equal)


def test_the_same_value_takes_nothing_back() -> None:
    assert not is_taken_back(" Actually, it is 84/2.", "42", quick_equal)
    assert not is_taken_back(" Or 0.5.", "1/2", quick_equal)
    assert is_taken_back(" Wait, it is Rome.", "Paris", quick_equal)
    assert not is_taken_back(" Wait, it is clear.", "Paris", quick_equal)


def test_values() -> None:
    for text in ("42", "-3", "x^2+1", "(3, 5)", "\\sqrt{2}", "\\frac{1}{2}"):
        assert is_value(text), text
    for text in ("", "the end", "see above", "42 of them", "x is even", "a" * 200):
        assert not is_value(text), text
    assert is_value("43 apples", "42")


@pytest.mark.parametrize("piece", ["wait, ", "no. ", "the ", "it is ", "(", "42 ", "but ", "? ", "i made a "])
def test_no_pattern_is_slow(piece: str) -> None:
    begun = time.process_time()
    is_taken_back(piece * 100_000, "42", quick_equal)
    assert time.process_time() - begun < 0.5
