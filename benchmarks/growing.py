"""The stages whose growth is measured, each as functions of one size. Made inputs; the policy is `tiny`.

A stage is a function of its sizes that sets up, and returns the callables to measure by name. `sweep` measures them at each
point of each axis, in one process.
"""

from __future__ import annotations

import functools
import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT
from benchmarks.worker import measured

WORDS = 12  # of a prompt
_ROWS = 4  # sequences of a micro-batch: the memory of an update does not grow with the number of sequences
_SHORT_S = 0.5  # what takes less CPU time is run three times, and the least counts


def sweep(stage: str, axes: Mapping[str, Mapping[str, Any]]) -> Callable[[], dict[str, float]]:
    """Measure a stage: `axes` maps an axis to `points` and the other sizes. Columns are `what|axis|point|metric`."""
    make = STAGES[stage]
    first = next(iter(axes))
    for once in make(**{**axes[first]["fixed"], first: axes[first]["points"][0]}).values():
        once()  # libraries are loaded, and kernels chosen

    def measure() -> dict[str, float]:
        columns = {}
        for axis, plan in axes.items():
            for point in plan["points"]:
                for what, once in make(**{**plan["fixed"], axis: point}).items():
                    rows = [measured(once)]
                    while len(rows) < 3 and rows[0]["cpu_s"] < _SHORT_S:
                        rows.append(measured(once))
                    columns[f"{what}|{axis}|{point}|cpu_s"] = min(row["cpu_s"] for row in rows)
                    columns[f"{what}|{axis}|{point}|peak_mib"] = max(row["peak_bytes"] for row in rows) / 2**20
        return columns

    return measure


@functools.cache
def _policy() -> Any:
    from simko.agents import LoraPolicy

    return LoraPolicy.from_pretrained(str(ROOT / "agents" / "tiny"), "none", gradient_checkpointing=True)


def _half_right(group: Any) -> Any:
    """The group with every other answer right: a group of equal rewards would need no update."""
    from simko.types import Verdict

    verdicts = [Verdict("incorrect", 0.0) if i % 2 else Verdict("correct", 1.0) for i in range(len(group.completions))]
    answers = tuple(replace(c, verdict=verdict) for c, verdict in zip(group.completions, verdicts, strict=True))
    return replace(group, completions=answers)


def training(length: int, group: int, prompts: int, candidates: int | None = None) -> dict[str, Callable[[], Any]]:
    """Rollout and update of one step, as in `benchmarks.step`; with `candidates`, SimKO with so many instead of GRPO."""
    import torch

    from benchmarks.step import _Environment, questions
    from simko import algorithms
    from simko.advantages import make_batch
    from simko.micro_batch import TokenBudget
    from simko.rollout import rollout
    from simko.types import Sampling, Task
    from simko.update import accumulate_gradients, apply_gradients

    policy = _policy()
    optimizer = torch.optim.AdamW([p for _, p in policy.trainable_parameters()], lr=1e-5)
    method = algorithms.get("simko", top_k=candidates) if candidates else algorithms.get("grpo")
    env = _Environment(
        policy.tokenizer, length, policy.lm_head().weight.shape[0]
    )  # no such token: no answer ends early
    tasks = [Task(str(i), question, "") for i, question in enumerate(questions(prompts, WORDS))]
    longest = max(len(policy.tokenizer.encode(task.problem)) for task in tasks) + length
    batches: list[Any] = []

    def decode() -> None:
        groups = rollout(policy.engine, env, tasks, group, Sampling(4.0), seed=0, step=1)
        batches[:] = [make_batch([_half_right(part) for part in groups], method)]

    def update() -> None:
        accumulate_gradients(
            policy, method, batches[0], temperature=4.0, micro_batch_tokens=TokenBudget(_ROWS * longest),
            max_new_tokens=length,
        )  # fmt: skip
        apply_gradients(policy, optimizer, 1.0)

    return {"rollout": decode, "update": update}


def trl_step(length: int, group: int, prompts: int) -> dict[str, Callable[[], Any]]:
    """TRL's step of the same sizes, rollout and update together."""
    from benchmarks.step import trl

    rows = min(_ROWS, prompts * group)
    model = str(ROOT / "agents" / "tiny")
    once = trl(model, 1, prompts, group, WORDS, length, rows, recompute=True)
    once()  # the first step of a trainer starts its thread, and more
    return {"step, TRL": once}


