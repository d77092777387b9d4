from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest

from simko.envs import grade
from simko.envs.puzzles.knights import KnightsKnaves, Statement, holds, say, solutions

KNIGHT_AND_KNAVE = (True, False)


@pytest.mark.parametrize(
    ("statement", "true"),
    [
        (("is_knight", (1,)), False),
        (("is_knave", (1,)), True),
        (("same", (1,)), False),
        (("different", (1,)), True),
        (("either_knave", (0, 1)), True),
        (("both_knights", (0, 1)), False),
        (("knaves", (1,)), True),
        (("knaves", (2,)), False),
    ],
)
def test_statements_mean_what_they_say(statement: Statement, true: bool) -> None:
    assert holds(statement, 0, KNIGHT_AND_KNAVE) is true


def test_solutions_are_all_there_are() -> None:
    assert solutions([("is_knave", (1,)), ("is_knave", (0,))]) == [(False, True), (True, False)]
    assert solutions([("different", (1,)), ("is_knave", (0,))]) == [(True, False)]
    assert solutions([("knaves", (2,)), ("is_knight", (0,))]) == []


@pytest.mark.parametrize("level", KnightsKnaves.levels)
def test_the_problem_read_back_has_one_solution_the_gold(level: int) -> None:
    """An independent reading of the English text: no code shared with the generator."""
    made, rng = KnightsKnaves("train", level), np.random.default_rng(level)
    for _ in range(25):
        task = made.draw(rng)
        statements = re.findall(r'(\w+) says: "([^"]+)"', task.problem)
        names = [name for name, _ in statements]
        solutions = []
        for honest in itertools.product((True, False), repeat=level):
            role = dict(zip(names, honest, strict=True))
            if all(read(text, name, role) == role[name] for name, text in statements):
                solutions.append({name: "knight" if h else "knave" for name, h in role.items()})
        assert solutions == [json.loads(task.gold)]


def read(text: str, speaker: str, role: dict[str, bool]) -> bool:
    text = re.sub(r"\b(me|I)\b", speaker, text)
    if match := re.fullmatch(r"(\w+) is a (knight|knave)\.", text):
        return role[match[1]] == (match[2] == "knight")
    if match := re.fullmatch(r"(\w+) and (\w+) are of the same kind\.", text):
        return role[match[1]] == role[match[2]]
    if match := re.fullmatch(r"(\w+) and (\w+) are of different kinds\.", text):
        return role[match[1]] != role[match[2]]
    if match := re.fullmatch(r"At least one of (\w+) and (\w+) is a knave\.", text):
        return not (role[match[1]] and role[match[2]])
    if match := re.fullmatch(r"(\w+) and (\w+) are both knights\.", text):
        return role[match[1]] and role[match[2]]
    match = re.fullmatch(r"Exactly (\d) of all (\d) of us (?:is a knave|are knaves)\.", text)
    assert match, text
    return sum(not h for h in role.values()) == int(match[1])


def test_names_do_not_bring_a_puzzle_across_the_split() -> None:
    def structures(split: str) -> set[str]:
        made, rng = KnightsKnaves(split, 2), np.random.default_rng(0)
        texts = set()
        for _ in range(200):
            problem = made.draw(rng).problem
            first, second = re.search(r"You meet (\w+) and (\w+)\.", problem).groups()  # type: ignore[union-attr]
            texts.add(problem.replace(first, "X").replace(second, "Y"))
        return texts

    assert not structures("train") & structures("eval")


def test_me_and_i() -> None:
    names = ["Ann", "Bo"]
    assert say(("either_knave", (0, 1)), 0, names) == "At least one of Bo and me is a knave."
    assert say(("both_knights", (0, 1)), 1, names) == "Ann and I are both knights."
    assert say(("knaves", (1,)), 0, names) == "Exactly 1 of all 2 of us is a knave."


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
def test_what_the_verifier_says(response: str, outcome: str) -> None:
    assert grade(response, ROLES, "knights").outcome == outcome
