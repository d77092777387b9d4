"""Results of an evaluation, made of counts."""

from __future__ import annotations

from typing import Any

from simko.report.counts import Counts, Tally, summarise


def evaluation(adapter_sha256: str, **changes: Any) -> dict[str, Any]:
    """The result of an evaluation of an adapter."""
    sides = [counts(right) for right in ((4, 2, 1, 0, 3, 4), (2, 1, 1, 0, 2, 3))]
    facts = {
        "env": "simko/GSM8K-v0", "adapter_sha256": adapter_sha256, "adapter": "a", "model": "tiny", "quantization": "nf4",
        "algorithm": "simko", "step": 7, "n": 4, "problems": 6, "seed": 0, "temperature": 0.6, "top_p": 0.95,
        "max_new_tokens": 300, "verifier": "math", "part": "all", "overlap": 0, "level": None,
    }  # fmt: skip
    return {**facts, **summarise(*sides), **changes}


def counts(right: tuple[int, ...]) -> Counts:
    """Four samples of each problem, of which so many were right."""
    side = Counts()
    for i, correct in enumerate(right):
        side.tallies[f"task {i}"] = Tally(samples=4, correct=correct, answers={"42": (4, correct)})
        side.outcomes["correct"] += correct
        side.outcomes["incorrect"] += 4 - correct
    side.samples, side.tokens = 4 * len(right), 40 * len(right)
    return side
