from __future__ import annotations

import pytest

from simko.envs.verifiers.answer.statements import (
    first_sentence,
    inner_answer,
    is_value,
    plain_line,
    sentence_answer,
    statements,
    whole_answer,
    without_reason,
)

SAID = [
    "The answer is 42", "So the final answer is 42", "Therefore, our answer = 42",
    "Since 6 * 7 = 42, the answer is 42", "We see that the answer is 42", "I think the answer is 42",
    "This means the answer is 42", "The answer to the problem is 42", "This gives a final answer of 42",
    "42 is the answer", "So 42 is our final answer", "Hence, the answer must be 42", "The answer is simply 42",
    "Answer $42$", "Answer \\[42\\]", "So the final answer $42$.", "答案是42", "Die Antwort lautet: 42",
    "La respuesta final es: 42", "The final result is 42", "x = 6, and the answer is 42",
]  # fmt: skip
NOT_SAID = [
    "He claims that the answer is 42", "I don't think the answer is 42", "If x were 3, the answer is 42",
    "The wrong answer is 42", "Student answer: 42", "Is the answer 42?", "Twice the answer is 42",
    "For n = 2 the answer is 42", "42 is an answer", "The answer to another question is 42", "The answer isn't 42",
    "The answer might be 42", "Answer 1: 42", "Answer A: 42", "Answer choices 9 and 42", "Answer key $42$",
    "Answer $42$ or $43$", "Answer $42$ is wrong", "Answer choices $42$", "Answer 42",
    "42 is the answer to another question", "The sum is 42",
]  # fmt: skip


@pytest.mark.parametrize("sentence", SAID)
def test_a_sentence_that_states_the_answer(sentence: str) -> None:
    answer = sentence_answer(sentence)
    assert answer is not None
    assert without_reason(answer).strip("$\\[]") == "42"


@pytest.mark.parametrize("sentence", NOT_SAID)
def test_a_sentence_that_does_not(sentence: str) -> None:
    assert sentence_answer(sentence) is None
    assert statements(sentence) == []


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("Answer: 41\nAnswer: 42", ["41", "42"]),
        ("Answer: 42\nThen.\nAnswer: 42", ["42"]),
        ("The answer is not 41. The answer is 42.", ["42"]),
        ("The answer is not 42.", ["not 42"]),
        ("The answer is 42. Wait, that is wrong.", ["42"]),
        ("#### Step 1\nAdd.\n#### 42", ["42"]),
        ("<answer>41</answer><answer>4", ["41", "<answer>"]),
        ('{"answer": [1, 2]}', ["1, 2"]),
        ('{"wrong_answer": 42}', []),
        ("## Final answer\n\n$$\n42\n$$", ["42"]),
        ("The answer is:\nsome long prose that is no answer at all, of many words", []),
    ],
)
def test_statements(text: str, answers: list[str]) -> None:
    assert statements(text) == answers


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("42, because 6 * 7 is.", "42"),
        ("42 (rounded to the nearest integer)", "42"),
        ("42, as required.", "42"),
        ("42 or 43", "42 or 43"),
        ("42, which is wrong", "42, which is wrong"),
        ("42!", "42!"),
        ("0.333...", "0.333..."),
        ("**42** ✅", "42"),
    ],
)
def test_what_follows_the_answer_is_cut_where_it_is_a_reason(text: str, answer: str) -> None:
    assert without_reason(text) == answer


def test_an_answer_within_an_answer() -> None:
    assert inner_answer("The final answer is $42$.") == "$42$"
    assert inner_answer("The largest $n$ is 34.") == "34"
    assert inner_answer("It is 42.") == "42"


def test_a_line_without_its_marks() -> None:
    for line in (
        "2. **Answer: 42**",
        "- Answer: 42",
        "### Answer: 42",
        "\\textbf{Answer: 42}",
        "<b>Answer:</b> 42",
        "(a) Answer: 42",
    ):
        assert plain_line(line) == "Answer: 42"
    assert plain_line("2**3") == "2**3"


def test_sentences() -> None:
    assert first_sentence("It is 4.2. Then more.") == ("It is 4.2.", "Then more.")
    assert first_sentence("42; this can be checked") == ("42", "this can be checked")
    assert first_sentence("At 4 p.m. it is") == ("At 4 p.m. it is", "")


def test_a_whole_response() -> None:
    assert whole_answer(" = 42 ") == "42"
    assert whole_answer("```\n42\n```") == "42"
    assert whole_answer("It is 42.") == "42"


def test_values() -> None:
    for text in ("42", "-3", "x^2+1", "(3, 5)", "\\sqrt{2}", "\\frac{1}{2}"):
        assert is_value(text), text
    for text in ("", "the end", "see above", "42 of them", "x is even", "a" * 200):
        assert not is_value(text), text
    assert is_value("43 apples", "42")
    assert is_value("Rome", "Paris")
    assert not is_value("clear", "Paris")


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ('<answer type="int">7</answer>', ["7"]),
        ("<answer id=1>7</answer >", ["7"]),
        ("<answer\n>7</ answer>", ["7"]),
        ("&lt;answer&gt;7&lt;/answer&gt;", ["7"]),
        ("<Solution>\n7\n</SOLUTION>", ["7"]),
        ("<solution>The answer is 7.</solution>", ["7"]),
        ("<solution>\nWe add 3 and 4.\nThat is all there is to do.\n</solution>\n#### 7", ["7"]),
        ("<solution>First we add.\n<answer>7</answer></solution>", ["7"]),
        ('<answer>7</answer> <answer id="2">8</answer>', ["7", "8"]),
        ('<answer>7</answer>\n<answer id="2">8', ["7", "<answer>"]),
        ("<answer>write <answer> here</answer>", []),
        ("<answered>7</answered>", []),
        ("<solution>7", []),
        ("#### = 7", ["7"]),
        ("####\n7", ["7"]),
        ("#### \n\n$7$", ["$7$"]),
        ("\\#\\#\\#\\# 7", ["7"]),
        ("**#### 7**", ["7"]),
        ("#### 7 ####", ["7"]),
        ("####\nTrue", ["True"]),
        ("####\nStep 7", []),
        ("####\nStep 1\nWe add.", []),
        ("####\n7 apples and more words follow\nthen", []),
        ("##### 7", []),
    ],
)
def test_tags_and_hashes_in_other_forms(text: str, answers: list[str]) -> None:
    assert statements(text) == answers
