"""A policy, an environment and a run folder for evaluations, faked: a problem is a number, and an answer is a token."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from rich.console import Console

from simko.config import EvalConfig, TrainConfig
from simko.errors import UserError
from simko.evaluate import evaluate
from simko.run.folder import RunFolder
from simko.types import Completion, Generation, Group, Sampling, Task, Verdict

EOS, CORRECT, WRONG, NOTHING, BREAKS = 0, 1, 2, 3, 4
OUTCOMES = {CORRECT: "correct", WRONG: "incorrect", NOTHING: "no_answer", BREAKS: "timeout"}


@dataclass
class FakeEngine:
    """It is right with a chance that grows with the prompt. Each sequence depends on its own seed alone."""

    skill: float = 0.9
    calls: list[int] = field(default_factory=list)

    def generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int], budgets: Any = None
    ) -> list[list[Generation]]:
        assert len(seeds) == n * len(prompts)
        self.calls.append(len(seeds))
        return [[self.answer(p, seeds[i * n + j]) for j in range(n)] for i, p in enumerate(prompts)]

    def answer(self, prompt: Sequence[int], seed: int) -> Generation:
        draw, other = np.random.default_rng(seed).random(2)
        token = CORRECT if draw < self.skill * prompt[0] / 10 else WRONG if other < 0.8 else NOTHING
        ids = [token, WRONG, WRONG] if other > 0.95 else [token, EOS]
        return Generation(np.array(ids), np.zeros(len(ids), np.float32), "length" if len(ids) == 3 else "stop")


class FakePolicy:
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.engine = FakeEngine()

    @contextmanager
    def base(self) -> Iterator[FakePolicy]:
        self.engine.skill /= 3
        yield self
        self.engine.skill *= 3

    def trainable_parameters(self) -> list[tuple[str, torch.Tensor]]:
        return []

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(b"weights")


class FakeEpisode:
    budget_left = 3

    def __init__(self, task: Task) -> None:
        self.task, self.prompt_ids, self.ids, self.sampled = task, [int(task.problem.split()[-1])], [], []
        self.done = self.truncated = False

    def extend(self, tokens: list[int]) -> int:
        self.ids, self.sampled = list(tokens), [True] * len(tokens)
        self.done, self.truncated = True, len(tokens) == 3
        return len(tokens)

    @property
    def text(self) -> str:
        return str(self.ids[0])


class FakeEnv:
    """Problem i has the prompt i; five of them, one of which may break the verifier."""

    stop, stop_ids, max_new_tokens, verifier_name = (), frozenset({EOS}), 3, "fake"

    def __init__(self, size: int | None = 5, breaks: str = "") -> None:
        made = [Task(f"fake/eval/{i}", f"problem {i}", "1") for i in range(1, 6)]
        self.source = SimpleNamespace(size=size, tasks=lambda count, seed: made[:count])
        self.breaks = breaks

    def begin(self, task: Task) -> FakeEpisode:
        if task.gold == "too long":
            raise UserError(f"task '{task.id}' is too long")
        return FakeEpisode(task)

    def grade(self, text: str, task: Task) -> Verdict:
        token = BREAKS if task.id == self.breaks and int(text) != CORRECT else int(text)
        return Verdict(OUTCOMES[token], float(token == CORRECT), text if token in (CORRECT, WRONG) else None)


def empty_run(path: Path, **settings: Any) -> RunFolder:
    run = RunFolder(path, TrainConfig(**settings))
    with run.opened(run.config, 0):
        return run


def a_run(path: Path, problems: Sequence[str] = ("problem 77",), step: int = 7, **settings: Any) -> RunFolder:
    """A run that trained on `problems` and saved one checkpoint."""
    run = empty_run(path, steps=step, **settings)
    ids = np.arange(2)
    trained = Completion(ids, ids, np.zeros(2, np.float32), ids >= 0, "1", "stop", Verdict("correct", 1.0, "1"))
    run.records.add(1, [Group(Task(f"t{i}", text, "1"), (trained,)) for i, text in enumerate(problems)], {})
    policy: Any = FakePolicy()
    run.save_checkpoint(step, policy, torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))]))
    return run


def run_evaluation(config: EvalConfig, **env: Any) -> tuple[dict[str, Any], str]:
    out = io.StringIO()
    result = evaluate(config, Console(file=out, width=200), policy=FakePolicy(), env=FakeEnv(**env))
    return result, out.getvalue()
