"""Rule checkers from arrow mazes to the 24 game, on puzzles of our own."""

from __future__ import annotations

import itertools
import json
import os
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timing import timed

from simko.envs import grade
from simko.envs.data.synlogic import SynLogic
from simko.envs.verifiers.synlogic import CHECKERS, get_checker, require_checker
from simko.errors import UserError

LATIN3 = "[[1 2 3,2 3 1,3 1 2]]"
OWNERS = "(('Ann','red pen'),('Bob','blue cup'))"
REGIONS = [
    {"cells": ["(1,1)", "(1,2)"], "target": 2, "operator": "÷"},
    {"cells": ["(1,3)", "(2,3)", "(2,2)"], "target": 6, "operator": "+"},
    {"cells": ["(2,1)", "(3,1)"], "target": 2, "operator": "-"},
    {"cells": ["(3,2)"], "target": 3, "operator": "+"},
]
GAMES: dict[str, dict[str, Any]] = {
    "arrow_maze": {"metadata": {"maze": [["2", "X", "X"], ["X", "1", "X"], ["1", "X", "1"]]}},
    "boolean_expressions": {"answer": "A,C", "metadata": {}},
    "buggy_tables": {"answer": "1234.50"},
    "calcudoko": {"metadata": {"grid_size": 3, "regions": REGIONS}},
    "campsite": {
        "metadata": {
            "grid": [["T", "X", "X"], ["X", "X", "T"], ["X", "X", "X"]],
            "row_constraints": [1, 0, 1],
            "col_constraints": [0, 1, 1],
        }
    },
    "cryptarithm": {"metadata": {"letter_words": ["AB", "B", "CC"], "operators": ["+"]}},
    "dyck_language": {"metadata": {"question_sequence": "[()({"}},
    "dyck_language_errors": {"metadata": {"bracket_string": "[(])"}},
    "dyck_language_reasoning_errors": {"metadata": {"error_indices": [3, 11]}},
    "futoshiki": {
        "answer": [[1, 2, 3], [2, 3, 1], [3, 1, 2]],
        "metadata": {"grid_size": 3, "prefilled_coords": [[0, 0]], "constraints": [[[1, 1], [2, 1], ">"]]},
    },
    "goods_exchange": {"metadata": {"owns_after": OWNERS}},
    "kukurasu": {"metadata": {"row_sums": [3, 3, 1], "col_sums": [4, 1, 2]}},
    "math_path": {"metadata": {"query_expr": "?*2-(?/?)%3 = 5"}},
    "mathador": {"metadata": {"numbers": [1, 5, 5, 5], "operators": ["+", "-", "*", "/"], "result": 24}},
}
RIGHT: dict[str, list[str]] = {
    "arrow_maze": [
        "```python\n[['2','→','→'],['←','1','↑'],['1','→','1']]\n```",
        "[['2','→','→'],['↑','1','→'],['1','←','1']]",
    ],
    "boolean_expressions": [
        r"\boxed{A,C}",
        r"\boxed{C, A}",
        r"\boxed{\text{A and C}}",
        "So:\nA, C",
        "The answer is A and C.",
        "答案是 A、C。",
    ],
    "buggy_tables": [
        '```json\n{"result": [{"answer": "1234.50"}]}\n```',
        '{"result": [{"answer": 1234.50}]}',
        "1234.50",
        r"\boxed{1,234.50}",
        'I work.\n{"result": [{"answer": "1234.50"}]} that is it',
    ],
    "calcudoko": ["[[2 1 3,3 2 1,1 3 2]]"],
    "campsite": ["[['T','C','X'],['X','X','T'],['X','X','C']]", '[["T","C","X"],["X","X","T"],["X","X","C"]]'],
    "cryptarithm": ["37 + 7 = 44", "The answer is $37 + 7 = 44$.", "58+8=66"],
    "dyck_language": ["[()({})]", "`[()({})]`", r"\boxed{[()({})]}", r"\boxed{[()(\{\})]}", "The whole is: [()({})]"],
    "dyck_language_errors": ["3", r"\boxed{3}", "The answer is 3.", "答案是3"],
    "dyck_language_reasoning_errors": ["3,11", "11, 3", '"3,11"', r"\boxed{3,11}", "The answer is 3, 11."],
    "futoshiki": [LATIN3, "[[1 3 2,3 2 1,2 1 3]]", "```\n[[1, 2, 3], [2, 3, 1], [3, 1, 2]]\n```"],
    "goods_exchange": [
        OWNERS,
        "```python\n(('Bob', 'blue cup'), ('Ann', 'red pen'))\n```",
        '[["Ann","red pen"],["Bob","Blue cup"]]',
    ],
    "kukurasu": ["[['1','1','X'],['X','X','1'],['1','X','X']]"],
    "math_path": ["[[3*2-(5/5)%3 = 5]]", "[[ 3 * 2 - ( 1 / 1 ) % 3 = 5 ]]", "[[3×2−(4÷4)%3 = 5]]", "[[3*2-(4/1)%3=5]]"],
    "mathador": ["```python\n5 * (5 - 1 / 5)\n```", "(5 - 1/5) * 5", "The answer is (5 - 1/5) * 5 = 24."],
}
WRONG: dict[str, list[str]] = {
    "arrow_maze": [
        "[['2','→','→'],['←','1','↑'],['1','→','2']]",
        "[['2','→','→'],['←','1','X'],['1','→','1']]",
        "[['2','→','→'],['←','1','↑']]",
        "[['2','→','→'],['←','1','↓'],['1','→','1']]",
        "[['2','→','←'],['←','1','↑'],['1','→','1']]",
    ],
    "boolean_expressions": [r"\boxed{A}", r"\boxed{A,B,C}", r"\boxed{A,C,C}", r"\boxed{A,C or B}", r"\boxed{}"],
    "buggy_tables": ["1234.51", "1234", '{"result": [{"answer": "1234.50 or 1"}]}', r"\boxed{-1234.50}"],
    "calcudoko": ["[[1 2 3,2 3 1,3 1 2]]", "[[2 1 3,3 2 1,1 3]]", "[[2 1 3,3 2 1]]", "[[2 1 3,2 1 3,2 1 3]]", "[[a b,c d]]"],
    "campsite": [
        "[['T','X','X'],['X','X','T'],['X','C','C']]",
        "[['X','C','X'],['X','X','T'],['X','X','C']]",
        "[['T','C','X'],['X','X','T'],['C','X','X']]",
        "[['T','C','X'],['X','X','T']]",
        "[['T','C','T'],['X','X','T'],['X','X','C']]",
    ],
    "cryptarithm": ["37 + 7 = 45", "37 + 8 = 45", "07 + 7 = 14", "37 - 7 = 30", "22 + 2 = 24", "44 = 37 + 7", "37+7"],
    "dyck_language": ["[()({}]", "[()(})]", "({})]", "[()({})", "()({})", "[()({})]]"],
    "dyck_language_errors": ["5", "-1", "4", r"\boxed{03.5}"],
    "dyck_language_reasoning_errors": ["3", "3,12", "3,11,12", '""', "11"],
    "futoshiki": ["[[2 1 3,3 2 1,1 3 2]]", "[[1 3 2,2 1 3,3 2 1]]", "[[1 2 3,2 3 1,3 1 1]]", "[[1 2,2 1]]"],
    "goods_exchange": [
        "(('Ann','blue cup'),('Bob','red pen'))",
        "(('Ann','red pen'),)",
        "(('Ann','red pen'),('Bob','blue cup'),('Cy','cup'))",
        "(('Ann','red pen'),('Bob','blue cup'),('Bob','blue cup'))",
    ],
    "kukurasu": [
        "[['1','1','X'],['X','X','1'],['X','X','X']]",
        "[['X','X','1'],['X','X','1'],['1','X','X']]",
        "[['1','1','0'],['0','0','1'],['1','0','0']]",
        "[['1','1','X'],['X','X','1']]",
    ],
    "math_path": ["[[3*2-(5/5)%2 = 5]]", "[[3*2-(5/0)%3 = 5]]", "[[13*2-(5/5)%3 = 5]]", "[[3*2-1 = 5]]", "[[2*2-(5/5)%3 = 5]]"],
    "mathador": [
        "```python\n5 * 5 - 1\n```",
        "```python\n5 + 5 + 5 + 1\n```",
        "```python\n24\n```",
        "```python\n5 ** 5 - 1 - 5 - 5\n```",
        "```python\n5 * (5 - 1 // 5)\n```",
        "```python\n__import__('os')\n```",
    ],
}  # fmt: skip
CASES = [(key, response) for key, responses in RIGHT.items() for response in responses]
MISSES = [(key, response) for key, responses in WRONG.items() for response in responses]


