from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs import grade
from simko.envs.verifiers.answer.extract import MAX_RESPONSE, final_answer, narrowed
from simko.envs.verifiers.answer.visible import without_thinking

ONE = [
    ("\\boxed{42}", "42"),
    ("so $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
    ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
    ("\\boxed{\\left\\{1\\right.}", "\\left\\{1\\right."),
    ("\\boxed {42}", "42"),
    ("\\boxed 5 is it", "5"),
    ("\\fbox{42}", "42"),
    ("\\boxed{\\boxed{42}}", "42"),
    ("first \\boxed{42}, then again \\boxed{ 42 }", "42"),
    ("fill in \\boxed{\\phantom{09}}: it is \\boxed{7}", "7"),
    ("\\boxed{} and \\boxed{7}", "7"),
    ("the angle is $\\boxed{90}^\\circ$", "90"),
    ("It is \\boxed{42}!", "42"),
    ("Defined for all $x$ except $\\boxed{1}$.", "1"),
    ("1111 is not, but $\\boxed{1221}$ is.", "1221"),
    ("Since $\\boxed{120}$ is not divisible by 16, we stop.", "120"),
    ("So $\\boxed{75\\%}$ is not filler.", "75\\%"),
    ("$x = \\boxed{42} \\approx 42.0$", "42"),
    ("Since x is not 3, we get \\boxed{42}", "42"),
    ("- \\boxed{42}", "42"),
    ("-\\boxed{42}", "-42"),
    ("$x = -\\boxed{42}$", "-42"),
    ("<answer>42</answer> million", "42 million"),
    ("Answer: 42", "42"),
    ("reasoning\n**Answer:** 42", "42"),
    ("**Final Answer**: 42.", "42"),
    ("### Final answer: 42", "42"),
    ("The answer is 42.", "42"),
    ("First 6 * 7. So the answer is 42", "42"),
    ("Therefore, the final answer is: $42$.", "$42$"),
    ("Thus, the correct answer is 42 clips.", "42 clips"),
    ("The answer to this problem is 42. I hope that helps.", "42"),
    ("Final Answer: The final answer is $28 \\%$. I hope it is correct.", "$28 \\%$"),
    ("#### 42", "42"),
    ("6 * 7 = <<6*7=42>>42\n#### 42", "42"),
    ("<answer>42</answer>", "42"),
    ("<answer>\nx < 5\n</answer>", "x < 5"),
    ("Answer: 42\nThe answer is 42.", "42"),
    ("\\boxed{42}" * 400, "42"),
    ("x = \\boxed{41} and y = \\boxed{42}", "x = 41, y = 42"),
    ("$x = \\boxed{41}$ or $x = \\boxed{42}$", "41, 42"),
    ("Answer: 42\n" * 1000, "42"),
    ("\\boxed{1} and \\boxed{2}", "1, 2"),
    ("\\[\\boxed{(1,2)} \\quad \\text{and} \\quad \\boxed{(2,1)}\\]", "(1,2), (2,1)"),
    ("$\\boxed{1}$, $\\boxed{2}$, and $\\boxed{3}$", "1, 2, 3"),
    ("\\boxed{42}, \\boxed{42}", "42"),
    ("so it is 42. Final Answer: The final answer is $42$. I hope it is correct.", "$42$"),
    ("Final Answer: The largest $n$ is 34.", "34"),
    ("## Final Answer\n\n42\n", "42"),
    ("**Final Answer:**\n\\[\n\\frac{1}{2}\n\\]\nDone.", "\\frac{1}{2}"),
    ("The answer is:\n$$42$$", "$$42$$"),
    ("The answer is 42 because 6 * 7 is.", "42"),
    ("<think>a<think>b</think>\\boxed{41}</think>\\boxed{42}", "42"),
    ("<thinking>\\boxed{41}</thinking>\\boxed{42}", "42"),
    ("[THINK]\\boxed{41}[/THINK]\\boxed{42}", "42"),
    ("42", "42"),
    ("  -1,234.5 \n", "-1,234.5"),
    ("\\frac{1}{2}", "\\frac{1}{2}"),
    ("<think>is it \\boxed{41}?</think>\\boxed{42}", "42"),
    ("I think 41 </think> The answer is 42.", "42"),
    ("<think>a</think>42", "42"),
]
NONE = [
    "",
    " \n ",
    "I do not know.\nPerhaps something else.",
    "Let us see: first we add the two, and then we take away seven of them",
    "6 * 7 gives 42\nand that is that",
    "<think>\\boxed{42}</think>",
    "<think>The answer is 42.",
    "\\boxed{42}</think>",
    "<think>a</think><think>\\boxed{42}",
    "<think><think>a</think>\\boxed{42}</think>",
    "<Think >\\boxed{42}",
    "Is the answer 42?\nMaybe.",
    "If x were 3, the answer is 42.\nBut it is not.",
    "I don't think the answer is 42.\nIt cannot be.",
]
CONFLICT = [
    "\\boxed{41} maybe \\boxed{42}",
    "\\boxed{41} \\boxed{42}",
    "\\boxed{41}, \\boxed{42}. So \\boxed{42}",
    "x = \\boxed{41} and so x = \\boxed{42}",
    "Final Answer: 41. Final Answer: 42.",
    "\\boxed{42} is wrong.",
    "$\\boxed{42}$ is certainly not the answer.",
    "Anything but \\boxed{42}.",
    "We rule out \\boxed{42}.",
    "\\boxed{42",
    "\\boxed{42} and then \\boxed{4",
    "Answer: 41\nAnswer: 42",
    "The answer is 41. The answer is 42.",
    "<answer>41</answer> <answer>42</answer>",
    "<answer>42</answer> wait <answer>4",
    "\\boxed{42}\nAnswer: 41",
    "#### 41\n\\boxed{42}",
    "The answer is not \\boxed{42}",
    "It isn't $\\boxed{42}$",
    "x \\neq \\boxed{42}",
    "x \\ne $\\boxed{42}$",
    "x ≠ \\boxed{42}",
    "$y = 3 - \\boxed{42}$",
    "\\boxed{42}_5",
    "\\boxed{42}^2",
    "\\boxed{4}2",
    "\\boxed{42} \\times 10",
    "".join(f"\\boxed{{{i}}}" for i in range(100)),
    "\\boxed{" * 1000,
    "\\boxed{" * 300 + "}" * 300,
    "".join(f"Answer: {i}\n" for i in range(100)),
]


@pytest.mark.parametrize(("response", "answer"), ONE)
def test_the_final_answer(response: str, answer: str) -> None:
    final = final_answer(response)
    assert (final.text, final.conflict) == (answer, False)
    assert final.shown == answer


@pytest.mark.parametrize("response", NONE)
def test_no_answer(response: str) -> None:
    final = final_answer(response)
    assert (final.text, final.conflict) == (None, False)


@pytest.mark.parametrize("response", CONFLICT)
def test_conflict(response: str) -> None:
    final = final_answer(response)
    assert (final.text, final.conflict) == (None, True)
    assert len(final.shown or "") <= 200


def test_same_decides_whether_two_answers_agree() -> None:
    assert final_answer("\\boxed{1/2} \\boxed{0.5}").conflict
    assert final_answer("\\boxed{1/2} \\boxed{0.5}", same=lambda a, b: True).text == "0.5"


def test_whole_decides_what_is_nothing_but_an_answer() -> None:
    assert final_answer("a\nb").text is None
    assert final_answer("a\nb", whole=lambda text: True).text == "a\nb"
    assert final_answer("42", whole=lambda text: False).text is None


@pytest.mark.parametrize(
    ("response", "boxed", "final", "whole"),
    [
        ("\\boxed{42}", "42", None, "\\boxed{42}"),
        ("Answer: 42", None, "42", "Answer: 42"),
        ("42", None, None, "42"),
        ("Answer: 41\n\\boxed{42}", "42", "41", None),
        ("<think>\\boxed{42}</think>", None, None, None),
    ],
)
def test_a_narrower_place(response: str, boxed: str | None, final: str | None, whole: str | None) -> None:
    places = ["boxed", "final", "whole"]
    for place, expected in zip(places, (boxed, final, whole), strict=True):
        with narrowed(place):
            assert final_answer(response).text == expected
    assert final_answer("\\boxed{42}").text == "42"


def test_only_the_end_of_a_long_response_is_read() -> None:
    assert final_answer("\\boxed{41}" + " " * MAX_RESPONSE + "\\boxed{42}").text == "42"


def test_thinking() -> None:
    assert without_thinking("a<think>b</think>c<think>d</think>e") == "ace"
    assert without_thinking("b</think>c") == "c"
    assert without_thinking("a<think>b") == "a"
    assert without_thinking("plain") == "plain"


STATING = [
    "\\boxed{X}",
    "$\\boxed{X}$",
    "not \\boxed{X}",
    "\\boxed{X}?",
    "~~\\boxed{X}~~",
    "Answer: X",
    "Answer $X$",
    "The answer is X.",
    "He says the answer is X.",
    "The answer is not X.",
    "X is the answer.",
    "<answer>X</answer>",
    "#### X",
    '{"answer": "X"}',
    "X",
]
GLUE = ["\n\n", " ", ". ", ", ", " or ", " and ", " = ", ". Wait, no: ", " (alternatively) "]


@pytest.mark.parametrize("first", STATING)
def test_two_guesses_never_pay_for_both(first: str) -> None:
    for second in STATING:
        for glue in GLUE:
            response = first.replace("X", "42") + glue + second.replace("X", "43")
            assert not (grade(response, "42").correct and grade(response, "43").correct), response


HOSTILE = ["\\boxed{", "}", "<answer>", "</answer>", "<think>", "</think>", "Answer: ", "the answer is ", "#### ", "\n"]
HOSTILE += ["-", "* ", " ", "\\", "{", "$", "not ", ". A", "42", "\\boxed{\\boxed{", "So the ", "**"]


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_pattern_is_slow(piece: str) -> None:
    response = (piece * MAX_RESPONSE)[: MAX_RESPONSE - 12]
    begun = time.process_time()
    for text in (response, response + "\\boxed{42}", "Answer: " + response, "\\boxed{" + response):
        final_answer(text)
    assert time.process_time() - begun < 2.0


@given(st.lists(st.sampled_from(HOSTILE), max_size=40))
def test_any_mix_is_one_of_three(pieces: list[str]) -> None:
    final = final_answer("".join(pieces))
    assert not (final.conflict and final.text is not None)
