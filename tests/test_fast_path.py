"""The trainer's fast path against the Gymnasium environments: the same tokens give the same trajectories and rewards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simko.agents import LoraPolicy
from simko.envs import TokenEnv, TokenVectorEnv, make
from simko.rollout import rollout
from simko.types import Completion, Task

CASES = [
    ("simko/Countdown-v0", {"max_new_tokens": 12}),
    ("simko/Arithmetic-v0", {"level": 1, "max_new_tokens": 6}),
    ("simko/GuessNumber-v0", {}),
]


@pytest.fixture(scope="module")
def policy() -> LoraPolicy:
    return LoraPolicy.from_pretrained("tiny", lora_rank=4)


def replay(env: TokenEnv, task: Task, completion: Completion) -> tuple[list[int], float, bool, bool]:
    """Step the single environment with the sampled tokens; returns tokens after the prompt, reward and flags."""
    observation, _ = env.reset(options={"task": task.id})
    reward, terminated, truncated = 0.0, False, False
    for token in completion.ids[completion.sampled]:
        assert (reward, terminated, truncated) == (0.0, False, False)
        observation, reward, terminated, truncated, _ = env.step(int(token))
    tokens = observation["tokens"][: int(observation["length"])].tolist()
    assert tokens[: len(completion.prompt_ids)] == completion.prompt_ids.tolist()
    return tokens[len(completion.prompt_ids) :], float(reward), terminated, truncated


@pytest.mark.parametrize(("name", "options"), CASES, ids=[name for name, _ in CASES])
def test_rollouts_replay_in_the_single_and_the_vector_environment(
    policy: LoraPolicy, name: str, options: dict[str, Any]
) -> None:
    env = make(name, tokenizer=policy.tokenizer, **options)
    tasks = env.source.tasks(4, 0)
    groups = rollout(policy.engine, env, tasks, 6, seed=3)
    outcomes = set()
    for task, group in zip(tasks, groups, strict=True):
        vector = TokenVectorEnv(make(name, tokenizer=policy.tokenizer, **options), 6)
        vector.reset(options={"task": task.id})
        columns = [c.ids[c.sampled].tolist() for c in group.completions]
        rewards, ended = np.zeros(6), np.zeros(6, dtype=bool)
        for t in range(max(map(len, columns))):
            actions = np.array([column[t] if t < len(column) else 0 for column in columns])
            observation, reward, terminated, truncated, _ = vector.step(actions)
            rewards += reward
            ended = terminated | truncated
        assert ended.all()
        for slot, c in enumerate(group.completions):
            tokens, single_reward, single_terminated, single_truncated = replay(env, task, c)
            assert tokens == c.ids.tolist()
            assert single_reward == c.verdict.reward == rewards[slot]
            assert (single_terminated, single_truncated) == (c.finish == "stop", c.finish == "length")
            assert (bool(terminated[slot]), bool(truncated[slot])) == (single_terminated, single_truncated)
            length = int(observation["length"][slot])
            assert observation["tokens"][slot][len(c.prompt_ids) : length].tolist() == c.ids.tolist()
            outcomes.add((c.finish, c.verdict.correct, bool(c.sampled.all())))
    assert len(outcomes) > 1