def verdict(key: str, response: str, **metadata: Any) -> str:
    game = {**GAMES[key], "metadata": {**GAMES[key].get("metadata", {}), **metadata}}
    return grade(response, json.dumps({"key": key, "game": game}), "synlogic").outcome


def test_every_key_has_cases() -> None:
    assert set(GAMES) == set(RIGHT) == set(WRONG) == set(sorted(CHECKERS)[:14])


@pytest.mark.parametrize(("key", "response"), CASES)
@pytest.mark.parametrize(
    "wrapped", ["{}", "<think>[[9]] or 9?</think>\n{}", "<think>x</think><answer>\n{}\n</answer>", "So it is:\n\n{}"]
)
def test_what_satisfies_the_rules_is_correct(key: str, response: str, wrapped: str) -> None:
    assert verdict(key, wrapped.replace("{}", response)) == "correct"


@pytest.mark.parametrize(("key", "response"), MISSES)
def test_what_breaks_a_rule_is_incorrect(key: str, response: str) -> None:
    assert verdict(key, response) in ("incorrect", "no_answer")


@pytest.mark.parametrize("key", GAMES)
@pytest.mark.parametrize("response", ["", "I do not know.", "<think>" + "x" * 50, "```\n```"])
def test_no_answer(key: str, response: str) -> None:
    assert verdict(key, response) == "no_answer"


