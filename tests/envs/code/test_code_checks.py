"""Tests taken apart: what runs inside, what stays outside, and what is a weaker check. No program runs here."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import pytest

from simko.envs.code.checks import Plan, plan
from simko.envs.code.outside import evaluate
from simko.envs.code.values import BadValueError


def made(tests: str, **more: Any) -> Plan:
    return plan(json.dumps({"tests": tests, **more}))


def inside(one: Plan) -> list[str]:
    """Every source that runs in the sandbox."""
    return [source for _, source in one.steps]


def holds(one: Plan, *values: Any) -> bool:
    """Whether the first check holds with these values for its holes."""
    check = one.checks[0]
    assert check.expression is not None
    return bool(evaluate(check.expression, values))


@pytest.mark.parametrize(
    ("test", "sources", "right", "wrong"),
    [
        ("assert f(1) == 2", ["f(1)"], [2], [3]),
        ("assert f(1) == -2, 'why'", ["f(1)"], [-2], [2]),
        ("assert 2 == f(1)", ["f(1)"], [2], [3]),
        ("assert f(1) != 2", ["f(1)"], [3], [2]),
        ("assert f(1) == [1, (2, 'x'), {3: {4}}]", ["f(1)"], [[1, (2, "x"), {3: {4}}]], [[1, [2, "x"], {3: {4}}]]),
        ("assert f(1) is None", ["f(1)"], [None], [0]),
        ("assert f(1) is not None", ["f(1)"], [0], [None]),
        ("assert f(1) is True", ["f(1)"], [True], [1]),
        ("assert f(1) in (1, 2)", ["f(1)"], [2], [3]),
        ("assert f(1) not in [1, 2]", ["f(1)"], [3], [1]),
        ("assert 0 < f(1) <= 3", ["f(1)"], [3], [4]),
        ("assert [f(1), f(2)] == [1, 2]", ["f(1)", "f(2)"], [1, 2], [2, 1]),
        ("assert f(1) == 1 and f(2) == 2", ["f(1)", "f(2)"], [1, 2], [1, 3]),
        ("assert f(1)", ["f(1)"], [[0]], [[]]),
        ("assert not f(1)", ["f(1)"], [0], [1]),
        ("assert f(1)[0] == 3", ["f(1)[0]"], [3], [4]),
        ("assert abs(f(1.33) - 0.33) < 1e-6", ["f(1.33)"], [0.3300001], [0.34]),
        ("assert sorted(f(1)) == [1, 2]", ["f(1)"], [[2, 1]], [[2, 2]]),
        ("assert set(f(1)) == {1, 2}", ["f(1)"], [[2, 1, 1]], [[3]]),
        ("assert len(f(1)) == 2", ["f(1)"], ["ab"], ["abc"]),
        ("assert round(f(1), 2) == 0.33", ["f(1)"], [0.3333], [0.34]),
        ("assert f(1) == 10**9 + 7", ["f(1)"], [1_000_000_007], [10]),
        ("assert f(1) == [0] * 3", ["f(1)"], [[0, 0, 0]], [[0]]),
        ("assert f(1) == float('inf')", ["f(1)"], [math.inf], [1.0]),
    ],
)
def test_the_call_runs_inside_and_the_rest_is_compared_outside(
    test: str, sources: list[str], right: list[Any], wrong: list[Any]
) -> None:
    one = made(test)
    assert inside(one) == sources
    assert [check.weaker for check in one.checks] == [False]
    assert holds(one, *right)
    assert not holds(one, *wrong)


def test_isclose_of_math_is_outside() -> None:
    one = made("import math\nassert math.isclose(f(1), 0.5, rel_tol=1e-3)")
    assert inside(one) == ["import math", "f(1)"]
    assert holds(one, 0.5001)
    assert not holds(one, 0.51)
    assert not one.weaker


@pytest.mark.parametrize(
    "test",
    [
        "for i in range(3):\n    assert f(i) == i",
        "assert isinstance(f(1), int)",
        "assert f(1) == g(1)",
        "try:\n    f(1)\n    assert False\nexcept ValueError:\n    pass",
        "def near(a, b):\n    return abs(a - b) < 1\nassert near(f(1), 2)",
        "assert f(1) is f(1)",
    ],
)
def test_what_the_tests_do_not_pin_is_a_weaker_check(test: str) -> None:
    assert made(test).weaker == 1


def test_an_expected_value_in_a_name_never_enters() -> None:
    one = made("given = [1, 2]\nwanted = [987, 654]\nassert f(given) == wanted")
    assert inside(one) == ["given = [1, 2]", "f(given)"]
    assert holds(one, [987, 654])


def test_a_list_that_a_call_may_change_is_read_inside() -> None:
    one = made("given = [1, 2]\nassert f(given) == 3\nassert given == [1, 2]")
    assert inside(one) == ["given = [1, 2]", "f(given)", "given"]
    assert one.weaker == 0


def test_a_result_in_a_name() -> None:
    one = made("result = f(1)\nassert result == 7")
    assert inside(one) == ["result = f(1)", "result"]
    assert one.weaker == 0


def test_a_name_that_is_bound_again_is_no_longer_the_literal() -> None:
    one = made("a = 1\na = f(a)\nassert a == 5")
    assert inside(one)[-1] == "a"
    assert "a = 1" in inside(one)


def test_names_of_the_program_come_before_builtins() -> None:
    assert inside(made("assert sum(10, 15) == 6", names=["sum"])) == ["sum(10, 15)"]
    assert holds(made("assert sum(f(1)) == 6"), [1, 2, 3])


def test_the_body_of_humaneval_check() -> None:
    tests = "METADATA = {'a': 1}\nimport math\ndef check(candidate):\n    assert candidate(1) == 2\n    assert True\n"
    one = made(tests, entry="f", prompt="def f(x):\n")
    assert (one.entry, one.name, one.total, one.weaker) == ("f", "candidate", 1, 0)
    assert inside(one) == ["import math", "candidate(1)"]


def test_calls_in_json() -> None:
    one = plan(json.dumps({"function": "f", "calls": [[[1, [2.5, None]], {"a": [True]}], [["x"], 3]]}))
    assert inside(one) == ["candidate(1, [2.5, None])", "candidate('x')"]
    assert holds(one, {"a": [True]})
    assert one.values_as_json


def test_a_plan_of_inputs_and_outputs() -> None:
    one = plan(json.dumps({"cases": [["1\n", "2"], ["3\n", "4"]]}))
    assert (one.inputs, one.outputs, one.total) == (("1\n", "3\n"), ("2", "4"), 2)


@pytest.mark.parametrize(
    ("gold", "says"),
    [
        ({"tests": "assert f(1) =="}, "no Python"),
        ({"tests": "x = 1"}, "no test"),
        ({"tests": ""}, "no test"),
        ({"tests": "assert f(" + "[" * 5000 + "]" * 5000 + ") == 1"}, "nest deeper"),
        ({"tests": "assert f(1) == 1\n" * 20_000}, "characters"),
        ({"tests": "assert f(1) == 1\n" * 3_000}, "at most 2000"),
        ({"tests": "def check(a, b):\n    assert a(1) == b"}, "one argument"),
        ({"cases": []}, "no test"),
        ({"function": "f(x)", "calls": [[[1], 2]]}, "give its name"),
        ({"function": "f", "calls": [[1, 2]]}, "give a list"),
        ([], "no object"),
    ],
)
def test_tests_that_cannot_be_used_say_why(gold: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        plan(json.dumps(gold))


@pytest.mark.parametrize(
    ("test", "values"),
    [
        ("assert f(1) * f(2) == 1", ["x" * 5000, 10**6]),
        ("assert f(1) * f(2) == 1", [10**200_000, 10**200_000]),
        ("assert f(1) ** f(2) == 1", [10**6, 10**6]),
        ("assert f(1) + f(2) == 1", ["x" * 600_000, "x" * 600_000]),
        ("assert f(1) % f(2) == 1", [10**200_000, 10**100_000 + 1]),
        ("assert set(f(1)) == {1}", [list(range(20_000))]),
        ("assert float(f(1)) == 1", ["1" * 1000]),
        ("assert round(f(1), f(2)) == 1", [5, -(10**9)]),
        ("assert 9**9**9 == f(1)", [1]),
        ("assert 'x' * 10**9 == f(1)", [1]),
    ],
    ids=range(10),
)
def test_a_test_cannot_be_made_expensive(test: str, values: list[Any]) -> None:
    check = made(test).checks[0]
    assert check.expression is not None
    with pytest.raises(OverflowError):
        evaluate(check.expression, values)


@pytest.mark.parametrize(("test", "pairs"), [("assert set(f(1)) == {1}", False), ("assert dict(f(1)) == {1: 1}", True)])
def test_members_of_one_hash_are_few(test: str, pairs: bool) -> None:
    expression = made(test).checks[0].expression
    assert expression is not None
    members = [k * sys.hash_info.modulus for k in range(100)]
    given = [[(member, 0) for member in members] if pairs else members]
    with pytest.raises(BadValueError):
        evaluate(expression, given)
    assert evaluate(expression, [[(1, 1)] * 100 if pairs else [1] * 100]) is True
