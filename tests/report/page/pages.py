"""A run folder of any text, written by the code that writes real ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simko.report.counts import Counts, summarise
from simko.report.forks import Answer, ForkGroup, Forks, Token, write_forks
from simko.run.records import Records
from simko.run.samples import keeping_samples
from simko.types import Completion, Group, Outcome, Task, Verdict

RESULT = "countdown-n8.json"
METRICS = {"reward": 0.25, "solve_rate": 0.25, "truncated": 0.0, "completion_tokens": 4.0, "entropy": 0.7, "logp_rank1": -0.4,
           "logp_rank2": -2.0, "informative": 0.5, "grad_norm": 0.1}  # fmt: skip


def completion(text: str, outcome: Outcome, extracted: str | None = None) -> Completion:
    verdict = Verdict(outcome, float(outcome == "correct"), extracted)
    ones = np.ones(3, np.bool_)
    return Completion(np.array([1]), np.array([5, 6, 7]), np.zeros(3, np.float32), ones, text, "stop", verdict)


def group(task: str, problem: str, texts: Sequence[str], right: int, gold: str = "42") -> Group:
    """The first `right` answers are correct."""
    answers = [completion(text, "correct" if i < right else "incorrect", text[:9]) for i, text in enumerate(texts)]
    return Group(Task(task, problem, gold), tuple(answers))


def write_run(
    path: Path,
    steps: int = 6,
    text: str = "1+2",
    task: str = "task/1",
    problem: str = "What is 6 times 7?",
    seed: int = 0,
    config: dict[str, Any] | None = None,
    evaluation: dict[str, Any] | None = None,
    algorithm: str = "simko",
    evaluated: str | None = None,
    recorded: int = 12,
) -> Path:
    """`text` is in the answers of the first `recorded` steps, `evaluated` (else `text`) in those of the evaluation."""
    path.mkdir(parents=True)
    for name in ("rollouts", "eval", "checkpoints/step-000006"):
        (path / name).mkdir(parents=True)
    settings = {"env": "simko/Countdown-v0", "model": "tiny", "algorithm": algorithm, "steps": steps, "seed": seed}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}\n" for key, value in {**settings, **(config or {})}.items()]
    (path / "config.yaml").write_text("".join(lines), encoding="utf-8")
    manifest = {"status": "finished", "versions": {"simko": "0.1.0"}, "weights_sha256": "ab" * 32, "data_sha256": None}
    (path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    records = Records(path)
    for step in range(1, steps + 1):
        groups = [
            group(f"{task}-{i}", problem, [text, f"{text} again{step}", "wrong one", "other"], i % 5) for i in range(4)
        ]
        more = {"entropy": 0.7 - 0.01 * step} | {f"entropy_hist_{i:02}": 0.1 for i in range(10)}
        if step <= recorded:
            records.add(step, groups, {**METRICS, **more})
        else:
            with records.metrics_path.open("a") as lines_after:
                lines_after.write(json.dumps({"step": step, **METRICS, **more}) + "\n")
    write_evaluation(path, text if evaluated is None else evaluated, task, problem, evaluation or {})
    write_forks(path, forks(text, task, problem))
    return path


def write_evaluation(path: Path, text: str, task: str, problem: str, changes: dict[str, Any]) -> None:
    """8 problems, 8 samples: problem i has i right answers of the base, and 8 - i of the trained side."""
    trained, base = Counts(), Counts()
    with keeping_samples(path / "eval" / RESULT.replace(".json", ".samples.jsonl.gz")) as keep:
        for side, counts in (("trained", trained), ("base", base)):
            for i in range(9):
                right = 8 - i if side == "trained" else i
                groups = [group(f"{task}:{i}", problem, [f"{text} {side}"] * 8, right)]
                counts.add(groups)
                keep(side, groups, 0)  # type: ignore[arg-type]
    facts: dict[str, Any] = {
        "model": "tiny",
        "quantization": "nf4",
        "adapter": "x",
        "adapter_sha256": "cd" * 32,
        "run": str(path),
    }
    facts |= {
        "algorithm": "simko",
        "step": 6,
        "env": "simko/Countdown-v0",
        "split": "eval",
        "data": None,
        "data_sha256": None,
    }
    facts |= {"level": None, "attempts": 1, "template": "chat", "verifier": "expression", "max_new_tokens": 64, "n": 8}
    facts |= {"problems": 9, "part": "all", "seed": 0, "problem_seed": 0, "temperature": 1.0, "top_p": 1.0}
    result = {**facts, **summarise(trained, base), **changes}
    (path / "eval" / RESULT).write_text(json.dumps(result), encoding="utf-8")


def forks(text: str = "1+2", task: str = "task/1", problem: str = "p", tokens: int = 4, answers: int = 2) -> Forks:
    """Two answers of four tokens that part at the second; the ids 1 to 9 have texts."""

    def token(place: int, id: int, sign: int) -> Token:
        did = {"gate": 1.0, "shared" if sign > 0 else "punished": 1.0} if place % 2 else {}
        return Token(
            place,
            0.2 + 0.4 * (place % 4),
            1.3,
            0.6,
            0.3,
            ((id, 0.3, 0.6), (9, 0.5, 0.3), (8, 0.2, 0.1)),
            float(sign),
            did,
        )

    def answer(sample: int) -> Answer:
        sign = 1 if sample % 2 == 0 else -1
        ids = tuple(1 + (place + (sample if place else 0)) % 7 for place in range(tokens))
        looks = tuple(token(place, id, sign) for place, id in enumerate(ids))
        return Answer(sample, "correct" if sign > 0 else "incorrect", float(sign > 0), text[:9], ids, looks, True)

    every = tuple(answer(sample) for sample in range(answers))
    group = ForkGroup("step", 6, task, problem, "42", every)
    texts = {id: (text if id == 9 else f"t{id}") for id in range(1, 10)}
    return Forks("cd" * 32, 6, "tiny", "simko", 1.0, (group,), texts)
