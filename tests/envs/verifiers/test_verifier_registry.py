from __future__ import annotations

import math
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs import grade, verifiers
from simko.envs.verifiers import BUNDLED, get_verifier, register_verifier, to_verdict, verifier_names
from simko.errors import UserError
from simko.types import Verdict

PARTS = {"format": 0.25, "correct": np.float64(1.0)}
GOLDS = {
    "math": "\\frac{1}{2}",
    "math_row": '{"answer": "0.5", "accepted": ["0.25"], "tolerance": "1e-3"}',
    "numeric": "42",
    "numeric:1e-3": "42",
    "exact": "a b",
    "exact:nocase": "a b",
    "choice": "(A)",
    "expression": '{"numbers": [1, 2], "target": 3}',
    "knights": '{"Ann": "knight"}',
    "tree_mdp": '["ACD"]',
    "guess_number": "42",
    "bbh": "(A)",
    "synlogic": '{"key": "mathador", "game": {"metadata": {"numbers": [2, 5, 7], "operators": ["*", "+"], "result": 24}}}',
    "code": '{"function": "f", "calls": [[[1], 2]]}',
}


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifiers, "_authors", {})


@pytest.mark.parametrize("name", GOLDS)
@given(response=st.text(max_size=60) | st.text("0123456789\\boxed{}<answr>/# :.^_()[]$,+-*=", max_size=60))
def test_nothing_raises_whatever_the_response(name: str, response: str) -> None:
    verdict = get_verifier(name)(response, GOLDS[name])
    assert verdict.outcome in ("correct", "incorrect", "no_answer")
    assert math.isfinite(verdict.reward)
    assert verdict.seconds >= 0


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("response", ["", "\x00", "\ud800", "\\boxed{\ud800}", "Answer: " + "9" * 10_000, "(" * 5_000])
def test_odd_responses_do_not_raise(name: str, response: str) -> None:
    verdict = grade(response, GOLDS[name], name)
    assert verdict.outcome in ("incorrect", "no_answer")


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("gold", ["", "  ", "\x00"])
def test_a_bad_gold_is_an_error_or_not_met_and_never_raises(name: str, gold: str) -> None:
    assert not grade("\\boxed{42}", gold, name).correct
    assert not grade("", gold, name).correct


@pytest.mark.parametrize("name", ["numeric", "expression", "knights", "tree_mdp", "guess_number", "synlogic"])
def test_a_gold_of_the_wrong_form_is_an_error(name: str) -> None:
    assert grade("\\boxed{42}", "no gold of this form", name).outcome == "error"


@pytest.mark.parametrize(
    ("result", "outcome", "reward"),
    [
        (True, "correct", 1.0),
        (False, "incorrect", 0.0),
        (None, "no_answer", 0.0),
        (1, "correct", 1.0),
        (0.5, "incorrect", 0.5),
        (1.5, "correct", 1.5),
        (-1.0, "incorrect", -1.0),
        (np.float32(1), "correct", 1.0),
        (np.bool_(False), "incorrect", 0.0),
        (math.nan, "error", 0.0),
        (math.inf, "error", 0.0),
        (10**400, "error", 0.0),
        ("1.0", "error", 0.0),
        ([1.0], "error", 0.0),
        (np.ones(1), "error", 0.0),
        (object(), "error", 0.0),
        (1j, "error", 0.0),
        (Verdict("timeout", 0.0), "timeout", 0.0),
        (Verdict("incorrect", 0.25, "x"), "incorrect", 0.25),
        (Verdict("fine", 1.0), "error", 0.0),  # type: ignore[arg-type]
        (Verdict("correct", math.nan), "error", 0.0),
    ],
)
def test_what_a_checker_may_return(result: Any, outcome: str, reward: float) -> None:
    register_verifier("mine", lambda response, gold: result)
    verdict = grade("r", "g", "mine")
    assert (verdict.outcome, verdict.reward) == (outcome, reward)
    assert type(verdict.reward) is float


@pytest.mark.parametrize("error", [ValueError("x"), RecursionError(), MemoryError(), AssertionError(), SystemExit(3)])
def test_a_checker_that_raises_is_an_error_verdict(error: BaseException) -> None:
    def broken(response: str, gold: str) -> bool:
        raise error

    register_verifier("broken", broken)
    verdict = grade("r", "g", "broken")
    assert (verdict.outcome, verdict.reward, verdict.valid) == ("error", 0.0, False)


def test_ctrl_c_in_a_checker_is_not_swallowed() -> None:
    def stopped(response: str, gold: str) -> bool:
        raise KeyboardInterrupt

    register_verifier("stopped", stopped)
    with pytest.raises(KeyboardInterrupt):
        grade("r", "g", "stopped")


def test_verdicts_carry_the_time_they_took() -> None:
    register_verifier("slow", lambda response, gold: sum(range(200_000)) > 0)
    assert grade("r", "g", "slow").seconds > 1e-4


