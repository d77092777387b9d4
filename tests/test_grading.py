"""Grading: a grade that never returns is named and ends the run with a reason. A signal still ends it sooner."""

from __future__ import annotations

import threading

import pytest

from simko import grading
from simko.errors import UserError
from simko.grading import Grading
from simko.types import Task, Verdict

TASK = Task("t/7", "problem", "gold")


def answer(text: str, task: Task) -> Verdict:
    return Verdict("correct", 1.0)


def test_a_grade_that_never_returns_is_named_and_then_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(grading, "NAMED_SECONDS", 1)
    monkeypatch.setattr(grading, "HUNG_SECONDS", 2)
    ever = threading.Event()

    def hangs(text: str, task: Task) -> Verdict:
        ever.wait()
        return answer(text, task)

    line = r"grade of task 't/7' has not returned for 2 s; give that verifier a limit"
    with pytest.raises(UserError, match=line), Grading(hangs) as graded:
        graded.verdict(TASK, "x")
    ever.set()
    assert (
        "simko: the environment's grade of task 't/7' has not returned for 1 s; still waiting"
        in capsys.readouterr().err
    )


def test_what_ends_a_step_does_not_wait_for_a_grade_that_hangs() -> None:
    ever = threading.Event()

    def hangs(text: str, task: Task) -> Verdict:
        ever.wait()
        return answer(text, task)

    rescue = threading.Timer(60, ever.set)  # without it a step that waited would hang this test
    rescue.start()

    def interrupted() -> None:
        with Grading(hangs) as graded:
            for i in range(9):
                graded.submit(TASK, str(i))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    rescue.cancel()
    assert not ever.is_set()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("simko-grading"))
    ever.set()


def test_no_thread_outlives_it_and_what_raises_is_raised() -> None:
    before = set(threading.enumerate())  # some may end meanwhile
    with Grading(answer) as graded:
        assert graded.verdict(TASK, "x").correct
    assert set(threading.enumerate()) <= before

    def raises(text: str, task: Task) -> Verdict:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"), Grading(raises) as graded:
        graded.verdict(TASK, "x")
