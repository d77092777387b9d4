"""Rollouts: grouping, streams, turns and grading, with a policy and an environment that are fakes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from fakes import EOS, FakeEngine, FakeEnv, FakePolicy

from simko.rollout import rollout
from simko.schedule import stream_seed
from simko.types import Generation, Group, Sampling, Task, Verdict


def texts(groups: list[Group]) -> list[list[str]]:
    return [[c.text for c in group.completions] for group in groups]


def test_groups_follow_the_tasks() -> None:
    env, policy = FakeEnv(), FakePolicy()
    tasks = env.source.tasks(3, 1)
    groups = rollout(policy.engine, env, tasks, 5, seed=3)
    assert [group.task for group in groups] == tasks
    assert {len(group.completions) for group in groups} == {5}
    for group in groups:
        for c in group.completions:
            assert (c.ids[-1] == EOS) == (c.finish == "stop")
            assert c.prompt_ids.tolist() == [1, 2, int(group.task.gold)]
            assert len(c.ids) == len(c.logprobs) == len(c.sampled) <= 8
            assert c.sampled.all()


def test_a_completion_depends_on_its_own_stream_only() -> None:
    env, policy = FakeEnv(), FakePolicy()
    tasks = env.source.tasks(4, 1)
    together = texts(rollout(policy.engine, env, tasks, 3, seed=7, step=2))
    assert [texts(rollout(policy.engine, env, [task], 3, seed=7, step=2))[0] for task in tasks] == together
    first = texts(rollout(policy.engine, env, tasks, 1, seed=7, step=2))
    rest = texts(rollout(policy.engine, env, tasks, 2, seed=7, step=2, first_sample=1))
    assert [a + b for a, b in zip(first, rest, strict=True)] == together
    assert texts(rollout(policy.engine, env, tasks, 3, seed=7, step=3)) != together
    assert texts(rollout(policy.engine, env, tasks, 3, seed=8, step=2)) != together


def test_two_turns_keep_the_environments_tokens_out_of_the_loss() -> None:
    env, policy = FakeEnv(max_new_tokens=40, reply=(4, 5)), FakePolicy()
    groups = rollout(policy.engine, env, env.source.tasks(4, 1), 4)
    spoken = [c for group in groups for c in group.completions if not c.sampled.all()]
    assert spoken
    for c in spoken:
        assert c.ids[~c.sampled].tolist() == [4, 5]
        assert (c.logprobs[~c.sampled] == 0).all()
        assert (c.logprobs[c.sampled] < 0).all()
        assert c.ids[np.flatnonzero(~c.sampled)[0] - 1] == EOS


def test_equal_answers_are_graded_once() -> None:
    env, policy = FakeEnv(max_new_tokens=1), FakePolicy()
    groups = rollout(policy.engine, env, env.source.tasks(2, 1), 30)
    assert len(env.graded) == sum(len({c.text for c in group.completions}) for group in groups) < 60


@pytest.mark.parametrize("ids", [[3], [EOS, 3]])
def test_an_engine_that_ends_a_turn_elsewhere_is_a_bug_that_shows(ids: list[int]) -> None:
    class Wrong:
        def generate(self, prompts: list, n: int, *_: object) -> list:
            logprobs = np.full(len(ids), -1.0, dtype=np.float32)
            return [[Generation(np.array(ids), logprobs, "stop")] * n for _ in prompts]

    env = FakeEnv()
    with pytest.raises(RuntimeError, match="where a turn ends"):
        rollout(Wrong(), env, env.source.tasks(1, 1), 1)  # type: ignore[arg-type]


def test_stream_seeds() -> None:
    assert stream_seed(1, 2, "a", 3) == stream_seed(1, 2, "a", 3) == 17042469711832705161
    assert len({stream_seed(s, t, "a", i) for s in range(4) for t in range(4) for i in range(4)}) == 64


def test_no_tasks() -> None:
    assert rollout(FakePolicy().engine, FakeEnv(), [], 4) == []


class HandsOver:
    """Ends the last sequence first, and tells of each as it ends."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine, self.between = engine, []

    def generate(
        self,
        prompts: list,
        n: int,
        sampling: Sampling,
        seeds: list[int],
        budgets: list[int] | None = None,
        on_finish: Callable[[int, Generation], None] | None = None,
    ) -> list[list[Generation]]:
        groups = self.engine.generate(prompts, n, sampling, seeds, budgets)
        flat = [generation for group in groups for generation in group]
        for row in reversed(range(len(flat))):
            if on_finish:
                on_finish(row, flat[row])
                for step in self.between:
                    step(row)
        return groups


@pytest.mark.parametrize("reply", [(), (4, 5)])
def test_handing_over_and_threads_change_no_result(reply: tuple[int, ...]) -> None:
    policy = FakePolicy()
    tasks = FakeEnv().source.tasks(4, 1)
    expected = rollout(policy.engine, FakeEnv(max_new_tokens=40, reply=reply), tasks, 5)
    slow_first = iter([0.02, 0.0, 0.01] + [0.0] * 100)

    def grade(text: str, task: Task) -> Verdict:
        time.sleep(next(slow_first))
        return FakeEnv().grade(text, task)

    env = FakeEnv(max_new_tokens=40, reply=reply)
    groups = rollout(HandsOver(policy.engine), env, tasks, 5, grade=grade)
    assert env.graded == []  # the grader given took its place
    for ours, theirs in zip(groups, expected, strict=True):
        for a, b in zip(ours.completions, theirs.completions, strict=True):
            assert (a.text, a.ids.tolist(), a.finish, a.verdict) == (b.text, b.ids.tolist(), b.finish, b.verdict)


def test_answers_are_graded_while_others_are_decoded() -> None:
    graded, engine = threading.Event(), HandsOver(FakePolicy().engine)

    def grade(text: str, task: Task) -> Verdict:
        graded.set()
        return Verdict("correct", 1.0)

    def still_decoding(row: int) -> None:
        assert graded.wait(10)  # would never come if grading waited for the last sequence

    engine.between.append(still_decoding)
    rollout(engine, FakeEnv(), FakeEnv().source.tasks(2, 1), 3, grade=grade)


def test_a_graders_exception_is_that_of_the_first_answer_it_failed_on() -> None:
    engine, env = HandsOver(FakePolicy().engine), FakeEnv(max_new_tokens=20)
    tasks = env.source.tasks(2, 1)
    texts_ = [c.text for group in rollout(engine, env, tasks, 3) for c in group.completions]

    def grade(text: str, task: Task) -> Verdict:
        if text in (texts_[1], texts_[4]):
            raise ZeroDivisionError(text)
        return Verdict("correct", 1.0)

    before = set(threading.enumerate())  # some may end meanwhile
    with pytest.raises(ZeroDivisionError) as caught:
        rollout(engine, env, tasks, 3, grade=grade)
    assert str(caught.value) == texts_[1]
    assert set(threading.enumerate()) <= before
