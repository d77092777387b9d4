"""Rows of code tasks: every form is read, a bad row is refused by its place, and the reference program passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simko.envs import registry
from simko.envs.code import jails
from simko.envs.code.checks import plan
from simko.envs.code.grading import grade
from simko.envs.data.code import MBPP, Code, HumanEval
from simko.envs.verifiers.answer.program import program_of
from simko.errors import UserError

HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "METADATA = {}\ndef check(candidate):\n    assert candidate(1) == 2\n"
    "    for i in range(3):\n        assert candidate(i) == 2 * i\n",
}
MBPP_ROW = {
    "task_id": 601,
    "text": "Write a function to add two numbers.",
    "code": "def sum(a, b):\r\n    return a + b\r\n",
    "test_list": ["assert sum(1, 2) == 3", "assert sum(10, 15) == 25"],
    "test_setup_code": "",
    "challenge_test_list": ["assert sum(0, 0) == 0"],
}
ASSERTS = {"problem": "Double x with f.", "tests": ["assert f(1) == 2", "assert f([1]) == [1, 1]"]}
CASES = {"problem": "Print the double.", "inputs": ["1\n", "2\n"], "outputs": ["2\n", "4\n"]}
CALLS = {"problem": "Double x with g.", "function": "g", "inputs": [[1], [[2]]], "outputs": [2, [4]]}
APPS = {
    "question": "Add.",
    "input_output": json.dumps({"fn_name": "add", "inputs": [[1, 2]], "outputs": [3]}),
    "id": "apps",
}


def written(tmp_path: Path, *rows: Any) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_humaneval(tmp_path: Path) -> None:
    normalised = {"id": "humaneval-1", "problem": HUMANEVAL["prompt"].replace("double", "twice"), "answer": "    return 2 * x\n",
                  "extra": {"entry_point": "twice", "test": HUMANEVAL["test"], "task_id": "HumanEval/1"}}  # fmt: skip
    source = HumanEval(data=written(tmp_path, HUMANEVAL, normalised))
    first, second = source.tasks(None, 0)
    assert (first.id, first.problem, second.id) == ("humaneval-0", HUMANEVAL["prompt"], "humaneval-1")
    assert source.published == 164
    assert source.notes == [
        "humaneval: 2 of 4 tests run inside the sandbox as a whole, a weaker check (in 2 tasks, as 'humaneval-0')"
    ]
    assert "test" not in first.extra
    assert source.answer(first) == "```python\n    return 2 * x\n```"
    assert first.extra["solution"].startswith("def double(x):")
    with pytest.raises(UserError, match="has no split 'train'"):
        HumanEval("train", data=written(tmp_path, HUMANEVAL))


def test_mbpp(tmp_path: Path) -> None:
    rows = [MBPP_ROW, {**MBPP_ROW, "task_id": 12}, {**MBPP_ROW, "task_id": 550}, {**MBPP_ROW, "task_id": 3}]
    data = written(tmp_path, *rows)
    (task,) = MBPP("train", data=data).tasks(None, 0)
    assert task.id == "mbpp-601"
    assert "assert sum(1, 2) == 3" in task.problem
    assert "sum(10, 15)" not in task.problem
    assert json.loads(task.gold)["names"] == ["sum"]
    assert plan(task.gold).total == 3
    assert "\r" not in task.extra["solution"]
    (other,) = MBPP("eval", data=data).tasks(None, 0)
    assert other.id == "mbpp-12"
    with pytest.raises(UserError, match="task ids 601 to 974"):
        MBPP("train", data=written(tmp_path, {**MBPP_ROW, "task_id": 12}))


@pytest.mark.parametrize("row", [ASSERTS, CASES, CALLS, APPS, HUMANEVAL, MBPP_ROW], ids=range(6))
def test_every_form_of_a_row_is_read_and_can_be_met(row: dict[str, Any], tmp_path: Path) -> None:
    source = Code("all", data=written(tmp_path, row))
    (task,) = source.tasks(None, 0)
    tests = plan(task.gold)
    assert tests.total == task.extra["checks"] > 0
    try:
        jails.chosen()
    except UserError as error:
        pytest.skip(str(error))
    program = program_of(source.answer(task), tests.entry, tests.prompt)
    assert program is not None
    assert grade(program, tests).right


def test_own_rows_are_split_as_other_files_are(tmp_path: Path) -> None:
    rows = [{**ASSERTS, "problem": f"Double x with f, {i}."} for i in range(40)]
    data = written(tmp_path, *rows)
    parts = [{task.id for task in Code(split, data=data).tasks(None, 0)} for split in ("train", "eval", "all")]
    assert parts[0] | parts[1] == parts[2]
    assert not parts[0] & parts[1]
    assert len(parts[2]) == 40


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"problem": "p"}, "no field 'tests'"),
        ({"tests": "assert f(1) == 1"}, "no field 'problem'"),
        ({"problem": "p", "tests": "assert f("}, "tests of this row cannot be used: the tests are no Python"),
        ({"problem": "p", "tests": "x = 1"}, "there is no test in it"),
        ({"problem": "p", "tests": 5}, "column 'tests' is 5"),
        ({"problem": "p", "tests": [1]}, "must be a text or a list of texts"),
        ({"problem": "p", "tests": "assert f(1) == 1", "entry_point": "f(x)"}, "name of a function"),
        ({"problem": "p", "inputs": ["1"], "outputs": []}, "field 'outputs' is"),
        ({"problem": "p", "inputs": ["1"]}, "field 'outputs' is None"),
        ({"problem": "p", "inputs": ["1"], "outputs": ["1", "2"]}, "1 inputs and 2 outputs"),
        ({"problem": "p", "inputs": [1], "outputs": ["1"]}, "give texts, or 'function'"),
        ({"problem": "p", "function": "f", "inputs": [1], "outputs": [1]}, "the arguments are 1"),
        ({"problem": "p", "function": "a b", "inputs": [[1]], "outputs": [1]}, "give its name"),
        ({"problem": "p", "input_output": "{"}, "not JSON"),
    ],
)
def test_a_bad_row_is_refused_by_its_place(row: dict[str, Any], says: str, tmp_path: Path) -> None:
    data = written(tmp_path, {**ASSERTS, "id": "good"}, row)
    with pytest.raises(UserError) as error:
        Code("all", data=data)
    assert f"{data}:2: " in str(error.value)
    assert says in str(error.value)
    assert "--keep-good-rows" in str(error.value)
    kept = Code("all", data=data, keep_good_rows=True)
    assert len(kept.left_out) == 1


@pytest.mark.parametrize("column", ["prompt", "entry_point", "test", "canonical_solution"])
def test_a_bad_row_of_humaneval_is_refused(column: str, tmp_path: Path) -> None:
    for row in (
        {k: v for k, v in HUMANEVAL.items() if k != column},
        {**HUMANEVAL, column: " "},
        {**HUMANEVAL, column: 5},
    ):
        with pytest.raises(UserError, match=rf"rows.jsonl:1: .*column '{column}'"):
            HumanEval(data=written(tmp_path, row))


def test_the_registered_environments_use_them() -> None:
    rows = {info.id: info for info in registry.BUNDLED if info.verifier == "code"}
    assert set(rows) == {"simko/HumanEval-v0", "simko/MBPP-v0", "simko/Code-v0"}
