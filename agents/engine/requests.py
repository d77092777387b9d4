"""Requests and answers of every engine: the sequences that it is asked for, row by row, and those that have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simko.agents.engine.sampler import check_sampling
from simko.errors import UserError
from simko.sizes import CONTEXT_KEYS, context_length
from simko.types import Finish, Generation, Sampling

Prompt = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One sequence: its place in the answer (prompt-major), its prompt, its most new tokens, the seed of its random stream."""

    row: int
    prompt: Prompt
    budget: int
    seed: int


def requests(
    prompts: Sequence[Sequence[int]],
    n: int,
    sampling: Sampling,
    seeds: Sequence[int],
    budgets: Sequence[int] | None,
    config: Any,
    vocabulary: int,
) -> list[Request]:
    """Check the arguments of `Engine.generate`, and return its `len(prompts) * n` sequences.

    `config` is the model's text config, `vocabulary` the number of ids that it knows.

    Raises:
        UserError: an empty prompt, an id outside the vocabulary, a sampling setting out of range, or a prompt and
            budget longer than the model's context.
        ValueError: the wrong number of seeds or budgets.
    """
    longest = sampling.max_new_tokens
    budget = [longest] * len(prompts) if budgets is None else [min(longest, b) for b in budgets]
    if len(seeds) != len(prompts) * n or len(budget) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts x {n} need as many seeds and {len(prompts)} budgets")
    check_sampling(sampling.temperature, sampling.top_p, sampling.top_k)
    _check_prompts(prompts, budget, config, vocabulary)
    ids = [tuple(int(i) for i in prompt) for prompt in prompts]
    return [Request(row, ids[row // n], budget[row // n], seed) for row, seed in enumerate(seeds)]


def context_of(config: Any) -> int | None:
    """Tokens that a model of this text config takes, prompt and answer together; None if it does not say."""
    return context_length({key: getattr(config, key, None) for key in CONTEXT_KEYS})


class Answers:
    """Collects sequences when they end, and hands each on at once. Sequences without a budget end at the start."""

    def __init__(self, sequences: Sequence[Request], on_finish: Callable[[int, Generation], None] | None) -> None:
        self._generations: list[Generation | None] = [None] * len(sequences)
        self._on_finish = on_finish
        self.waiting = [request for request in sequences if request.budget > 0]
        for request in sequences:
            if request.budget <= 0:
                self.finish(request.row, [], [], "length")

    def finish(self, row: int, ids: Sequence[int], logprobs: Sequence[float], finish: Finish) -> None:
        """Take a sequence that has ended."""
        generation = Generation(np.array(ids, dtype=np.int64), np.array(logprobs, dtype=np.float32), finish)
        self._generations[row] = generation
        if self._on_finish is not None:
            self._on_finish(row, generation)

    def groups(self, n: int) -> list[list[Generation]]:
        """Return all sequences, `n` for each prompt."""
        count = len(self._generations)
        generations = [generation for generation in self._generations if generation is not None]
        if len(generations) != count:
            raise RuntimeError(f"the engine lost {count - len(generations)} of {count} sequences")
        return [generations[i : i + n] for i in range(0, count, n)] if n else []


def _check_prompts(prompts: Sequence[Sequence[int]], budget: Sequence[int], config: Any, vocabulary: int) -> None:
    context = context_of(config)
    for i, (prompt, new) in enumerate(zip(prompts, budget, strict=True)):
        if not len(prompt):
            raise UserError(f"prompt {i} has no tokens; give it at least one to continue")
        if not (min(prompt) >= 0 and max(prompt) < vocabulary):
            raise UserError(
                f"prompt {i} holds an id outside 0..{vocabulary - 1}; encode it with the model's own tokenizer"
            )
        if context is not None and len(prompt) + new > context:
            raise UserError(
                f"prompt {i} ({len(prompt)} tokens) and {new} new tokens exceed the model's context of {context}; "
                "lower max_new_tokens"
            )
