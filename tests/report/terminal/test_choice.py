"""Which group of a step is shown."""

from __future__ import annotations

from typing import Any

from simko.report.terminal.choice import RecordedGroup, matching, most_mixed, without_doubles


def group(task: str, *outcomes: str, problem: str = "p", text: str = "t") -> RecordedGroup:
    rows: list[dict[str, Any]] = [
        {
            "task": task, "problem": problem, "gold": "7", "sample": i, "text": text, "outcome": outcome, "extracted": None,
            "reward": float(outcome == "correct"),
        }
        for i, outcome in enumerate(outcomes)
    ]  # fmt: skip
    return RecordedGroup(rows)


def test_the_most_mixed_comes_first() -> None:
    groups = [
        group("all", "correct", "correct", "correct", "correct"),
        group("one", "correct", "incorrect", "incorrect", "incorrect"),
        group("half", "correct", "correct", "no_answer", "timeout"),
        group("none", "incorrect"),
    ]
    assert [g.task for g in most_mixed(groups)] == ["half", "one", "all", "none"]
    assert groups[2].correct == 2


def test_a_problem_is_found_by_id_beginning_and_text() -> None:
    groups = [
        group("a/1", "correct", problem="two Apples"),
        group("a/12", "correct", problem="a/1 is in this text"),
        group("b/7", "correct", problem="pears", text="The PLUM"),
    ]

    def found(wanted: str) -> list[str]:
        return [g.task for g in matching(groups, wanted)]

    assert found("a/1") == ["a/1"]
    assert found("a/") == ["a/1", "a/12"]
    assert found("apples") == ["a/1"]
    assert found("plum") == ["b/7"]
    assert found("kiwi") == []


def test_equal_answers_stand_once() -> None:
    rows = [*group("a", "correct", "incorrect", "correct").rows]
    alike = without_doubles(rows)
    assert [(of.row["outcome"], of.samples) for of in alike] == [("correct", (0, 2)), ("incorrect", (1,))]
