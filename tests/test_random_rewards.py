"""The random-reward control: a verdict by a coin, which knows the seed, the task and the sample, and never the answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeEnv, FakePolicy
from test_train import files, small_run, timeless

from simko.config import TrainConfig, as_dict, deciding
from simko.errors import UserError
from simko.micro_batch import TokenBudget
from simko.run.folder import RunFolder
from simko.sampling import StepContext
from simko.settings import train_config
from simko.types import Group, Task, Verdict


class AllWrong(FakeEnv):
    def grade(self, text: str, task: Task) -> Verdict:
        return Verdict("error" if len(text) % 2 else "incorrect", 0.0, text)


def sampled(
    chance: float | None, env: FakeEnv | None = None, policy: int = 0, seed: int = 0, step: int = 1
) -> list[Group]:
    config = TrainConfig(prompts_per_step=4, group_size=16, seed=seed, random_rewards=chance)
    context = StepContext(FakePolicy(policy), env or FakeEnv(), config, step, TokenBudget(10**6))
    return context.sample([context.env.source.get(str(i)) for i in range(4)], 16)


def verdicts(groups: list[Group]) -> list[list[bool]]:
    return [[c.verdict.correct for c in group.completions] for group in groups]


def test_the_coin_never_reads_the_answer() -> None:
    coin = verdicts(sampled(0.5))
    assert coin != verdicts(sampled(None))
    assert coin == verdicts(sampled(0.5, AllWrong()))
    other = sampled(0.5, policy=1)
    assert [c.text for g in other for c in g.completions] != [c.text for g in sampled(0.5) for c in g.completions]
    assert coin == verdicts(other) == verdicts(sampled(0.5, step=9))
    assert coin != verdicts(sampled(0.5, seed=1))
    assert len({tuple(row) for row in coin}) == 4  # a coin for each task


@pytest.mark.parametrize("chance", [0.0, 0.2, 1.0])
def test_the_coin_has_the_chance_that_was_asked_for(chance: float) -> None:
    tosses = [toss for seed in range(10) for row in verdicts(sampled(chance, seed=seed)) for toss in row]
    assert abs(sum(tosses) / len(tosses) - chance) <= 0.05 * (0 < chance < 1)
    assert all(c.verdict.reward == float(c.verdict.correct) for g in sampled(chance) for c in g.completions)


def test_answers_are_graded_as_ever() -> None:
    plain, coin = FakeEnv(), FakeEnv()
    assert [c.text for g in sampled(None, plain) for c in g.completions] == [
        c.text for g in sampled(0.5, coin) for c in g.completions
    ]
    assert sorted(plain.graded) == sorted(coin.graded)


def test_it_decides_the_run_and_older_files_stay_as_they_are() -> None:
    plain, coin = train_config({}), train_config({"random_rewards": "0.5"})
    assert "random_rewards" not in as_dict(plain)
    assert deciding(coin) == {**deciding(plain), "random_rewards": 0.5}
    with pytest.raises(UserError, match=r"attempts is 2.*random_rewards"):
        train_config({"random_rewards": 0.5, "attempts": 2})
    with pytest.raises(UserError, match=r"random_rewards is 1\.5; it must be <= 1"):
        train_config({"random_rewards": 1.5})


def test_a_resumed_control_ends_in_the_same_bytes(tmp_path: Path) -> None:
    settings = {"random_rewards": 0.5, "checkpoint_every": 1}
    whole = small_run(tmp_path / "whole", 2, **settings)
    half = small_run(tmp_path / "half", 1, **settings)
    again = small_run(half.path, 2, RunFolder.open(half.path), **settings)
    assert timeless(again) == timeless(whole)
    assert files(again) == files(whole)
    assert 0.2 < whole.metrics()[0]["solve_rate"] < 0.8
