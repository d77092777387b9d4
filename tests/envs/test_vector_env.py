from __future__ import annotations

import json
import pickle
from typing import Any

import fake_envs
import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode

from simko.envs import TokenEnv, TokenVectorEnv
from simko.errors import UserError

EOS = 256


def vector(n: int = 3, **settings: Any) -> TokenVectorEnv:
    settings = {"max_prompt_tokens": 16, "max_new_tokens": 6, **settings}
    return TokenVectorEnv(TokenEnv(fake_envs.Sums, "fake_last_word", **settings), n)


def row(observation: dict[str, Any], slot: int) -> bytes:
    return bytes(min(int(t), 255) for t in observation["tokens"][slot][: observation["length"][slot]])


def test_make_vec() -> None:
    env = gymnasium.make_vec("fake/Double-v0", num_envs=4, level=2, max_new_tokens=5)
    assert isinstance(env, TokenVectorEnv)
    assert env.num_envs == 4
    assert env.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    observation, infos = env.reset(seed=0)
    assert observation in env.observation_space
    assert env.single_observation_space["tokens"].shape == (517,)
    assert all("/2/" in id for id in infos["task"])
    observation, *_ = env.step(env.action_space.sample())
    assert observation in env.observation_space
    assert env.spec is not None
    json.loads(env.spec.to_json())


def test_integer_seed_counts_up_and_equal_seeds_make_a_group() -> None:
    env = vector(4)
    _, counted = env.reset(seed=5)
    alone = [env.env.reset(seed=5 + i)[1]["task"] for i in range(4)]
    assert counted["task"].tolist() == alone
    assert len(set(alone)) > 1
    observation, group = env.reset(seed=[7] * 4)
    assert len(set(group["task"])) == 1
    assert (observation["tokens"] == observation["tokens"][0]).all()
    assert group["task"][0] == env.env.reset(seed=7)[1]["task"]


def test_without_a_seed_each_slot_goes_on_with_its_own_generator() -> None:
    env = vector(2)
    env.reset(seed=[3, 4])
    later = [env.reset()[1]["task"].tolist() for _ in range(5)]
    env.env.reset(seed=3)
    assert [env.env.reset()[1]["task"] for _ in range(5)] == [first for first, _ in later]


def test_task_option() -> None:
    env = vector(3)
    assert env.reset(options={"task": "4"})[1]["task"].tolist() == ["4", "4", "4"]
    drawn = env.reset(seed=[0, 1, 2], options={"task": ["4", None, "5"]})[1]["task"].tolist()
    assert drawn == ["4", env.env.reset(seed=1)[1]["task"], "5"]


def test_finished_slot_keeps_its_state_until_a_masked_reset() -> None:
    env = vector(3)
    env.reset(options={"task": "3"})
    env.step(np.array([ord("6"), ord("6"), ord("7")]))
    observation, rewards, terminated, truncated, infos = env.step(np.array([EOS, ord(" "), EOS]))
    assert rewards.tolist() == [1.0, 0.0, 0.0]
    assert terminated.tolist() == [True, False, True]
    assert truncated.tolist() == [False] * 3
    assert infos["_gold"].tolist() == [True, False, True]
    assert infos["verdict"]["outcome"].tolist() == ["correct", None, "incorrect"]

    done = row(observation, 0)
    observation, rewards, terminated, truncated, infos = env.step(
        np.array([999, ord("6"), -1])
    )  # ignored where finished
    assert row(observation, 0) == done
    assert rewards.tolist() == [0.0] * 3
    assert terminated.tolist() == [True, False, True]
    assert "gold" not in infos

    mask = np.array([True, False, False])
    options = {"reset_mask": mask, "task": "5"}
    observation, infos = env.reset(seed=1, options=options)
    assert options == {"reset_mask": mask, "task": "5"}
    assert row(observation, 0) == b"5 + 5 =\n"
    assert not observation["tokens"][0][8:].any()
    assert row(observation, 1) == b"3 + 3 =\n6 6"
    assert infos["_task"].tolist() == [True, False, False]
    _, rewards, terminated, _, _ = env.step(np.array([ord("1"), EOS, 0]))
    assert rewards.tolist() == [0.0, 1.0, 0.0]
    assert terminated.tolist() == [False, True, True]
    terminated = env.step(np.array([EOS, 0, 0]))[2]
    assert terminated.tolist() == [True, True, True]
    assert env.step(np.zeros(3, np.int64))[1].tolist() == [0.0] * 3


