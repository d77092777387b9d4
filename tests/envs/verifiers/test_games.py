"""knights, tree_mdp and guess_number."""

from __future__ import annotations

import pytest

from simko.envs import grade

ROLES = '{"Ann": "knight", "Bo": "knave"}'


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        ("Answer: Ann is a knight, Bo is a knave", "correct"),
        ("Answer: Bo is a knave, Ann is a knight.", "correct"),
        ("**Answer:** Ann is a knight and Bo is a knave.", "correct"),
        ("Ann: knight\nBo: knave", "correct"),
        ("- Ann: Knight\n- Bo: Knave\n", "correct"),
        ("\\boxed{Ann = knight, Bo = knave}", "correct"),
        ("So the answer is Ann is a knight, Bo is a knave.", "correct"),
        ("Answer: Ann is a knave, Bo is a knight", "incorrect"),
        ("Answer: Ann is a knight", "incorrect"),
        ("Answer: Ann is a knight, Bo is a knave, Cy is a knave", "incorrect"),
        ("Answer: Ann is a knight, Ann is a knave, Bo is a knave", "incorrect"),
        ("Answer: Ann is a knight, Bo is a knave or a knight", "incorrect"),
        ("Answer: Ann is not a knight, Bo is a knave", "incorrect"),
        ("Answer: Ann is a knight, Bo is a knave\nAnswer: Ann is a knave, Bo is a knave", "incorrect"),
        ("Suppose Ann is a knight. Then Bo is a knave.\nThat fits.", "no_answer"),
        ("", "no_answer"),
    ],
)
def test_knights(response: str, outcome: str) -> None:
    assert grade(response, ROLES, "knights").outcome == outcome


@pytest.mark.parametrize(
    ("response", "outcome", "path"),
    [
        ("ACD", "correct", "ACD"),
        (" ACD\n", "correct", "ACD"),
        ("A, C, D", "correct", "ACD"),
        ("A -> C -> D", "correct", "ACD"),
        ("Answer: BDC", "correct", "BDC"),
        ("AAA", "incorrect", "AAA"),
        ("AC", "incorrect", "AC"),
        ("ACDB", "incorrect", "ACDB"),
        ("Answer: ACD or BDC", "incorrect", None),
        ("acd", "no_answer", None),
        ("ACD BDC\nACB", "no_answer", None),
    ],
)
def test_tree_mdp(response: str, outcome: str, path: str | None) -> None:
    verdict = grade(response, '["ACD", "BDC"]', "tree_mdp")
    assert verdict.outcome == outcome
    if path:
        assert verdict.extracted == path


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        ("42", "correct"),
        ("41\n42", "correct"),
        ("My guess is 42.", "correct"),
        ("41\nThen it must be 42!\n", "correct"),
        ("42\n41", "incorrect"),
        ("41\n4", "incorrect"),
        ("41 42", "no_answer"),
        ("42\n41 or 42", "no_answer"),
        ("-42", "no_answer"),
        ("42.5", "no_answer"),
        ("4,2", "no_answer"),
        ("1042", "incorrect"),
        ("", "no_answer"),
        ("9" * 40, "no_answer"),
    ],
)
def test_guess_number_counts_the_last_line_only(response: str, outcome: str) -> None:
    assert grade(response, "42", "guess_number").outcome == outcome
