"""Environments that each break the contract in one way, by the check that must notice and a part of what it says."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import fake_envs
import gymnasium
import numpy as np

import simko.envs
from simko.envs import Episode, TokenEnv, TokenVectorEnv
from simko.envs.token_env import Observation
from simko.types import Task

BROKEN: list[tuple[str, str, str]] = []
"""(id, check, part of the detail)"""


class Sound(TokenEnv):
    """The hand-written source, without a fault."""

    tasks: Any = fake_envs.Sums
    graded_by = "fake_last_word"
    options: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, **settings: Any) -> None:
        small = {"max_prompt_tokens": 32, "max_new_tokens": 12}
        super().__init__(self.tasks, self.graded_by, **{**small, **self.options, **settings})


gymnasium.register("broken/Sound-v0", entry_point="broken_envs:Sound")


def caught_by(check: str, says: str, **registered: Any) -> Any:
    def register(cls: type) -> type:
        id = f"broken/{cls.__name__}-v0"
        gymnasium.register(id, **{"entry_point": f"broken_envs:{cls.__name__}", **registered})
        BROKEN.append((id, check, says))
        return cls

    return register


@simko.envs.verifier("broken_accepts_all")
def accepts_all(response: str, gold: str) -> bool:
    return bool(response)


@simko.envs.verifier("broken_accepts_nothing_said")
def accepts_nothing_said(response: str, gold: str) -> bool:
    return response.strip() in ("", gold)


@simko.envs.verifier("broken_accepts_none")
def accepts_none(response: str, gold: str) -> bool:
    return False


@caught_by("gymnasium's check_env", "reset(seed")
class Unseeded(Sound):
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict]:
        return super().reset(seed=None, options=options)


@caught_by("gymnasium's check_env", "render fps")
class Warns(Sound):
    metadata = {"render_modes": ["ansi"]}  # noqa: RUF012


@caught_by("observations, rewards, flags", "reward nan is not a finite float")
class NotANumber(Sound):
    def conclude(self, episode: Episode) -> tuple[float, dict[str, Any]]:
        return float("nan"), super().conclude(episode)[1]


@caught_by("observations, rewards, flags", "not a finite float")
class IntegerReward(Sound):
    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, int(reward), *rest


@caught_by("observations, rewards, flags", "must be bool")
class NumpyFlags(Sound):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, np.bool_(terminated), np.bool_(truncated), info


@caught_by("observations, rewards, flags", "both terminated and truncated")
class BothFlags(Sound):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated or truncated, terminated or truncated, info


@caught_by("observations, rewards, flags", "before the end")
class EarlyReward(Sound):
    def step(self, action: Any) -> Any:
        observation, _, *rest = super().step(action)
        return observation, 0.1, *rest


@caught_by("observations, rewards, flags", "not in its space")
class OutsideItsSpace(Sound):
    def _observe(self, episode: Episode) -> Observation:
        observation = super()._observe(episode)
        observation["tokens"][-1] = len(self.tokenizer)
        return observation


@caught_by("observations, rewards, flags", "one array")
class OneArray(Sound):
    def _observe(self, episode: Episode) -> Observation:
        observation = super()._observe(episode)
        if not hasattr(self, "kept"):
            self.kept = observation["tokens"]
        self.kept[:] = observation["tokens"]
        return {**observation, "tokens": self.kept}


@caught_by("ends within its budget", "no end within max_new_tokens = 12")
class Endless(Sound):
    def begin(self, task: Task) -> Episode:
        return Episode(task, self.prompt_ids(task), self.format, 10**6)

    def _observe(self, episode: Episode) -> Observation:
        del episode.ids[8:]
        return super()._observe(episode)


@caught_by("ends within its budget", "EOS did not terminate")
class DeafToEos(Sound):
    def step(self, action: Any) -> Any:
        return super().step(65 if action == 256 else action)


@caught_by("before reset and after the end", "a step after the end does not raise")
class GoesOn(Sound):
    def step(self, action: Any) -> Any:
        if self.episode is not None and self.episode.done:
            return self._observe(self.episode), 0.0, True, False, {}
        return super().step(action)


@caught_by("before reset and after the end", "a step before reset does not raise")
class StartsItself(Sound):
    def step(self, action: Any) -> Any:
        if self.episode is None:
            self.reset()
        return super().step(action)


@caught_by("no gold before the end", "the prompt depends on the gold answer")
class GoldInPrompt(Sound):
    def prompt_ids(self, task: Task) -> list[int]:
        return self.format.prompt_ids(f"{task.problem} {task.gold}")


@caught_by("no gold before the end", "reset info['hint']")
class GoldInInfo(Sound):
    def describe(self, task: Task) -> dict[str, Any]:
        return {**super().describe(task), "hint": task.gold}


@caught_by("no gold before the end", "step info['debug'][0]['answer']")
class GoldDeepInStepInfo(Sound):
    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        assert self.episode is not None
        return *rest, {**info, "debug": [{"answer": int(self.episode.task.gold)}]}


@caught_by("no gold before the end", "step info['verdict']")
class EarlyVerdict(Sound):
    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        return *rest, {"verdict": None, **info}


@caught_by("no gold before the end", "not prompt, actions and replies")
class GoldInObservation(Sound):
    def _observe(self, episode: Episode) -> Observation:
        observation = super()._observe(episode)
        if episode.ids:
            observation["tokens"][observation["length"] - 1] = ord(episode.task.gold[0])
        return observation


def tells(task: Task, turns: Sequence[str]) -> str | None:
    return f"It was {task.gold}." if len(turns) == 1 else None


@caught_by("no gold before the end", "a reply of the environment tells the gold answer")
class TellsGold(Sound):
    options = {"reply": tells, "max_new_tokens": 80}  # noqa: RUF012


@caught_by("gold grades correct", "grades incorrect")
class NothingIsRight(Sound):
    graded_by = "broken_accepts_none"


@caught_by("gold grades correct", "stepped through, grades incorrect")
class NothingStepsRight(Sound):
    def conclude(self, episode: Episode) -> tuple[float, dict[str, Any]]:
        _, info = super().conclude(episode)
        return 0.0, {**info, "verdict": {"outcome": "incorrect", "reward": 0.0, "extracted": None}}


@caught_by("gold grades correct", "step gives reward 0.5 where grade gives 1.0")
class HalfReward(Sound):
    def conclude(self, episode: Episode) -> tuple[float, dict[str, Any]]:
        reward, info = super().conclude(episode)
        return reward / 2, info


@caught_by("gold grades correct", "does not fit max_new_tokens")
class TooShort(Sound):
    options = {"max_new_tokens": 1}  # noqa: RUF012


@caught_by("gold grades correct", "no gold answer at the end")
class KeepsGoldToItself(Sound):
    def conclude(self, episode: Episode) -> tuple[float, dict[str, Any]]:
        reward, info = super().conclude(episode)
        return reward, {"verdict": info["verdict"]}


@caught_by("another gold does not", "grades correct on")
class EverythingIsRight(Sound):
    graded_by = "broken_accepts_all"


@caught_by("another gold does not", "an empty answer")
class SilenceIsRight(Sound):
    graded_by = "broken_accepts_nothing_said"


class OneSplit(fake_envs.Sums):
    def __init__(self, **settings: Any) -> None:
        super().__init__("train")


@caught_by("train and eval disjoint", "10 problems are in train and in eval")
class SharesProblems(Sound):
    tasks = OneSplit


class GlobalDraw(fake_envs.Sums):
    def draw(self, rng: np.random.Generator) -> Task:
        return self.get(str(random.randrange(10)))


@caught_by("seeds", "a global random generator was used")
class GlobalGenerator(Sound):
    tasks = GlobalDraw


class CountedDraw(fake_envs.Sums):
    def draw(self, rng: np.random.Generator) -> Task:
        self.drawn = getattr(self, "drawn", 0) + 1
        return self.get(str(self.drawn % 10))


@caught_by("seeds", "the same seeds gave another trajectory")
class DrawsInOrder(Sound):
    tasks = CountedDraw


class FirstDraw(fake_envs.Sums):
    def draw(self, rng: np.random.Generator) -> Task:
        rng.random()
        return self.get("0")


@caught_by("seeds", "20 seeds all drew the same task")
class AlwaysTheSame(Sound):
    tasks = FirstDraw


@caught_by("picklable", "pickle")
class HoldsALambda(Sound):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.extra = lambda: None


@caught_by("picklable", "continues differently")
class ForgetsInPickle(Sound):
    def __reduce__(self) -> Any:
        return _fresh, ()


def _fresh() -> TokenEnv:
    env = ForgetsInPickle()
    env.reset(seed=1)
    return env


@caught_by("picklable", "Callable found", entry_point=Sound)
class RegisteredWithAClass(Sound):
    pass


class HashedDraw(fake_envs.Sums):
    def draw(self, rng: np.random.Generator) -> Task:
        task = self.get(str(int(rng.integers(10))))
        return replace(task, problem=f"{task.problem} {hash('salted')}")  # all of the hash: two processes never agree


@caught_by("equal across processes", "another process gets other trajectories")
class DependsOnHashes(Sound):
    tasks = HashedDraw


@caught_by("equal across processes", "cannot be made there")
class OnlyHere(Sound):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if os.environ.get("BROKEN_ENVS_HOME") != str(os.getpid()):
            raise OSError("cannot be made there")


@caught_by(
    "equal across processes", "script or notebook", entry_point=type("Local", (Sound,), {"__module__": "__main__"})
)
class DefinedInAScript(Sound):
    pass


class PaysTwice(TokenVectorEnv):
    def step(self, actions: Any) -> Any:
        observation, rewards, terminated, truncated, infos = super().step(actions)
        return observation, rewards + 1.0 * (terminated | truncated), terminated, truncated, infos


class ForgetsFlags(TokenVectorEnv):
    def step(self, actions: Any) -> Any:
        before = self._terminated | self._truncated
        observation, rewards, terminated, truncated, infos = super().step(actions)
        return observation, rewards, terminated & ~before, truncated & ~before, infos


class OtherTasks(TokenVectorEnv):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return super().reset(seed=[s + 1 for s in seed], options=options)


def pays_twice(num_envs: int, **settings: Any) -> TokenVectorEnv:
    return PaysTwice(Sound(**settings), num_envs)


def forgets_flags(num_envs: int, **settings: Any) -> TokenVectorEnv:
    return ForgetsFlags(Sound(**settings), num_envs)


def other_tasks(num_envs: int, **settings: Any) -> TokenVectorEnv:
    return OtherTasks(Sound(**settings), num_envs)


@caught_by("vector equals single", "differs from the single", vector_entry_point="broken_envs:pays_twice")
class VectorPaysTwice(Sound):
    pass


@caught_by("vector equals single", "does not keep its flags", vector_entry_point="broken_envs:forgets_flags")
class VectorForgetsFlags(Sound):
    pass


@caught_by("vector equals single", "begins differently", vector_entry_point="broken_envs:other_tasks")
class VectorDrawsOtherTasks(Sound):
    pass


@caught_by("fast path equals steps", "give other results")
class StepsAnotherWay(Sound):
    def step(self, action: Any) -> Any:
        return super().step(66 if action == 65 or (action > 128 and action < 256) else action)


@caught_by("fast path equals steps", "where step gives")
class StepsToAnotherReward(Sound):
    count = itertools.count()

    def conclude(self, episode: Episode) -> tuple[float, dict[str, Any]]:
        reward, info = super().conclude(episode)
        return reward - 1.0, info
