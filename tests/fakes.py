"""A policy small enough for float64, and an environment without text: the pipeline's edges, faked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simko.algorithms.stats import StepStats
from simko.head import LmHead
from simko.micro_batch import TokenBudget
from simko.packing import PackedRows
from simko.step_stats import step_stats
from simko.types import Batch, Completion, Generation, Group, Sampling, Task, Verdict

VOCABULARY, EOS = 11, 10


class FakePolicy:
    """Causal, trainable through one matrix: hidden state = running mean of embeddings, times the adapter."""

    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float64, width: int = 6, packs: bool = False) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.embedding = torch.randn(VOCABULARY, width, generator=rng, dtype=dtype)
        self.adapter = (
            torch.eye(width, dtype=dtype) + 0.1 * torch.randn(width, width, generator=rng, dtype=dtype)
        ).requires_grad_()
        self.weight = torch.randn(VOCABULARY, width, generator=rng, dtype=dtype)
        self.tokenizer, self.device, self.engine = None, "cpu", FakeEngine(self)
        self.active, self.forwards, self.packs = True, 0, packs

    def hidden(self, ids: Tensor) -> Tensor:
        self.forwards += len(ids)
        steps = torch.arange(1, ids.shape[1] + 1, dtype=self.embedding.dtype)[:, None]
        mean = self.embedding[ids].cumsum(1) / steps
        return torch.tanh(mean @ self.adapter) if self.active else torch.tanh(mean)

    def hidden_packed(self, rows: PackedRows) -> Tensor:
        """Each prompt and each answer alone, by the lengths that packed rows state."""
        ids = torch.from_numpy(rows.ids)
        parts = ids.split([*rows.prompts, *(length for _, length in rows.answers)])
        prompts, answers = parts[: len(rows.prompts)], parts[len(rows.prompts) :]
        alone = [self.hidden(ids[None])[0] for ids in prompts]
        for (prompt, length), answer in zip(rows.answers, answers, strict=True):
            alone.append(self.hidden(torch.cat([prompts[prompt], answer])[None])[0, -length:])
        return torch.cat(alone)

    def lm_head(self) -> LmHead:
        return LmHead(self.weight)

    def trainable_parameters(self) -> list[tuple[str, Tensor]]:
        return [("adapter", self.adapter)]

    @contextmanager
    def base(self) -> Iterator[None]:
        self.active = False
        yield
        self.active = True


class FakeEngine:
    """Decodes one token at a time with the policy's own hidden states; slow and right."""

    def __init__(self, policy: FakePolicy) -> None:
        self.policy, self.calls = policy, 0

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        sampling: Sampling,
        seeds: Sequence[int],
        budgets: Sequence[int] | None = None,
    ) -> list[list[Generation]]:
        self.calls += 1
        caps = [sampling.max_new_tokens] * len(prompts) if budgets is None else budgets
        return [
            [
                self._one(list(prompt), sampling, seeds[i * n + j], min(caps[i], sampling.max_new_tokens))
                for j in range(n)
            ]
            for i, prompt in enumerate(prompts)
        ]

    @torch.no_grad()
    def _one(self, prompt: list[int], sampling: Sampling, seed: int, cap: int) -> Generation:
        rng, ids, logprobs = np.random.default_rng(seed), [], []
        while len(ids) < cap and not (ids and ids[-1] in sampling.stop_ids):
            hidden = self.policy.hidden(torch.tensor([prompt + ids]))[0, -1]
            logits = hidden @ self.policy.weight.t()
            logp = torch.log_softmax(logits / (sampling.temperature or 1.0), -1)
            drawn = int(np.searchsorted(logp.exp().cumsum(0).numpy(), rng.random()))
            token = int(logp.argmax()) if sampling.temperature == 0 else min(drawn, VOCABULARY - 1)
            ids.append(token)
            logprobs.append(float(logp[token]))
        ended = ids[-1] in sampling.stop_ids
        return Generation(np.array(ids), np.array(logprobs, dtype=np.float32), "stop" if ended else "length")