def test_returned_arrays_are_the_callers() -> None:
    env = vector(2)
    first, _ = env.reset(seed=0)
    before = first["tokens"].copy()
    second, _, terminated, truncated, _ = env.step(np.array([65, 65]))
    assert (first["tokens"] == before).all()
    assert first["length"].tolist() != second["length"].tolist()
    for array in (first["tokens"], second["tokens"], second["length"], terminated, truncated):
        array[:] = 1
    third, _, terminated, *_ = env.step(np.array([EOS, 65]))
    assert row(third, 1).endswith(b"=\nAA")
    assert terminated.tolist() == [True, False]


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 258], r"action 258 of slot 1 is not a token id in 0\.\.257"),
        ([-1, 0], "action -1 of slot 0"),
        ([0], r"shape \(1,\)"),
        ([0.0, 1.0], "type float64; give 2 integers"),
    ],
)
def test_wrong_actions(actions: list[Any], message: str) -> None:
    env = vector(2)
    before, _ = env.reset(seed=0)
    with pytest.raises(InvalidAction, match=message):
        env.step(actions)
    assert env.step(np.array([65, 65]))[0]["length"].tolist() == (before["length"] + 1).tolist()


def test_step_before_reset() -> None:
    env = vector(2)
    with pytest.raises(ResetNeeded, match="slot 0"):
        env.step(np.zeros(2, np.int64))
    env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ResetNeeded, match="slot 1"):
        env.step(np.zeros(2, np.int64))


@pytest.mark.parametrize(
    ("seed", "options", "message"),
    [
        ([1, 2, 3], {}, "3 values of seed for 2 slots"),
        (None, {"task": ["1"]}, "1 values of task for 2 slots"),
        (None, {"mask": 1}, "no option 'mask'"),
        (None, {"reset_mask": [True, False]}, "give a numpy bool array"),
        (None, {"reset_mask": np.array([False, False])}, "with a True in it"),
        (None, {"reset_mask": np.array([True])}, "give a numpy bool array"),
        (None, {"reset_mask": np.array([1, 0])}, "give a numpy bool array"),
    ],
)
def test_wrong_resets(seed: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        vector(2).reset(seed=seed, options=options)
    with pytest.raises(UserError, match="num_envs is 0"):
        vector(0)


def test_render() -> None:
    env = vector(2, render_mode="ansi")
    env.reset(options={"task": "3"})
    env.step(np.array([65, 66]))
    assert env.render() == ("3 + 3 =\nA", "3 + 3 =\nB")
    assert vector(1).render() is None


def test_pickle() -> None:
    env = vector(2)
    env.reset(seed=0)
    env.step(np.array([65, EOS]))
    copy = pickle.loads(pickle.dumps(env))
    for name in ("tokens", "length"):
        assert (env.step(np.array([66, 66]))[0][name] == copy.step(np.array([66, 66]))[0][name]).all()


def test_gymnasiums_own_vectorisers_take_it_too() -> None:
    sync = gymnasium.make_vec("fake/Double-v0", num_envs=2, vectorization_mode="sync")
    ours = gymnasium.make_vec("fake/Double-v0", num_envs=2)
    a, b = sync.reset(seed=1), ours.reset(seed=1)
    assert (a[0]["tokens"] == b[0]["tokens"]).all()
    assert a[1]["task"].tolist() == b[1]["task"].tolist()
    sync.close()
