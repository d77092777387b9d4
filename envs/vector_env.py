"""`TokenVectorEnv`: many answers side by side, batched in numpy.

It exists for Gymnasium's API. Training decodes through an engine and `TokenEnv.begin` instead, with the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from simko.envs.episode import Episode
from simko.envs.token_env import TokenEnv, check_options, fill, make_env, transcript
from simko.errors import UserError

Observation = dict[str, NDArray[np.int64]]  # {"tokens": (N, max_length), "length": (N,)}
Flags = NDArray[np.bool_]


class TokenVectorEnv(VectorEnv[Observation, Any, Any]):
    """N slots of one `TokenEnv`. A slot never resets itself (`AutoresetMode.DISABLED`).

    `reset(seed=...)` takes an integer, a list or None. An integer `s` seeds slot i with `s + i`, as in Gymnasium. A list
    seeds each slot, and **equal seeds make a GRPO group**: `seed=[s] * G` is one task G times. None keeps the slots'
    generators. `reset(options=...)` takes `task`, one task id for all slots or a list with one id (or None) for each
    slot, and `reset_mask` (N,) bool, the slots to reset.

    A finished slot ignores its action, gives reward 0.0 and keeps its observation and flags until a masked reset.
    A step before the first reset raises `ResetNeeded`. An id outside the vocabulary in a live slot raises
    `InvalidAction`.
    """

    def __init__(self, env: TokenEnv, num_envs: int = 1) -> None:
        if num_envs < 1:
            raise UserError(f"num_envs is {num_envs}; give at least 1")
        self.env = env
        self.num_envs = num_envs
        self.metadata = {**env.metadata, "autoreset_mode": AutoresetMode.DISABLED}
        self.render_mode = env.render_mode
        self.single_action_space = env.action_space
        self.single_observation_space = env.observation_space
        self._vocabulary = len(env.tokenizer)
        self.action_space = batch_space(env.action_space, num_envs)
        self.observation_space = batch_space(env.observation_space, num_envs)
        self.episodes: list[Episode | None] = [None] * num_envs
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._tokens = np.zeros((num_envs, env.max_length), np.int64)
        self._length = np.zeros(num_envs, np.int64)
        self._terminated = np.zeros(num_envs, np.bool_)
        self._truncated = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode in every slot, or in those of `options["reset_mask"]`."""
        check_options(options, ("task", "reset_mask"))
        mask = self._mask((options or {}).get("reset_mask"))
        if isinstance(seed, int | np.integer):
            seed = [int(seed) + i for i in range(self.num_envs)]
        seeds = self._per_slot("seed", seed)
        task = (options or {}).get("task")
        ids = self._per_slot("task", [task] * self.num_envs if isinstance(task, str) else task)
        infos: dict[str, Any] = {}
        for i in np.flatnonzero(mask).tolist():
            rng = self._rngs[i]
            if rng is None or seeds[i] is not None:
                rng = self._rngs[i] = seeding.np_random(seeds[i])[0]
            episode = self.episodes[i] = self.env.begin(self.env.pick_task(rng, ids[i]))
            self._tokens[i] = 0
            self._length[i] = fill(self._tokens[i], episode)
            self._terminated[i] = self._truncated[i] = False
            infos = self._add_info(infos, self.env.describe(episode.task), i)
        return self._observe(), infos

    def step(self, actions: Any) -> tuple[Observation, NDArray[np.float64], Flags, Flags, dict[str, Any]]:
        """Append `actions[i]` to the live slot i."""
        tokens = np.asarray(actions)
        if tokens.shape != (self.num_envs,) or not np.issubdtype(tokens.dtype, np.integer):
            raise InvalidAction(
                f"actions have shape {tokens.shape} and type {tokens.dtype}; give {self.num_envs} integers"
            )
        live = ~(self._terminated | self._truncated)
        outside = live & ((tokens < 0) | (tokens >= self._vocabulary))
        if outside.any():
            slot = int(np.flatnonzero(outside)[0])
            raise InvalidAction(f"action {tokens[slot]} of slot {slot} is not a token id in 0..{self._vocabulary - 1}")
        episodes = [episode for episode in self.episodes if episode is not None]
        if len(episodes) < self.num_envs:
            raise ResetNeeded(f"call reset(): no episode was begun in slot {self.episodes.index(None)}")
        rewards = np.zeros(self.num_envs, np.float64)
        infos: dict[str, Any] = {}
        taken, lengths = tokens.tolist(), self._length.tolist()
        for i in np.flatnonzero(live).tolist():
            episode = episodes[i]
            episode.push(taken[i])
            start, prompt = lengths[i], len(episode.prompt_ids)  # the row holds the tokens before `start` already
            self._length[i] = end = prompt + len(episode.ids)
            self._tokens[i, start:end] = episode.ids[start - prompt :]
            if episode.terminated or episode.truncated:
                self._terminated[i], self._truncated[i] = episode.terminated, episode.truncated
                rewards[i], info = self.env.conclude(episode)
                infos = self._add_info(infos, info, i)
        return self._observe(), rewards, self._terminated.copy(), self._truncated.copy(), infos

    def render(self) -> tuple[Any, ...] | None:
        """With `render_mode="ansi"`, the prompt and the text so far of each slot."""
        if self.render_mode is None:
            return None
        return tuple(transcript(e, self.env.format) if e is not None else "" for e in self.episodes)

    def _observe(self) -> Observation:
        return {"tokens": self._tokens.copy(), "length": self._length.copy()}

    def _mask(self, mask: Any) -> Flags:
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        if (
            not isinstance(mask, np.ndarray)
            or mask.dtype != np.bool_
            or mask.shape != (self.num_envs,)
            or not mask.any()
        ):
            raise UserError(f"reset_mask is {mask!r}; give a numpy bool array ({self.num_envs},) with a True in it")
        return mask

    def _per_slot(self, name: str, values: Any) -> list[Any]:
        if values is None:
            return [None] * self.num_envs
        if len(values) != self.num_envs:
            raise UserError(f"reset: {len(values)} values of {name} for {self.num_envs} slots; give one a slot")
        return list(values)


def make_vector_env(num_envs: int, env: Mapping[str, Any], **overrides: Any) -> TokenVectorEnv:
    """The entry point of `gymnasium.make_vec`: see `make_env`."""
    return TokenVectorEnv(make_env(env, **overrides), num_envs)
