"""From graded completions to counts, and from counts to a result."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from simko.report import Counts, FirstLoss, Tally, curve_of, pass_at_k, summarise
from simko.report.counts import loss_of
from simko.types import Completion, Finish, Group, Outcome, Task, Verdict


def completion(outcome: Outcome, extracted: str | None = None, text: str = "", finish: Finish = "stop") -> Completion:
    ids = np.arange(3)
    sampled = np.array([True, False, True])
    verdict = Verdict(outcome, float(outcome == "correct"), extracted)
    return Completion(ids, ids, np.zeros(3, np.float32), sampled, text, finish, verdict)


def counted(**problems: list[Completion]) -> Counts:
    counts = Counts()
    counts.add(Group(Task(name, name, ""), tuple(completions)) for name, completions in problems.items())
    return counts


def test_a_failing_verifier_is_not_a_wrong_answer() -> None:
    counts = counted(
        a=[completion("correct", "1"), completion("timeout"), completion("error"), completion("incorrect")]
    )
    assert (counts.tallies["a"].samples, counts.tallies["a"].correct) == (2, 1)
    assert counts.outcomes == {"correct": 1, "incorrect": 1, "no_answer": 0, "timeout": 1, "error": 1}
    assert (counts.samples, counts.tokens) == (4, 8)
    result = summarise(counts)
    assert result["pass_at_k"] == {"1": 0.5, "2": 1.0}
    assert result["counts"] == {"a": {"samples": 2, "correct": 1}}


def test_groups_of_a_problem_add_up_whatever_the_cut() -> None:
    samples = [completion("correct", "1"), completion("incorrect", "2", finish="length"), completion("no_answer")]
    whole, cut = counted(a=samples), Counts()
    for sample in samples:
        cut.add([Group(Task("a", "a", ""), (sample,))])
    assert cut == whole
    assert whole.truncated == 1


def test_equal_answers_are_grouped() -> None:
    completions = [completion("correct", "1 /  2"), completion("correct", " 1 / 2"), completion("correct", "１ / 2")]
    tally = counted(a=[*completions, completion("incorrect", "3"), completion("no_answer")]).tallies["a"]
    assert tally.answers == {"1 / 2": [3, 3], "3": [1, 0]}
    assert tally.samples == 5


def test_without_an_extracted_answer_the_response_votes() -> None:
    tally = counted(a=[completion("correct", None, "x  y"), completion("incorrect", None, "z")]).tallies["a"]
    assert tally.answers == {"x y": [1, 1], "z": [1, 0]}


def test_long_answers_stay_apart_but_are_cut() -> None:
    tally = counted(a=[completion("incorrect", "7" * 5000 + end) for end in "12"]).tallies["a"]
    assert len(tally.answers) == 2
    assert all(len(answer) < 200 for answer in tally.answers)


def test_curves_take_the_ks_that_every_problem_can_show() -> None:
    counts = counted(
        a=[completion("correct")] * 2 + [completion("incorrect")] * 6,
        b=[completion("incorrect")] * 5 + [completion("error")] * 3,
        c=[completion("error")] * 8,
    )
    result = summarise(counts)
    assert list(result["pass_at_k"]) == ["1", "2", "4", "5"]  # b has 5 valid samples; c is in no curve
    assert result["ungraded"] == ["c"]
    assert result["pass_at_k"]["5"] == pytest.approx((pass_at_k(8, 2, 5) + 0.0) / 2)
    assert result["counts"]["c"] == {"samples": 0, "correct": 0}


def test_base_and_trained_share_problems_and_ks() -> None:
    trained = counted(a=[completion("correct", "1")] * 4, b=[completion("correct", "1")] * 4)
    base = counted(a=[completion("correct", "1"), *[completion("incorrect", "2")] * 2], b=[completion("error")] * 4)
    result = summarise(trained, base)
    assert result["ungraded"] == result["base"]["ungraded"] == ["b"]
    assert list(result["pass_at_k"]) == list(result["base"]["pass_at_k"]) == ["1", "2", "3"]
    gap, low, high = result["difference"]["1"]
    assert gap == pytest.approx(2 / 3)
    assert low < 0  # one problem decides nothing
    assert high > 0.9
    assert result["in_words"] == "not decided at any K"
    assert result["first_loss"] == {"possible": [1], "none": True, "grid": [1]}


def test_what_is_decided_is_in_the_result() -> None:
    trained = counted(**{str(i): [completion("correct")] * 8 for i in range(20)}, x=[completion("incorrect")] * 8)
    base = counted(**{str(i): [completion("correct")] * (1 + i % 2) + [completion("incorrect")] * 7 for i in range(20)},
                   x=[completion("incorrect")] * 7 + [completion("correct")])  # fmt: skip
    result = summarise(trained, base)
    assert result["verdicts"]["1"] == "better"
    assert result["verdicts"]["8"] == "not decided"
    assert result["in_words"] == "better at every K"
    assert result["p_value"] < 0.001
    assert loss_of(result) == FirstLoss(tuple(result["first_loss"]["possible"]), True, (1, 2, 4))
    assert loss_of(summarise(trained)) is None
    low, high = result["interval"]["1"]
    assert low < 20 / 21 < high <= 1


def test_what_stands_beside_pass_at_k() -> None:
    counts = counted(
        a=[completion("correct", "1")] * 3 + [completion("incorrect", "2")], b=[completion("no_answer")] * 4
    )
    result = summarise(counts)
    assert result["all_k"] == pytest.approx({"1": 3 / 8, "2": 1 / 4, "4": 0})
    assert result["cover"] == {"0.1": 0.5, "0.5": 0.5, "0.9": 0.0}
    assert result["guess_floor"] == {"1": 0.25, "2": 0.375, "4": 15 / 32}
    assert result["tokens_at_k"] == {"1": 2.0, "2": 4.0, "4": 8.0}


def test_a_result_is_finite_json_and_gives_its_curve_back() -> None:
    result = summarise(Counts({"a": Tally(4, 1, {"1": [1, 1], "\ud800": [3, 0]})}, samples=4))
    again = json.loads(json.dumps(result, allow_nan=False))
    curve = curve_of(again, "x")
    assert curve.k == (1, 2, 4)
    np.testing.assert_allclose(curve.mean, [0.25, 0.5, 1.0], rtol=1e-13)
    assert curve.judged == 2
    assert curve.problems == 1
    assert np.all(curve.high - curve.low > 0.9)  # a single problem
    assert again["majority_at_k"]["4"] == 0.0
    assert again["distinct_answers"] == 2


def test_nothing_graded_is_an_error() -> None:
    with pytest.raises(ValueError, match="failed on every answer"):
        summarise(counted(a=[completion("timeout")]))


def test_reports_need_no_torch() -> None:
    code = "import sys, simko.report.table; assert not {'torch', 'transformers', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
