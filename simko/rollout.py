"""The fast path: tasks to graded groups, a whole batch of answers at a time.

The policy decodes a turn of every unfinished answer at once. The environment's own state machine (`Episode`) then reads the
tokens that `TokenEnv.step` would read one by one, may reply, and grades. So both give the same trajectories and rewards
for the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from simko.grading import Environment, Grade, Grading, decode, holding
from simko.ranks.sharing import groups_of
from simko.schedule import stream_seed
from simko.types import Completion, Engine, Generation, Group, Sampling, Task

_UNTRUNCATED = Sampling()


@dataclass
class _Answer:
    """An episode under way, and the sampler's log-probs beside its tokens."""

    task: Task
    episode: Any
    stream: tuple[int | str, ...]
    logprobs: list[float] = field(default_factory=list)

    def take(self, generation: Generation) -> None:
        """Give a decoded turn to the environment; its reply, if any, follows with log-prob 0."""
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
    sampling: Sampling = _UNTRUNCATED,
    *,
    seed: int = 0,
    step: int = 0,
    first_sample: int = 0,
    grade: Grade | None = None,
) -> list[Group]:
    """`n` completions of each task, graded by `grade` (the environment's own where None) while others are decoded.

    `sampling` says how to draw; budget and stops in it are replaced by the environment's.
    The random stream of a completion derives from (seed, step, task id, sample, turn). It depends neither on the other
    completions nor on the process. `first_sample` is the number of the first sample, in a later stage of the same step.
    Of several ranks each decodes and grades a part, and all get all.
    """
    stop_ids = tuple(sorted(env.stop_ids))
    sampling = replace(sampling, max_new_tokens=env.max_new_tokens, stop=env.stop, stop_ids=stop_ids)

    def answer(wanted: Sequence[tuple[Task, int]], copies: int) -> list[Completion]:
        answers = [_Answer(task, env.begin(task), (seed, step, task.id, first_sample + i)) for task, i in wanted]
        turn = 0  # in which the answers to a task share their prompt
        with holding(engine), Grading(grade or env.grade) as grading:
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
            return [_completion(answer, grading) for answer in answers]

    return groups_of(tasks, n, answer)


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
