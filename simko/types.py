"""The values handed along the pipeline, and the protocols at its edges.

`Task -> Completion -> Group -> Batch`. A task source draws a `Task`, and the policy answers it G times. An answer with its
`Verdict` is a `Completion`. The G completions of one task are a `Group`. The informative groups of a step are a `Batch`.
Everything here is numpy and plain Python: importing this module loads neither torch nor transformers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from simko.reward_parts import NO_PARTS, Parts

Outcome = Literal["correct", "incorrect", "no_answer", "timeout", "error"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
Finish = Literal["stop", "length"]
Quantization = Literal["nf4", "int8", "none"]
DecodeWeights = Literal["auto", "live", "merged", "measured"]
EngineName = Literal["local", "generate_batch", "vllm", "vllm-server"]


@dataclass(frozen=True, slots=True)
class Task:
    """One problem and its reference answer.

    `id` is unique within its source and is enough for the source to make the task again (`TaskSource.get`).
    `problem` is the bare text, without a prompt template. The verifier compares with `gold`: text, or JSON text where an
    answer has parts. It never reaches a prompt, an observation or an `info` before the end. `system`: a system message.
    """

    id: str
    problem: str
    gold: str
    level: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's judgement of one response. `seconds` is the time that grading took, `parts` what the reward is made of.

    `timeout` and `error` mean that the verifier failed, not that the answer is wrong. Such a sample is masked and counted.
    """

    outcome: Outcome
    reward: float
    extracted: str | None = None
    seconds: float = 0.0
    parts: Mapping[str, float] = NO_PARTS

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", self.parts if isinstance(self.parts, Parts) else Parts(self.parts))

    @property
    def correct(self) -> bool:
        """Whether the answer was verified correct. Algorithms read this, never `reward == 1`."""
        return self.outcome == "correct"

    @property
    def valid(self) -> bool:
        """Whether the verifier reached a verdict. False too for a reward, or a part of it, that is not finite."""
        numbers = (self.reward, *self.parts.values())
        return self.outcome not in ("timeout", "error") and all(map(math.isfinite, numbers))


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to decode. `temperature` 0 is greedy; `top_p` 1 and `top_k` 0 leave the distribution whole.

    A sequence ends with an id in `stop_ids` (if that is empty, the model's own EOS ids) or a text in `stop`.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Generation:
    """One sampled continuation of T tokens, as an engine returns it.

    `logprobs` (T,) are of the temperature-scaled, **untruncated** distribution, whatever top-p or top-k did.
    `ids` ends with the EOS token if the policy produced one.
    """

    ids: NDArray[np.int64]
    logprobs: NDArray[np.float32]
    finish: Finish


@dataclass(frozen=True, slots=True)
class Completion:
    """One graded answer: P prompt tokens, then T tokens. The policy sampled those where `sampled` is true.

    The environment spoke the others (multi-turn): they carry no loss, and their `logprobs` are 0.
    """

    prompt_ids: NDArray[np.int64]  # (P,)
    ids: NDArray[np.int64]  # (T,)
    logprobs: NDArray[np.float32]  # (T,)
    sampled: NDArray[np.bool_]  # (T,)
    text: str
    finish: Finish
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Group:
    """The G completions of one task."""

    task: Task
    completions: tuple[Completion, ...]

    @property
    def valid(self) -> tuple[Completion, ...]:
        """Completions whose verifier reached a verdict."""
        return tuple(c for c in self.completions if c.verdict.valid)

    @property
    def informative(self) -> bool:
        """Whether rewards differ inside the group. Without a difference there is no advantage and no gradient."""
        return rewards_differ([c.verdict.reward for c in self.valid])


def rewards_differ(rewards: Sequence[float]) -> bool:
    """Whether rewards differ by more than rounding: 0.1 + 0.2 and 0.3 are one reward."""
    return len(rewards) > 1 and max(rewards) - min(rewards) > 1e-9 * max(map(abs, rewards))


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of one optimizer step: B sequences of informative groups, and the denominators of the whole step.

    `step_tokens` and `step_sequences` count every valid completion of the step, also those of dropped groups. So dropping
    groups without a signal saves work and does not change the update.
    """

    completions: tuple[Completion, ...]
    group: NDArray[np.int64]  # (B,) index of the completion's group
    advantage: NDArray[np.float64]  # (B,)
    correct: NDArray[np.bool_]  # (B,)
    step_tokens: int
    step_sequences: int

    def __len__(self) -> int:
        return len(self.completions)


class Verifier(Protocol):
    """Grades a response (the policy's text) against the gold answer. Never raises, never executes the response."""

    def __call__(self, response: str, gold: str) -> Verdict: ...  # noqa: D102


@runtime_checkable
class TaskSource(Protocol):
    """Where tasks come from. A source can be pickled; equal arguments give equal tasks in every process."""

    name: str
    size: int | None  # None: tasks are generated without end

    def draw(self, rng: np.random.Generator) -> Task:
        """Draw one task, uniformly, with randomness from `rng` alone."""

    def get(self, task_id: str) -> Task:
        """Return the task of that id; raise `UserError` for an unknown one."""

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        """Return `count` distinct tasks, the same for the same seed. All of them if `count` is None and `size` is not."""


@runtime_checkable
class Engine(Protocol):
    """Decodes. Every engine implements this one call."""

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        sampling: Sampling,
        seeds: Sequence[int],
        budgets: Sequence[int] | None = None,
        on_finish: Callable[[int, Generation], None] | None = None,
    ) -> list[list[Generation]]:
        """Sample `n` continuations of each prompt; one list for each prompt, in order.

        `seeds` holds an integer for each sequence (`len(prompts) * n`, prompt-major). A sequence has a random stream of its
        own: its draws depend neither on its place in the batch nor on the batch size. `budgets` caps the new tokens of each
        prompt below `sampling.max_new_tokens`. `on_finish(row, generation)` is called when a sequence ends; rows are
        prompt-major. An engine whose `generate` lacks this argument can be used all the same. Raises `UserError` for an empty
        prompt, an id outside the vocabulary, a setting out of range, and a sequence longer than the model's context.
        """


@runtime_checkable
class Policy(Protocol):
    """An agent as the pipeline sees it: it decodes, and gives hidden states with a gradient. See `simko.agents.LoraPolicy`."""

    tokenizer: Any
    device: Any

    @property
    def engine(self) -> Engine:
        """The engine that decodes with the adapter as it is now."""

    def trainable_parameters(self) -> list[tuple[str, Any]]:
        """Names and tensors of the adapter, sorted by name."""

    def base(self) -> AbstractContextManager[Any]:
        """Switch the adapter off inside this context: the base model speaks."""

    def hidden(self, ids: Any) -> Any:
        """Last hidden states `[B, L, D]` of right-padded ids `[B, L]`, with a gradient to the adapter."""

    def lm_head(self) -> Any:
        """The output layer: a `simko.head.LmHead`."""
