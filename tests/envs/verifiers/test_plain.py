"""exact, choice and numeric."""

from __future__ import annotations

import pytest

from simko.envs import grade


@pytest.mark.parametrize(
    ("response", "gold", "outcome"),
    [
        ("a b", "a b", "correct"),
        (" a \n b ", "a b", "correct"),
        ("Answer: a b", "a b", "correct"),
        ("\\boxed{a  b}", "a b", "correct"),
        ("A b", "a b", "incorrect"),
        ("ab", "a b", "incorrect"),
        ("Answer: a b\nAnswer: c", "a b", "incorrect"),
        ("Answer: a b or c", "a b", "incorrect"),
        ("well\nwell", "a b", "no_answer"),
        ("one\ntwo", "one two", "correct"),
        ("x", " ", "error"),
    ],
)
def test_exact(response: str, gold: str, outcome: str) -> None:
    assert grade(response, gold, "exact").outcome == outcome


@pytest.mark.parametrize(
    ("response", "gold", "verifier", "correct"),
    [
        ("Answer: Ange\u0301lique", "Angélique", "exact", True), ("Angélique", "Ange\u0301lique", "exact", True),
        ("Angelique", "Angélique", "exact", False), ("ange\u0301lique", "ANGÉLIQUE", "exact:nocase", True),
        ("x2", "x²", "exact", False),
        ("DİYARBAKIR", "diyarbakır", "exact:nocase", True), ("İzmir", "izmir", "exact:nocase", True),
        ("İzmir", "izmir", "exact", False),
        ("Große", "GROSSE", "exact:nocase", True), ("Angélique", "Ange\u0301lique", "bbh", True),
    ],
)  # fmt: skip
def test_letters_of_unicode(response: str, gold: str, verifier: str, correct: bool) -> None:
    assert grade(response, gold, verifier).correct is correct


@pytest.mark.parametrize(
    ("response", "correct"),
    [
        ("Option (C) is correct.", True), ("C is the right answer", True), ("So (C) is correct.", True),
        ("I choose C.", True),
        ("The best choice is (C).", True), ("We look at each.\n\nOption C is correct.", True), ("（C）", True),
        ("Ｃ", True), ("Option: C", True),
        ("\\boxed{\\text{Option (C) is correct}}", True), ("Option (A) is wrong.\nOption (C) is correct.", True),
        ("Option (C) is incorrect.", False), ("Option (C) is not correct.", False), ("Is (C) correct?", False),
        ("C is correct. A is correct.", False),
        ("A is correct.\nC is correct.", False), ("If (C) is correct, then A", False),
        ("Options (C) and (A) are correct.", False),
        ("He says (C) is correct.", False), ("C. 12 or A. 13", False),
        ("Option (C) is correct, I thought.\nNo.", False),
    ],
)  # fmt: skip
def test_a_sentence_that_states_a_choice(response: str, correct: bool) -> None:
    assert grade(response, "(C)", "choice").correct is correct
    assert grade(response, "(C)", "bbh").correct is correct


def test_a_choice_in_a_sentence_stands_in_no_box() -> None:
    assert grade("We see it.\nOption C is correct.", "C", "choice:final").correct
    assert grade("We see it.\nOption C is correct.", "C", "choice:boxed").outcome == "no_answer"


def test_exact_without_case() -> None:
    assert grade("Answer: STRASSE", "straße", "exact:nocase").correct
    assert not grade("Answer: STRASSE", "straße", "exact").correct


@pytest.mark.parametrize(
    ("response", "gold", "correct"),
    [
        ("(A)", "(A)", True),
        ("A", "(A)", True),
        ("a.", "A", True),
        ("The answer is (B).", "(B)", True),
        ("\\boxed{\\text{(C)}}", "(C)", True),
        ("**Answer:** (D) 12 apples", "(D)", True),
        ("Answer: D. 12 apples", "(D)", True),
        ("Answer: option B", "(B)", True),
        ("True", "True", True),
        ("Answer: yes.", "Yes", True),
        ("The answer is valid.", "valid", True),
        ("B", "(A)", False),
        ("Answer: (A) or (B)", "(A)", False),
        ("Answer: (A), (B)", "(A)", False),
        ("Answer: (A)/(B)", "(A)", False),
        ("Answer: A and B", "(A)", False),
        ("Answer: not (A)", "(A)", False),
        ("The answer is A. The answer is B.", "(A)", False),
        ("invalid", "valid", False),
        ("not valid", "valid", False),
        ("yes and no", "yes", False),
        ("A cat", "(A)", False),
        ("ABCD", "(A)", False),
    ],
)
def test_choice(response: str, gold: str, correct: bool) -> None:
    assert grade(response, gold, "choice").correct is correct


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        ("8", "correct"),
        ("8.0", "correct"),
        ("The answer is 8.", "correct"),
        ("The answer is 8 apples.", "correct"),
        ("\\boxed{8}", "correct"),
        ("3 + 5 = 8", "correct"),
        ("x = 8", "correct"),
        ("x = 3 + 5 = 8", "correct"),
        ("\\frac{24}{3} = 8", "correct"),
        ("\\frac{25}{3} = 8", "incorrect"),
        ("2^3 = 8", "correct"),
        ("4!/3 = 8", "correct"),
        ("20\\% \\times 40 = 8", "correct"),
        ("20\\% \\times 50 = 8", "incorrect"),
        ("\\boxed{\\$3 + \\$5 = \\$8}", "correct"),
        ("3 apples + 5 apples = 8 apples", "correct"),
        ("3 apples + 6 apples = 8 apples", "incorrect"),
        ("16/2", "correct"),
        ("**8**", "correct"),
        ("3 + 5 = 9", "incorrect"),
        ("9 = 8", "incorrect"),
        ("3 + 6 = 8", "incorrect"),
        ("8 = 3 + 5", "incorrect"),
        ("3 + 5", "incorrect"),
        ("What is 3 + 5?", "incorrect"),
        ("8 or 9", "incorrect"),
        ("-8", "incorrect"),
        ("8 thousand", "incorrect"),
        ("8.0000001", "incorrect"),
        ("Answer: 8\nAnswer: 9", "incorrect"),
        ("8\n9", "no_answer"),
        ("", "no_answer"),
        ("To add three and five we need to combine the numbers in some way", "no_answer"),
    ],
)
def test_numeric(response: str, outcome: str) -> None:
    assert grade(response, "8", "numeric").outcome == outcome


@pytest.mark.parametrize(
    ("answer", "gold", "correct"),
    [
        ("100.09", "100", True),
        ("100.11", "100", False),
        ("99.91", "100", True),
        ("-100", "100", False),
        ("0.0000001", "0", False),
        ("1.001e-9", "1e-9", True),
        ("1.1e-9", "1e-9", False),
        ("-5.001", "-5", True),
    ],
)
def test_numeric_tolerance_is_relative(answer: str, gold: str, correct: bool) -> None:
    assert grade(answer, gold, "numeric:1e-3").correct is correct


@pytest.mark.parametrize(
    ("response", "gold", "correct"),
    [
        ("#### ] ) >", "] ) >", True),
        ("####\n] ) >", "] ) >", True),
        ("#### ] )", "] ) >", False),
        ("####\nTrue", "True", True),
    ],
)
def test_hashes_before_an_answer_of_bbh(response: str, gold: str, correct: bool) -> None:
    assert grade(response, gold, "bbh").correct is correct
