"""Reward functions and environment classes for TRL; no TRL is needed."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import simko.envs
from simko.errors import UserError
from simko.integrations import trl as ours
from simko.integrations.trl import environment, reward
from simko.integrations.trl.tasks import _rewards, answer_text
from simko.types import Verdict

ENV = "simko/Countdown-v0"


def test_a_verifier_grades_a_column() -> None:
    grade = reward("math", gold="answer")
    messages = [[{"role": "assistant", "content": f"\\boxed{{{text}}}"}] for text in ("1/2", "0.5", "3", "")]
    assert grade(prompts=["p"] * 4, completions=messages, answer=["0.5"] * 4) == [1.0, 1.0, 0.0, 0.0]
    assert reward("math:boxed")(prompts=["p"], completions=["\\boxed{2}"], gold=["2"]) == [1.0]
    assert grade.__name__ == "math"
    with pytest.raises(UserError, match=r"reward 'math': the training set has no column 'answer'; name it with gold="):
        grade(prompts=["p"], completions=["x"])


def test_an_environment_grades_its_tasks() -> None:
    env = simko.envs.make("simko/Arithmetic-v0", split="train")
    tasks = env.source.tasks(3, 0)
    columns: dict[str, Any] = {"task": [task.id for task in tasks], "split": ["train"] * 3}
    texts = [tasks[0].gold, "nothing", tasks[2].gold]
    logged: dict[str, float] = {}
    grade = reward("simko/Arithmetic-v0")
    values = grade(prompts=["a", "b", "c"], completions=texts, log_metric=logged.__setitem__, **columns)
    assert values == [1.0, 0.0, 1.0]
    assert logged == {"verifier_failed": 0.0}
    assert grade.__name__ == "Arithmetic-v0"
    with pytest.raises(
        UserError, match=r"no column 'task'; make the training set with simko\.integrations\.trl\.dataset"
    ):
        grade(prompts=["a"], completions=["1"])
    with pytest.raises(UserError, match="no environment 'simko/None-v0'"):
        reward("simko/None-v0")


def test_a_verifier_that_fails_is_not_a_wrong_answer() -> None:
    failed, right, wrong = Verdict("timeout", 0.0), Verdict("correct", 1.0), Verdict("incorrect", 0.0)
    assert _rewards(["p", "p", "p", "q"], [right, failed, wrong, failed]) == [1.0, 0.5, 0.0, None]


def test_the_text_of_a_completion() -> None:
    assert answer_text("x") == "x"
    assert answer_text([{"role": "assistant", "content": "a"}, {"role": "tool", "content": "t"},
                        {"role": "assistant", "content": None}, {"role": "assistant", "content": "b"}]) == "a\n\nb"  # fmt: skip


def test_an_episode_through_the_tool() -> None:
    world = simko.envs.make("simko/GuessNumber-v0", split="train", level=1)
    (task,) = world.source.tasks(1, 0)
    episode = environment("simko/GuessNumber-v0", level=1)()
    assert episode.reset(task=task.id, prompt=[], gold=task.gold) is None
    assert episode.get_reward() == 0.0
    assert "lower" in episode.answer(str(int(task.gold) + 1))
    assert episode.answer(task.gold) == "Your answer is in."
    assert episode.answer("7") == "The episode is over."
    assert episode.get_reward() == 1.0
    episode.reset(task=task.id)
    assert episode.get_reward() == 0.0


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    monkeypatch.setitem(sys.modules, "datasets", None)
    for name in ("SimKOTrainer", "PassAtK"):
        with pytest.raises(UserError, match=r"pip install 'simko\[trl\]'"):
            getattr(ours, name)
    with pytest.raises(UserError, match=r"pip install 'simko\[trl\]'"):
        ours.dataset(ENV, count=2)
    with pytest.raises(AttributeError):
        _ = ours.nothing
