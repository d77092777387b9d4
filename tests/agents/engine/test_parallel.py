"""Jobs in threads: bounded, handed over as they end, and given up together."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from simko.agents.engine.parallel import in_parallel
from simko.errors import UserError


def test_results_come_with_their_jobs() -> None:
    assert dict(in_parallel(range(40), lambda job: job * job, 5, 9, "")) == {job: job * job for job in range(40)}
    assert list(in_parallel([], lambda job: job, 5, 9, "")) == []


def test_the_first_exception_ends_all() -> None:
    begun: list[int] = []

    def work(job: int) -> int:
        begun.append(job)
        if job == 3:
            raise FloatingPointError("here")
        return job

    with pytest.raises(FloatingPointError, match="here"):
        list(in_parallel(range(9999), work, 1, 9, ""))
    assert begun == [0, 1, 2, 3]


def test_a_caller_that_stops_begins_no_further_job() -> None:
    free, begun = threading.Event(), []

    def work(job: int) -> int:
        begun.append(job)
        if job:
            free.wait(20)
        return job

    with closing(in_parallel(range(100), work, 2, 9, "")) as results:
        assert next(results) == (0, 0)
    free.set()
    for thread in threading.enumerate():
        if thread.name.startswith("simko-engine"):
            thread.join(20)
    assert len(begun) <= 3


def test_a_job_that_never_ends_is_given_up() -> None:
    free = threading.Event()
    with pytest.raises(UserError, match="stuck there"):
        list(in_parallel([1], lambda job: free.wait(20), 1, 1, "stuck there"))
    free.set()
