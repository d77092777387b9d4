"""The fast path: tasks to graded groups, a whole batch of answers at a time.

The policy decodes a turn of every live answer at once; the environment's own state machine (`Episode`) then reads the same
tokens that `TokenEnv.step` would have been given one by one, replies where it has something to say, and grades. So both
give the same trajectories and rewards for the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np

from simko.grading import Grade, Grading, decode
from simko.types import Completion, Engine, Generation, Group, Sampling, Task, Verdict


class Environment(Protocol):
    """What a rollout needs of an environment; `simko.envs.TokenEnv` has it."""

    stop: tuple[str, ...]
    stop_ids: frozenset[int]
    max_new_tokens: int

    def begin(self, task: Task) -> Any:
        """A fresh `Episode` of the task."""

    def grade(self, text: str, task: Task) -> Verdict:
        """The verdict on an answer's text."""


@dataclass
class _Answer:
    """An episode under way, and the sampler's log-probs beside its tokens."""

    task: Task
    episode: Any
    stream: tuple[int | str, ...]
    logprobs: list[float] = field(default_factory=list)

    def take(self, generation: Generation) -> None:
        """Feed a decoded turn to the environment, whose own reply (if any) follows it with log-prob 0."""
        before = len(self.episode.ids)
        taken = self.episode.extend(generation.ids.tolist())
        self.logprobs += generation.logprobs.tolist()
        self.logprobs += [0.0] * (len(self.episode.ids) - before - taken)
        ended = self.episode.done or len(self.episode.ids) > before + taken
        if taken != len(generation.ids) or not ended:
            raise RuntimeError(f"task {self.task.id}: engine and environment disagree on where a turn ends")


def rollout(
    engine: Engine,
    env: Environment,
    tasks: Sequence[Task],
    n: int,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    step: int = 0,
    first_sample: int = 0,
    grade: Grade | None = None,
) -> list[Group]:
    """`n` completions of each task, graded by `grade` (the environment's own where None) while others are decoded.

    The random stream of a completion derives from (seed, step, task id, sample, turn), so it depends neither on its
    neighbours nor on the process. `first_sample` numbers the samples of a later stage of the same step.
    """
    answers = [
        _Answer(task, env.begin(task), (seed, step, task.id, first_sample + i)) for task in tasks for i in range(n)
    ]
    sampling = Sampling(temperature, top_p, 0, env.max_new_tokens, env.stop, tuple(sorted(env.stop_ids)))
    turn, copies = 0, n  # in the first turn the answers to a task share their prompt
    with Grading(grade or env.grade) as grading:
        while live := [answer for answer in answers if not answer.episode.done]:
            decode(
                engine,
                [answer.episode.prompt_ids + answer.episode.ids for answer in live[::copies]],
                copies,
                sampling,
                [stream_seed(*answer.stream, turn) for answer in live],
                [answer.episode.budget_left for answer in live[::copies]],
                partial(_finish, live, grading),
            )
            turn, copies = turn + 1, 1
        graded = [_completion(answer, grading) for answer in answers]
    return [Group(task, tuple(graded[i * n : (i + 1) * n])) for i, task in enumerate(tasks)]


def _finish(live: Sequence[_Answer], grading: Grading, row: int, generation: Generation) -> None:
    answer = live[row]
    answer.take(generation)
    if answer.episode.done:
        grading.submit(answer.task, answer.episode.text)


def _completion(answer: _Answer, grading: Grading) -> Completion:
    episode = answer.episode
    return Completion(
        prompt_ids=np.asarray(episode.prompt_ids, dtype=np.int64),
        ids=np.asarray(episode.ids, dtype=np.int64),
        logprobs=np.asarray(answer.logprobs, dtype=np.float32),
        sampled=np.asarray(episode.sampled, dtype=np.bool_),
        text=episode.text,
        finish="length" if episode.truncated else "stop",
        verdict=grading.verdict(answer.task, episode.text),
    )


def stream_seed(*parts: int | str) -> int:
    """A 64-bit seed from anything that names a random stream; equal in every process."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest(), "little")