def test_authors_checkers_run_one_at_a_time_and_may_use_each_other() -> None:
    inside: list[int] = []
    most: list[int] = []

    def counting(response: str, gold: str) -> bool:
        inside.append(1)
        time.sleep(0.002)
        most.append(len(inside))
        inside.pop()
        return grade(response, gold, "inner").correct

    register_verifier("inner", lambda response, gold: response == gold)
    register_verifier("outer", counting)
    with ThreadPoolExecutor(4) as threads:
        verdicts = list(threads.map(lambda i: grade(str(i % 2), "1", "outer"), range(20)))
    assert [v.correct for v in verdicts] == [False, True] * 10
    assert max(most) == 1


def test_names() -> None:
    register_verifier("mine", lambda response, gold: response == gold)
    assert verifier_names() == [*BUNDLED, "mine"]
    assert grade("a", "a", "mine").correct
    with pytest.raises(UserError, match="no verifier 'mathh'; did you mean 'math'"):
        get_verifier("mathh")
    with pytest.raises(UserError, match="no verifier 'mien'; did you mean 'mine'"):
        grade("a", "a", "mien")
    for name in ("math", "mine"):
        with pytest.raises(UserError, match=f"verifier '{name}' exists already"):
            register_verifier(name, str.__eq__)
    for name in ("", "a b", "numeric:2"):
        with pytest.raises(UserError, match="use letters, digits"):
            register_verifier(name, str.__eq__)
    with pytest.raises(UserError, match="cannot be called"):
        register_verifier("five", 5)  # type: ignore[arg-type]
    for name in ("numeric:x", "numeric:-1", "numeric:nan", "numeric:1", "exact:x", "math:1", "exact:", "math:"):
        with pytest.raises(UserError, match="verifier"):
            get_verifier(name)


def test_a_reloaded_function_replaces_itself() -> None:
    def make(answer: bool) -> Any:
        def check(response: str, gold: str) -> bool:
            return answer

        return check

    register_verifier("again", make(False))
    register_verifier("again", make(True))
    assert grade("r", "g", "again").correct


@pytest.mark.parametrize("name", BUNDLED)
def test_verifiers_are_picklable(name: str) -> None:
    verifier = get_verifier(name)
    assert pickle.loads(pickle.dumps(verifier)) == verifier
    assert to_verdict(verifier("", GOLDS[name])).outcome == "no_answer"


def test_importing_and_grading_numbers_load_no_algebra() -> None:
    program = (
        "import sys; from simko.envs import grade; from simko.envs.verifiers.worker import pool;"
        "assert grade('\\\\boxed{1/2}', '0.5').correct and not grade('\\\\boxed{43}', '42').correct;"
        "assert grade('(1, 2]', '(1,2.0]').correct and pool.shared.starts == 0;"
        "print([m for m in ('sympy', 'math_verify', 'latex2sympy2_extended', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_place_behind_the_name() -> None:
    assert grade("\\boxed{42}", "42", "math:boxed").correct
    assert grade("Answer: 42", "42", "math:boxed").outcome == "no_answer"
    assert grade("Answer: 42", "42", extract="final").correct
    assert grade("Answer: 42", "42", "numeric:1e-6:whole").outcome == "incorrect"
    assert grade("42.00000001", "42", "numeric:1e-6:whole").correct
    assert grade("paris", "Paris", "exact:nocase:whole").correct
    assert grade("paris", "Paris", "exact:nocase:boxed").outcome == "no_answer"
    assert grade("( ) ]", "( ) ]", "bbh:whole").correct
    assert grade("( ) ]", "( ) ]", "bbh:boxed").outcome == "no_answer"
    for name in ("math:box", "synlogic:boxed", "nope:boxed", "math:boxed:boxed:x"):
        with pytest.raises(UserError):
            get_verifier(name)


def test_an_author_s_checker_sees_the_answer_of_the_place() -> None:
    register_verifier("sees_it", lambda response, gold: response == gold)
    assert grade("so \\boxed{cat}", "cat", "sees_it", extract="boxed").correct
    assert grade("so \\boxed{cat}", "cat", "sees_it").outcome == "incorrect"
    assert grade("cat", "cat", "sees_it", extract="boxed").outcome == "no_answer"


def test_an_authors_verdict_may_name_the_parts_of_its_reward() -> None:
    register_verifier("mine", lambda response, gold: Verdict("correct", 1.25, parts=PARTS))
    verdict = grade("x", "y", "mine")
    assert dict(verdict.parts) == {"correct": 1.0, "format": 0.25}
    assert {type(value) for value in verdict.parts.values()} == {float}


@pytest.mark.parametrize("parts", [{"a": math.nan}, {"a": math.inf}, {"a": "1"}, {1: 1.0}, {"a": None}, [1.0], "a", 3])
def test_parts_that_are_no_numbers_by_name_are_an_error(parts: Any) -> None:
    register_verifier("mine", lambda response, gold: Verdict("correct", 1.0, parts=parts))
    assert grade("x", "y", "mine").outcome == "error"
