"""The look before training: what it counts, and when it stops."""

from __future__ import annotations

import io

import numpy as np
import pytest
from fakes import FakeEnv, FakePolicy, completion
from rich.console import Console

from simko.config import TrainConfig
from simko.errors import UserError
from simko.preflight import Preflight, preflight
from simko.types import Completion, Group, Task, Verdict


def groups(outcomes: list[str], finish: str = "stop") -> list[Group]:
    rng = np.random.default_rng(0)
    completions = []
    for outcome in outcomes:
        c = completion(rng, float(outcome == "correct"), outcome)
        completions.append(Completion(c.prompt_ids, c.ids, c.logprobs, c.sampled, "", finish, c.verdict))  # type: ignore[arg-type]
    return [Group(Task("a", "", ""), tuple(completions))]


def test_it_counts() -> None:
    report = Preflight.of(
        [*groups(["correct", "incorrect", "no_answer", "timeout"]), *groups(["incorrect"] * 4, "length")]
    )
    assert report == Preflight(1 / 8, 4 / 8, 1 / 8, 1 / 8, 1 / 2, 8)
    assert "solved 12%" in report.line()
    assert report.obstacle() is None


@pytest.mark.parametrize(
    ("outcomes", "finish", "words"),
    [
        (["error"] * 4, "stop", "verifier failed"),
        (["incorrect"] * 4, "length", "--max-new-tokens"),
        (["no_answer"] * 4, "stop", "no final answer"),
        (["correct"] * 4, "stop", "harder"),
        (["incorrect"] * 4, "stop", "lower --level"),
    ],
)
def test_it_names_the_obstacle(outcomes: list[str], finish: str, words: str) -> None:
    assert words in str(Preflight.of(groups(outcomes, finish)).obstacle())


def test_it_stops_unless_forced() -> None:
    class Hopeless(FakeEnv):
        def grade(self, text: str, task: Task) -> Verdict:
            return Verdict("incorrect", 0.0)

    out = io.StringIO()
    with pytest.raises(UserError, match=r"nothing can be learned.*--force"):
        preflight(TrainConfig(preflight_prompts=2), FakePolicy(), Hopeless(), Console(file=out))
    preflight(TrainConfig(preflight_prompts=2, force=True), FakePolicy(), Hopeless(), Console(file=out))
    preflight(TrainConfig(preflight_prompts=4), FakePolicy(), FakeEnv(), Console(file=out))
    assert "informative groups" in out.getvalue()


def test_it_warns_of_little_signal() -> None:
    report = Preflight.of([*groups(["correct", "incorrect"], "length"), *(groups(["incorrect"] * 2) * 9)])
    assert any("10%" in line for line in report.warnings())
