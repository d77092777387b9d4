"""The cost of an environment step: `TokenVectorEnv` and `TokenEnv` beside Gymnasium's own ways to run many environments.

The peers are Gymnasium's `SyncVectorEnv` and `AsyncVectorEnv`. They run our `TokenEnv`, and a plain token environment of twenty
lines with the same observation, but without a task, a verifier or turns. Gymnasium's checkers are off. All take the same tokens,
and a step is one token of one slot. (Training does not step environments: see `simko.rollout`.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

from benchmarks.common import Case, Options, Result, compare

TITLE = "a step of many token environments, against Gymnasium's SyncVectorEnv and AsyncVectorEnv"
ID = "simko/Arithmetic-v0"
PROMPT, NEW, VOCABULARY = 64, 128, 258


def run(options: Options) -> Result:
    """Run episodes of 128 tokens in 16 slots."""
    sizes = {"slots": 4 if options.quick else 16, "episodes": 1 if options.quick else 8}
    cases = [
        Case("TokenVectorEnv", "benchmarks.environment:vector", {**sizes, "how": "ours"}, role="ours"),
        Case("plain, SyncVectorEnv", "benchmarks.environment:vector", {**sizes, "how": "sync"}),
        Case("plain, AsyncVectorEnv", "benchmarks.environment:vector", {**sizes, "how": "async"}),
        Case("TokenEnv, SyncVectorEnv", "benchmarks.environment:vector", {**sizes, "how": "ours-sync"}),
        Case("TokenEnv, AsyncVectorEnv", "benchmarks.environment:vector", {**sizes, "how": "ours-async"}),
        Case("TokenEnv alone", "benchmarks.environment:alone", sizes, role="other"),
    ]
    return compare(
        "environment", TITLE, cases, options, repeats=5, per="steps",
        compared=("wall_s_per_steps", "cpu_s_per_steps"), setting={**sizes, "tokens": NEW, "environment": ID},
    )  # fmt: skip


class PlainTokenEnv(gymnasium.Env[Any, Any]):
    """The smallest token environment: it appends a token, and ends at the budget."""

    def __init__(self) -> None:
        self.action_space = Discrete(VOCABULARY)
        box = Box(0, VOCABULARY - 1, (PROMPT + NEW,), np.int64)
        self.observation_space = Dict({"tokens": box, "length": Discrete(PROMPT + NEW + 1)})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start with a prompt of random tokens."""
        super().reset(seed=seed)
        self.tokens = np.zeros(PROMPT + NEW, np.int64)
        self.tokens[:PROMPT] = self.np_random.integers(0, 256, PROMPT)
        self.length = PROMPT
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Append one token."""
        self.tokens[self.length] = action
        self.length += 1
        return self._observe(), 0.0, False, self.length == PROMPT + NEW, {}

    def _observe(self) -> dict[str, Any]:
        return {"tokens": self.tokens.copy(), "length": self.length}


def vector(how: str, slots: int, episodes: int) -> Callable[[], dict[str, float]]:
    """Step all slots together until every one is done, `episodes` times."""
    import simko.envs  # noqa: F401  # registers the environments

    settings: dict[str, Any] = {"max_prompt_tokens": PROMPT, "max_new_tokens": NEW, "instruction": ""}
    if how == "ours":
        envs: Any = gymnasium.make_vec(ID, num_envs=slots, vectorization_mode="vector_entry_point", **settings)
    else:
        kind = gymnasium.vector.AsyncVectorEnv if how.endswith("async") else gymnasium.vector.SyncVectorEnv
        make = partial(gymnasium.make, ID, disable_env_checker=True, **settings)
        envs = kind([make if how.startswith("ours") else PlainTokenEnv for _ in range(slots)])
    actions = np.random.default_rng(0).integers(97, 123, (NEW, slots))  # letters: no answer ends early

    def once() -> dict[str, float]:
        for episode in range(episodes):
            envs.reset(seed=episode)
            for row in actions:
                *_, truncated, _ = envs.step(row)
            if not truncated.all():
                raise RuntimeError("an episode did not end with its last token")
        return {"steps": float(episodes * slots * NEW)}

    return once


def alone(slots: int, episodes: int) -> Callable[[], dict[str, float]]:
    """Step one environment through as many episodes."""
    import simko.envs  # noqa: F401

    settings: dict[str, Any] = {"max_prompt_tokens": PROMPT, "max_new_tokens": NEW, "instruction": ""}
    env = gymnasium.make(ID, disable_env_checker=True, **settings)
    actions = np.random.default_rng(0).integers(97, 123, NEW).tolist()

    def once() -> dict[str, float]:
        for episode in range(episodes * slots):
            env.reset(seed=episode)
            for token in actions:
                env.step(token)
        return {"steps": float(episodes * slots * NEW)}

    return once
