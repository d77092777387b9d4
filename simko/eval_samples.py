"""Samples of an evaluation: so many of each problem, a piece of work at a time, with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from rich.console import Console

from simko.console import duration, say
from simko.grading import holding
from simko.ranks import of_main, world
from simko.report.counts import Counts
from simko.rollout import rollout
from simko.types import Group, Sampling, Task

_CHUNK_TOKENS = {"cpu": 1 << 14, "cuda": 1 << 18}  # answers times budget of one call of the engine


def sample_counts(
    policy: Any,
    env: Any,
    tasks: Sequence[Task],
    n: int,
    decoding: Sampling,
    seed: int,
    progress: Callable[[Counts], None] | None = None,
    chunk: int | None = None,
    keep: Callable[[Sequence[Group], int], None] | None = None,
    step: int = 0,
) -> Counts:
    """The counts of `n` graded samples of each task.

    At most `chunk` answers are in memory at a time, and `progress` is called after each chunk. `keep` gets its groups, and the
    number of the first sample in each. The random stream of sample i of a task derives from (seed, step, task, i) however the
    work is cut, so `chunk` changes memory and not the result.
    """
    counts = Counts()
    with holding(policy.engine):
        for part, first, size in chunks(tasks, n, chunk or chunk_size(env.max_new_tokens, policy.device)):
            groups = rollout(policy.engine, env, part, size, decoding, seed=seed, step=step, first_sample=first)
            counts.add(groups)
            if keep:
                keep(groups, first)
            if progress:
                progress(counts)
    return counts


def chunks(tasks: Sequence[Task], n: int, chunk: int) -> Iterator[tuple[Sequence[Task], int, int]]:
    """`(tasks, first sample, samples)` that together are `n` of each task, at most `chunk` answers in each."""
    if n <= chunk:
        width = chunk // n
        for start in range(0, len(tasks), width):
            yield tasks[start : start + width], 0, n
        return
    for task in tasks:
        for first in range(0, n, chunk):
            yield [task], first, min(chunk, n - first)


class Progress:
    """A line every few seconds, with the time left at the mean speed so far."""

    def __init__(self, console: Console, total: int, every_seconds: float = 5.0) -> None:
        self._console, self._total, self._every = console, total, every_seconds
        self._began = self._printed = time.monotonic()
        self._before = 0

    def part(self, label: str) -> Callable[[Counts], None]:
        """A callback for `sample_counts`; one part of the evaluation after the other."""
        before, line = self._before, self

        def progress(counts: Counts) -> None:
            line._before = before + counts.samples
            line._print(label, counts)

        return progress

    def _print(self, label: str, counts: Counts) -> None:
        now = time.monotonic()
        if now - self._printed < self._every:
            return
        self._printed = now
        left = (now - self._began) / self._before * (self._total - self._before)
        solved = counts.outcomes["correct"] / counts.samples
        say(self._console, f"{label}answer {self._before}/{self._total}  solved {solved:.0%}  left {duration(left)}")


def chunk_size(max_new_tokens: int, device: Any) -> int:
    """Answers in one call of each rank's engine: enough to fill it, few enough for an early estimate of the time left.

    A function of the configuration, the number of ranks and rank 0's device alone, never of the clock, so that a repeated
    evaluation decodes the same batches.
    """
    tokens = of_main(lambda: _CHUNK_TOKENS.get(torch.device(device).type, _CHUNK_TOKENS["cpu"]))
    return min(4096, max(16, tokens // max_new_tokens)) * world().size
