"""Environments that raise or return rubbish, and steps of no use: one line, or counted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeEnv, FakePolicy, random_groups

from simko.envs.turns import TryAgain
from simko.envs.watched import WatchedEnv, judge, watched
from simko.errors import UserError
from simko.rollout import rollout
from simko.run.faults import IN_A_ROW, Faults, Streak, summary
from simko.types import Group, Task, Verdict

TASK = Task("7", "problem 7", "1")


@pytest.mark.parametrize(
    ("result", "outcome", "fault"),
    [
        (Verdict("correct", 1.0), "correct", None),
        (Verdict("error", 0.0), "error", None),
        (Verdict("correct", float("inf")), "error", "grade_rubbish"),
        (Verdict("correct", float("nan")), "error", "grade_rubbish"),
        (Verdict("perhaps", 1.0), "error", "grade_rubbish"),  # type: ignore[arg-type]
        (Verdict("correct", "1"), "error", "grade_rubbish"),  # type: ignore[arg-type]
        (1.0, "error", "grade_rubbish"),
        (None, "error", "grade_rubbish"),
        (ZeroDivisionError(), "error", "grade_raised"),
    ],
)
def test_a_verdict_or_a_fault(result: Any, outcome: str, fault: str | None) -> None:
    def grade(text: str, task: Task) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    verdict, kind = judge(grade, "text", TASK)
    assert (verdict.outcome, kind) == (outcome, fault)


class Broken(FakeEnv):
    """Raises where it is told to."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def begin(self, task: Task) -> Any:
        if self.place == "begin":
            raise KeyError("x")
        episode = super().begin(task)
        if self.place == "reply":
            episode.extend = lambda tokens: 1 // 0  # type: ignore[method-assign]
        return episode


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("begin", "environment my/Env-v0: begin of task '7' raised KeyError: 'x'; see it with `simko env check`"),
        ("reply", "environment my/Env-v0: reply of task '7' raised ZeroDivisionError: "),
    ],
)
def test_an_environment_that_raises_is_named_with_its_task(place: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        rollout(FakePolicy().engine, watched(Broken(place), "my/Env-v0"), [TASK], 2)
    assert str(caught.value).startswith(line)


def test_a_source_that_gives_no_task_is_named() -> None:
    env = FakeEnv()
    env.source.draw = lambda rng: "a problem"
    with pytest.raises(UserError, match=r"my/Env-v0: draw gave str 'a problem'; return a simko.types.Task"):
        watched(env, "my/Env-v0").source.draw(None)


def test_what_works_is_left_as_it_is() -> None:
    env = FakeEnv()
    plain = rollout(FakePolicy().engine, env, [TASK], 4)
    seen = rollout(FakePolicy().engine, watched(FakeEnv(), "x"), [TASK], 4)
    assert [c.text for c in plain[0].completions] == [c.text for c in seen[0].completions]
    assert watched(env, "x").max_new_tokens == env.max_new_tokens


def test_another_try_is_graded_through_the_watch() -> None:
    env, heard = FakeEnv(), []
    env.reply = TryAgain(env.grade, 3)  # type: ignore[assignment]

    def grading(grade: Any) -> Any:
        return lambda text, task: heard.append(text) or Verdict("incorrect", 0.0)

    WatchedEnv(env, "x", grading)
    assert env.reply(TASK, ["first"])  # type: ignore[operator]
    assert heard == ["first"]


def test_counts_are_taken_once() -> None:
    faults, (group,) = Faults(), random_groups(0, groups=1, size=2)
    faults.count("grade_raised")
    failed = [type(c)(*(getattr(c, name) for name in ("prompt_ids", "ids", "logprobs", "sampled", "text", "finish")),
                      Verdict("timeout", 0.0)) for c in group.completions]  # fmt: skip
    assert faults.take([group]) == {"fault_grade_raised": 1.0}
    assert faults.take([Group(group.task, tuple(failed))]) == {
        "fault_every_verdict": 1.0,
        "fault_verifier_timeout": 2.0,
    }
    assert faults.take() == {}


def test_several_useless_steps_in_a_row_end_the_run() -> None:
    bad, good, empty = {"updates": 0, "updates_skipped": 1}, {"updates": 1}, {"updates": 0, "updates_skipped": 0}
    streak = Streak([good, *[bad] * (IN_A_ROW - 1)])
    streak.step(empty)  # neither good nor bad
    with pytest.raises(UserError, match="5 steps in a row were skipped: gradients were not finite"):
        streak.step(bad)
    streak = Streak()
    for metrics in ([bad] * (IN_A_ROW - 1) + [good]) * 3:
        streak.step(metrics)


def test_the_summary_names_each_kind() -> None:
    lines = [{"fault_verifier_timeout": 2.0, "loss": 1.0}, {"fault_verifier_timeout": 1.0, "updates_skipped": 1}]
    assert summary(lines) == [
        "3 answers the verifier took too long over (masked)",
        "1 updates skipped: gradients not finite",
    ]
    assert summary([{"loss": 1.0, "updates_skipped": 0}]) == []


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit, MemoryError])
def test_whatever_a_grade_raises_in_its_thread_is_a_masked_answer(kind: type[BaseException]) -> None:
    env = FakeEnv()

    def grade(text: str, task: Task) -> Verdict:
        raise kind

    env.grade = grade  # type: ignore[method-assign]
    (group,) = rollout(FakePolicy().engine, watched(env, "x"), [TASK], 2)
    assert [c.verdict.outcome for c in group.completions] == ["error", "error"]


def test_answers_that_the_context_cut_are_counted() -> None:
    group = random_groups(0)[0]
    first, *others = group.completions
    cut = replace(group, completions=(replace(first, finish="length"), *others))
    assert Faults().take([cut], len(first.ids) + 1) == {"fault_context_cut": 1.0}
    assert Faults().take([cut], len(first.ids)) == Faults().take([group], 999) == {}  # at its budget, and by its EOS
    assert summary([{"fault_context_cut": 2.0}]) == [
        "2 answers cut off where the model's context ended, before max_new_tokens"
    ]