def grading(length: int, group: int, prompts: int) -> dict[str, Callable[[], Any]]:
    """Worked answers that end in a boxed number; half of them are right. A token is about four characters."""
    from simko.envs import grade
    from simko.grading import Grading
    from simko.types import Task

    rng = random.Random(0)
    tasks = [Task(str(i), "", str(i)) for i in range(prompts)]
    texts = [
        (
            task,
            " ".join(f"{rng.randrange(1000):03d}" for _ in range(length))
            + f" so \\boxed{{{int(task.id) + sample % 2}}}",
        )
        for task in tasks
        for sample in range(group)
    ]

    def once() -> None:
        with Grading(lambda text, task: grade(text, task.gold)) as threads:
            for task, text in texts:
                threads.submit(task, text)
            assert sum(threads.verdict(task, text).correct for task, text in texts) >= len(texts) // 2

    return {"grading": once}


def evaluation(problems: int, samples: int) -> dict[str, Callable[[], Any]]:
    """`simko eval tiny`, the files of its result included."""
    from rich.console import Console

    from simko.config import EvalConfig
    from simko.evaluate import evaluate

    policy = _policy()

    def once() -> None:
        with tempfile.TemporaryDirectory() as folder:
            config = EvalConfig(target="tiny", n=samples, problems=problems, out=folder, max_new_tokens=16)
            evaluate(config, Console(quiet=True), policy)

    return {"evaluation": once}


def statistics(problems: int, samples: int) -> dict[str, Callable[[], Any]]:
    """pass@K, majority@K and their bands, of a model beside its base."""
    from simko.report.counts import Counts, Tally, summarise

    rng = random.Random(0)

    def made() -> Counts:
        counts = Counts(samples=problems * samples, tokens=problems * samples)
        for i in range(problems):
            right = rng.randrange(samples + 1)
            answers = {"right": [right, right]} if right else {}
            for _ in range(samples - right):
                answers.setdefault(str(rng.randrange(20)), [0, 0])[0] += 1
            counts.tallies[str(i)] = Tally(samples, right, answers)
        return counts

    counts, base = made(), made()
    return {"pass@K with bands": lambda: summarise(counts, base)}


def report(length: int, group: int, prompts: int, steps: int) -> dict[str, Callable[[], Any]]:
    """`simko report` of a run with so many recorded steps."""
    from simko.report.page.build import report as build

    folder = run_folder(length, group, prompts, steps)
    return {"report": lambda: build([Path(folder.name)])}


def run_folder(length: int, group: int, prompts: int, steps: int) -> tempfile.TemporaryDirectory[str]:
    """A run folder of made steps, which is removed with the object."""
    import numpy as np

    from simko.run.records import Records
    from simko.types import Completion, Group, Task, Verdict

    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name)
    (path / "rollouts").mkdir()
    (path / "config.yaml").write_text("env: simko/Countdown-v0\nalgorithm: simko\n")
    (path / "manifest.json").write_text('{"status": "finished"}')
    records, rng = Records(path), np.random.default_rng(0)
    for step in range(1, steps + 1):
        groups = []
        for i in range(prompts):
            answers = []
            for sample in range(group):
                ids = rng.integers(0, 512, length)
                verdict = Verdict("correct" if sample % 2 else "incorrect", float(sample % 2), "1")
                logprobs, text = rng.random(length, np.float32), " ".join(map(str, ids))
                answers.append(Completion(ids[:4], ids, logprobs, ids >= 0, text, "stop", verdict))
            groups.append(Group(Task(f"{step}-{i}", f"problem {i} of step {step}", "1"), tuple(answers)))
        records.add(step, groups, {"entropy": 1.0, "reward": 0.5, "solve_rate": 0.5, "loss": 0.1})
    return folder


STAGES: dict[str, Callable[..., dict[str, Callable[[], Any]]]] = {
    "training": training, "trl": trl_step, "grading": grading, "evaluation": evaluation, "statistics": statistics,
    "report": report,
}  # fmt: skip