@pytest.mark.parametrize("key", GAMES)
@given(response=st.text(max_size=80) | st.text("[](){}'\",:0123456789ABTCX1↑→+-*/%=?.$` \n\\boxed", max_size=120))
def test_no_response_raises(key: str, response: str) -> None:
    assert verdict(key, response) in ("correct", "incorrect", "no_answer")


HOSTILE = ["[" * 100_000, "[[" + "1," * 50_000, "```\n" * 25_000, "\\boxed{" * 14_000, "9" * 100_000, "1+" * 50_000]


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:8] for text in HOSTILE])
def test_hostile_text_is_graded_in_time(text: str) -> None:
    for key in GAMES:
        outcome, seconds = timed(partial(verdict, key, text))
        assert outcome in ("incorrect", "no_answer")
        assert seconds < 1.0


def test_the_gold_answer_of_another_puzzle_or_form_is_an_error() -> None:
    for gold in ('{"key": "norinori", "game": {}}', '{"key": "kukurasu", "game": {}}', "[]", "x"):
        assert grade("[['1']]", gold, "synlogic").outcome == "error"


def test_a_key_without_checker_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="no rule checker for the puzzle 'kukurashu'; did you mean 'kukurasu'"):
        require_checker("kukurashu")
    with pytest.raises(UserError):
        get_checker("norinori")


def test_kukurasu_accepts_exactly_the_solutions() -> None:
    puzzle = {"row_sums": [3, 3], "col_sums": [3, 3]}  # and [['X','X','1'], ...]: three columns have other sums
    for cells in itertools.product("1X", repeat=4):
        grid = [list(cells[:2]), list(cells[2:])]
        rows = [sum(j + 1 for j in (0, 1) if grid[i][j] == "1") for i in (0, 1)]
        columns = [sum(i + 1 for i in (0, 1) if grid[i][j] == "1") for j in (0, 1)]
        wanted = "correct" if rows == columns == [3, 3] else "incorrect"
        assert verdict("kukurasu", json.dumps(grid), **puzzle) == wanted


def test_latin_squares_are_accepted_exactly_where_they_satisfy_the_signs() -> None:
    accepted = 0
    for rows in itertools.product(itertools.permutations((1, 2, 3)), repeat=3):
        square = all(len(set(column)) == 3 for column in zip(*rows, strict=True))
        wanted = square and rows[0][0] == 1 and rows[1][1] > rows[2][1]
        response = "[[" + ",".join(" ".join(map(str, row)) for row in rows) + "]]"
        assert (verdict("futoshiki", response) == "correct") is wanted
        accepted += wanted
    assert accepted == 2


def test_calcudoko_operators_and_repeats() -> None:
    def holds(operator: str, target: int, cells: list[str]) -> bool:
        regions = [{"cells": cells, "target": target, "operator": operator}]
        return verdict("calcudoko", LATIN3, regions=regions) == "correct"

    assert holds("-", 2, ["(1,1)", "(1,3)"])
    assert holds("÷", 3, ["(1,3)", "(1,1)"])
    assert holds("*", 6, ["(1,1)", "(1,2)", "(1,3)"])
    assert not holds("+", 4, ["(1,2)", "(2,1)"])  # 2 and 2: no number repeats in a region
    assert not holds("÷", 2, ["(1,2)", "(1,3)"])
    assert verdict("calcudoko", LATIN3, regions=[{"cells": ["(9,9)"], "target": 1, "operator": "+"}]) != "correct"