@dataclass
class FakeEpisode:
    """Ends at EOS or the budget; after the first EOS of a two-turn task the environment says `reply`."""

    task: Task
    budget: int
    reply: tuple[int, ...] = ()
    prompt_ids: list[int] = field(default_factory=lambda: [1, 2])
    ids: list[int] = field(default_factory=list)
    sampled: list[bool] = field(default_factory=list)
    terminated: bool = False
    truncated: bool = False
    replied: bool = False

    @property
    def done(self) -> bool:
        return self.terminated or self.truncated

    @property
    def budget_left(self) -> int:
        return self.budget - len(self.ids)

    @property
    def text(self) -> str:
        return " ".join(str(i) for i, sampled in zip(self.ids, self.sampled, strict=True) if sampled)

    def extend(self, tokens: Sequence[int]) -> int:
        for taken, token in enumerate(tokens, start=1):
            self.ids.append(token)
            self.sampled.append(True)
            if token == EOS and self.reply and not self.replied and self.budget_left > len(self.reply):
                self.ids += self.reply
                self.sampled += [False] * len(self.reply)
                self.replied = True
                return taken
            self.terminated = token == EOS
            self.truncated = not self.terminated and not self.budget_left
            if self.done:
                return taken
        return len(tokens)


class FakeSource:
    """Numbers as problems; a task is solved by an answer whose length has the parity of its gold."""

    name, size = "fake", None

    def draw(self, rng: np.random.Generator) -> Task:
        return self.get(str(rng.integers(10**6)))

    def get(self, task_id: str) -> Task:
        return Task(task_id, f"problem {task_id}", str(int(task_id) % 2))

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        return [self.get(str(seed * 1000 + i)) for i in range(count or 0)]


@dataclass
class FakeEnv:
    """What a rollout needs of an environment."""

    max_new_tokens: int = 8
    reply: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    stop_ids: frozenset[int] = frozenset({EOS})
    source: Any = field(default_factory=FakeSource)
    graded: list[str] = field(default_factory=list)

    def begin(self, task: Task) -> FakeEpisode:
        return FakeEpisode(task, self.max_new_tokens, self.reply, [1, 2, int(task.gold)])

    def prompt_ids(self, task: Task) -> list[int]:
        return self.begin(task).prompt_ids

    def grade(self, text: str, task: Task) -> Verdict:
        self.graded.append(text)
        right = len(text.split()) % 2 == int(task.gold)
        return Verdict("correct" if right else "incorrect", float(right), text)


def completion(rng: np.random.Generator, reward: float, outcome: str = "", turns: bool = False) -> Completion:
    """Random tokens with that reward; `turns` has the environment speak in the middle."""
    p, t = int(rng.integers(1, 5)), int(rng.integers(1, 7))
    sampled = rng.random(t) < 0.7 if turns else np.ones(t, dtype=np.bool_)
    sampled[0] = True
    verdict = Verdict(outcome or ("correct" if reward == 1 else "incorrect"), reward)  # type: ignore[arg-type]
    return Completion(
        prompt_ids=rng.integers(0, VOCABULARY, p), ids=rng.integers(0, VOCABULARY, t),
        logprobs=np.full(t, -1.0, dtype=np.float32) * sampled, sampled=sampled, text="", finish="stop", verdict=verdict,
    )  # fmt: skip


def random_groups(seed: int, groups: int = 4, size: int = 4, turns: bool = False) -> list[Group]:
    """Groups with random rewards; some are uninformative."""
    rng = np.random.default_rng(seed)
    return [
        Group(
            Task(str(i), str(i), ""),
            tuple(completion(rng, float(rng.random() < 0.5), turns=turns) for _ in range(size)),
        )
        for i in range(groups)
    ]


def gradient(policy: FakePolicy) -> Tensor:
    """Take the adapter's gradient off it. Zeros if it has no gradient."""
    grad = policy.adapter.grad
    policy.adapter.grad = None
    return torch.zeros_like(policy.adapter) if grad is None else grad


def old_stats(
    policy: Any, batch: Batch, temperature: float = 0.9, budget: int | TokenBudget = 10**6, reference: bool = False
) -> StepStats:
    """The step under the policy as it is now, with its log-probs."""
    budget = TokenBudget(budget) if isinstance(budget, int) else budget
    return step_stats(policy, batch, frozenset(("logp",)), temperature=temperature, budget=budget, reference=reference)


def sampled_logp(stats: StepStats) -> Tensor:
    """The log-probs of all sampled tokens, row by row."""
    assert stats.logp is not None
    return stats.logp[stats.mask]
