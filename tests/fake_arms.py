"""Measurements with known answers, for the tests of comparisons; and results of evaluations as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simko.report.measured import Measured

FACTS: dict[str, Any] = {
    "env": "simko/Countdown-v0", "level": None, "data_sha256": None, "verifier": "expression", "max_new_tokens": 64,
    "attempts": 1, "temperature": 1.0, "top_p": 1.0, "part": "final", "problem_seed": 0, "template": "chat", "model": "tiny",
    "n": 16,
}  # fmt: skip


def arm(
    name: str, seed: int | None = 0, solved: Sequence[int] = (8,) * 24, n: int = 16, ids: str = "p", **facts: Any
) -> Measured:
    """An arm that solved `solved[i]` of `n` samples of problem i."""
    counts = {f"{ids}{i}": (n, correct) for i, correct in enumerate(solved)}
    known = {**FACTS, "n": n, "trained": name != "base", **facts}
    return Measured(name, seed, counts, {}, known, "simko", f"runs/{name}/seed-{seed}/eval/x.json")


def noisy(name: str, seed: int, shift: float = 0.0, problems: int = 48, n: int = 16, **facts: Any) -> Measured:
    """An arm on problems of different difficulty; every seed of every arm has draws of its own."""
    rates = np.random.default_rng(7).beta(0.6, 1.2, problems)
    stream = np.random.default_rng([seed, *name.encode()])
    return arm(name, seed, stream.binomial(n, np.clip(rates + shift, 0, 1)).tolist(), n, **facts)


def result_of(counts: Mapping[str, tuple[int, int]], **more: Any) -> dict[str, Any]:
    """The content of a result of `simko eval`, as far as a comparison reads it."""
    return {
        "model": "tiny", "quantization": "nf4", "adapter": "a", "adapter_sha256": "ab" * 32, "run": "r", "algorithm": "simko",
        "step": 4, "split": "eval", "data": None, "seed": 0, "overlap": 0, "bad_rows": 0, **{k: v for k, v in FACTS.items()},
        "pass_at_k": {"1": 0.5}, "counts": {task: {"samples": n, "correct": c} for task, (n, c) in counts.items()},
        "answers": {}, "outcomes": {"correct": 3, "incorrect": 5, "no_answer": 2, "timeout": 0, "error": 0},
        "truncated": 0.125, "tokens_per_answer": 7.5, "distinct_answers": 2.0, "seconds": 1.5, "base": None,
        "versions": {"simko": "0.1.0"}, "machine": {"device": "cpu"}, **more,
    }  # fmt: skip


def a_run(folder: Path, seed: int = 0, solved: Sequence[int] = (8,) * 4, name: str = "c-n16.json", **more: Any) -> Path:
    """A run folder with a configuration, metrics and one evaluation; `more` is of the result."""
    (folder / "eval").mkdir(parents=True, exist_ok=True)
    settings = f"env: {FACTS['env']}\nalgorithm: simko\nseed: {seed}\nsteps: 4\nmethod: {{alpha: 0.2}}\n"
    (folder / "config.yaml").write_text(settings)
    lines = [
        {"step": i, "entropy": i / 10, "logp_rank1": -0.5, "seconds_rollout": 2.0, "loss": 1.0} for i in range(1, 13)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    counts = {f"p{i}": (16, c) for i, c in enumerate(solved)}
    path = folder / "eval" / name
    path.write_text(json.dumps(result_of(counts, seed=seed, **more)))
    return path