def test_a_tent_beside_two_trees_counts_as_beside_one() -> None:
    puzzle = {"grid": [["T", "X", "T", "X"]], "row_constraints": [2], "col_constraints": [0, 1, 0, 1]}
    assert verdict("campsite", '[["T","C","T","C"]]', **puzzle) == "correct"
    puzzle = {"grid": [["T", "X", "T", "X", "X"]], "row_constraints": [2], "col_constraints": [0, 1, 0, 0, 1]}
    assert verdict("campsite", '[["T","C","T","X","C"]]', **puzzle) == "incorrect"  # the second stands beside none
    puzzle = {"grid": [["T", "X", "T"]], "row_constraints": [1], "col_constraints": [0, 1, 0]}
    assert verdict("campsite", '[["T","C","T"]]', **puzzle) == "incorrect"  # one tent for two trees


def test_a_right_side_that_was_rounded() -> None:
    assert verdict("math_path", "[[4/3 = 1.3333333333333333]]", query_expr="?/? = 1.3333333333333333") == "correct"
    assert verdict("math_path", "[[5/3 = 1.3333333333333333]]", query_expr="?/? = 1.3333333333333333") == "incorrect"


@pytest.mark.parametrize(
    ("sequence", "place"), [("[(])", 3), ("[()]", -1), ("", -1), (")", 1), ("((", 3), ("<{}>]", 5), ("([{<", 5)]
)
def test_the_first_error(sequence: str, place: int) -> None:
    assert verdict("dyck_language_errors", str(place), bracket_string=sequence) == "correct"
    assert verdict("dyck_language_errors", str(place + 1), bracket_string=sequence) == "incorrect"


def test_no_wrong_thought_is_said_with_an_empty_text() -> None:
    assert verdict("dyck_language_reasoning_errors", '""', error_indices=[]) == "correct"
    assert verdict("dyck_language_reasoning_errors", r"\boxed{''}", error_indices=[]) == "correct"
    assert verdict("dyck_language_reasoning_errors", "1", error_indices=[]) == "incorrect"
    assert verdict("dyck_language_reasoning_errors", "", error_indices=[]) == "no_answer"


def test_sums_of_several_words_and_one_digit() -> None:
    puzzle = {"letter_words": ["A", "B", "CD"], "operators": ["*"]}
    assert verdict("cryptarithm", "3 * 4 = 12", **puzzle) == "correct"
    assert verdict("cryptarithm", "3 * 5 = 15", **puzzle) == "incorrect"  # B and D are both 5
    longer = {"letter_words": ["A", "B", "C", "B"], "operators": ["+", "-"]}
    assert verdict("cryptarithm", "4 + 7 - 4 = 7", **longer) == "incorrect"  # A and C are both 4
    assert verdict("cryptarithm", "0 + 7 - 0 = 7", **longer) == "incorrect"
    assert verdict("cryptarithm", "4 + 7 - 3 = 8", **longer) == "incorrect"


SHARED = Path(os.environ.get("SIMKO_DATA", Path(__file__).resolve().parents[5] / "shared" / "data"))


@pytest.mark.skipif(not (SHARED / "synlogic_generated.jsonl.gz").is_file(), reason="needs SIMKO_DATA")
@pytest.mark.parametrize(
    "key", ["arrow_maze", "calcudoko", "campsite", "cryptarithm", "dyck_language", "futoshiki", "kukurasu"]
)
def test_mutated_solutions_are_refused(key: str) -> None:
    """A digit, mark or bracket that is taken out, or exchanged for another of the solution, breaks these puzzles."""
    rng = random.Random(0)
    source = SynLogic("all", level=key, data=SHARED, keep_good_rows=True)
    tried = 0
    for task in source.tasks(None, 0):
        answer = source.answer(task)
        assert grade(answer, task.gold, "synlogic").correct
        marks = [
            i for i, c in enumerate(answer) if c.isalnum() or c in "↑↓←→↖↗↘↙" or (key[0] == "d" and c in "()[]{}<>")
        ]
        for _ in range(10):
            i, j = rng.choice(marks), rng.choice(marks)
            swapped = list(answer)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            for mutated in ("".join(swapped), answer[:i] + answer[i + 1 :]):
                tried += mutated != answer
                assert mutated == answer or not grade(mutated, task.gold, "synlogic").correct, (task.id, mutated)
    assert tried > 100
