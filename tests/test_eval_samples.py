"""Samples of an evaluation: the cut of the work changes nothing."""

from __future__ import annotations

from eval_fakes import FakeEnv, FakePolicy

from simko.eval_samples import chunks, sample_counts
from simko.report import Counts
from simko.rollout import rollout
from simko.types import Sampling, Task


def test_chunks_cover_every_sample_once() -> None:
    tasks = [Task(str(i), "", "") for i in range(7)]
    for n in (1, 3, 8, 20):
        for chunk in (1, 3, 8, 50, 1000):
            seen = [
                (t.id, first + i) for part, first, size in chunks(tasks, n, chunk) for t in part for i in range(size)
            ]
            assert sorted(seen) == sorted((t.id, i) for t in tasks for i in range(n))
            assert all(len(part) * size <= chunk for part, _, size in chunks(tasks, n, chunk))


def test_chunks_change_the_work_and_not_the_counts() -> None:
    env, tasks = FakeEnv(), FakeEnv().source.tasks(None, 0)
    results, calls = [], []
    for chunk in (1, 7, 40, 1000):
        policy = FakePolicy()
        results.append(sample_counts(policy, env, tasks, 20, Sampling(), seed=3, chunk=chunk))
        calls.append(len(policy.engine.calls))
        assert max(policy.engine.calls) <= chunk
    assert all(counts == results[0] for counts in results)
    assert calls == [100, 15, 3, 1]
    assert results[0] != sample_counts(FakePolicy(), env, tasks, 20, Sampling(), seed=4)


def test_counts_are_those_of_the_rollout() -> None:
    env, policy = FakeEnv(breaks="fake/eval/2"), FakePolicy()
    tasks = env.source.tasks(None, 0)
    heard: list[int] = []
    counts = sample_counts(policy, env, tasks, 30, Sampling(0.6, 0.95), 5, lambda c: heard.append(c.samples), chunk=30)
    expected = Counts()
    expected.add(rollout(policy.engine, env, tasks, 30, Sampling(0.6, 0.95), seed=5))
    assert counts == expected
    assert heard == [30, 60, 90, 120, 150]
    assert counts.truncated > 0
    assert counts.outcomes["timeout"] > 0
    assert counts.tallies["fake/eval/2"].samples == 30 - counts.outcomes["timeout"]
