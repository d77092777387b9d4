"""The numbers of one arm at one seed, and their means over the seeds of an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simko.report.comparable import Comparison
from simko.report.cover import cover_curve, guess_floor, pass_all_matrix, tokens_at
from simko.report.majority import majority_at_k
from simko.report.measured import Measured
from simko.report.passk import pass_matrix

_MAJORITY = (1, 8, 64)  # where no evaluation has computed it: it takes seconds a K
_NOT_COPIED = ("settings", "versions", "machine", "majority_at_k")


def cube(comparison: Comparison, arm: str, ks: Sequence[int]) -> NDArray[np.float64]:
    """pass@K, `[seeds, problems, len(ks)]`."""
    rows = []
    for entry in comparison.seeds_of(arm):
        samples, correct = zip(*pairs(comparison, entry), strict=True)
        rows.append(pass_matrix(samples, correct, ks))
    return np.array(rows)


def point(comparison: Comparison, entry: Measured, ks: Sequence[int], rows: NDArray[np.float64]) -> dict[str, Any]:
    """The numbers of one arm and seed; `rows` is pass@K of each problem."""
    facts = entry.facts
    samples, correct = zip(*pairs(comparison, entry), strict=True)
    rates, shares = cover_curve(pairs(comparison, entry))
    known = [entry.answers.get(task) or {} for task in comparison.problems]
    outcomes: Mapping[str, int] = facts.get("outcomes") or {}
    total = sum(outcomes.values())
    tokens = facts.get("tokens_per_answer")
    return {
        "seed": entry.seed,
        "file": entry.place,
        "pass_at_k": by_k(ks, rows.mean(axis=0)),
        "pass_all_k": by_k(ks, pass_all_matrix(samples, correct, ks).mean(axis=0)),
        "majority_at_k": _majority(comparison, entry, ks),
        "guess_floor": by_k(ks, guess_floor(known, ks).mean(axis=0)) if any(known) else None,
        "cover_curve": {"rate": _floats(rates), "share": _floats(shares)},
        "tokens_at_k": None if tokens is None else by_k(ks, tokens_at(ks, tokens)),
        "tokens_per_answer": tokens,
        "truncated": facts.get("truncated"),
        "no_answer": outcomes["no_answer"] / total if total and "no_answer" in outcomes else None,
        "verifier_failed": (outcomes.get("timeout", 0) + outcomes.get("error", 0)) / total if total else None,
        "seconds": facts.get("training_seconds"),
        "training": dict(facts.get("training") or {}),
        "facts": {key: value for key, value in facts.items() if key not in _NOT_COPIED},
        "samples": list(samples),
        "correct": list(correct),
    }


def means(points: Sequence[Mapping[str, Any]], ks: Sequence[int]) -> dict[str, Any]:
    """Means over the seeds that have the number; None where no seed has it."""
    numbers = ("tokens_per_answer", "truncated", "no_answer", "verifier_failed", "seconds")
    means: dict[str, Any] = {name: _mean([point[name] for point in points]) for name in numbers}
    for name in ("pass_all_k", "majority_at_k", "guess_floor", "tokens_at_k"):
        means[name] = {str(k): _mean([(point[name] or {}).get(str(k)) for point in points]) for k in ks}
    names = sorted({name for point in points for name in point["training"]})
    means["training"] = {name: _mean([point["training"].get(name) for point in points]) for name in names}
    return means


def pairs(comparison: Comparison, entry: Measured) -> list[tuple[int, int]]:
    """Samples and correct ones of each problem of the comparison, in its order."""
    return [entry.counts[task] for task in comparison.problems]


def _majority(comparison: Comparison, entry: Measured, ks: Sequence[int]) -> dict[str, float] | None:
    """majority@K: the evaluation's own where its problems and K's are these, else at a few K from the answers."""
    stored = entry.facts.get("majority_at_k")
    if isinstance(stored, Mapping) and len(entry.counts) == len(comparison.problems) and {*map(str, ks)} <= set(stored):
        return {str(k): stored[str(k)] for k in ks}
    if not any(entry.answers.get(task) for task in comparison.problems):
        return None
    few = [k for k in ks if k in _MAJORITY]
    rows = []
    for task in comparison.problems:
        votes = [pair for pair in entry.answers.get(task, {}).values() if pair[0]]
        blank = entry.counts[task][0] - sum(count for count, _ in votes)
        rows.append(majority_at_k([n for n, _ in votes], [c / n for n, c in votes], few, max(0, blank)))
    return by_k(few, np.mean(rows, axis=0))


def by_k(ks: Sequence[int], values: Any) -> dict[str, float]:
    """Values by K, with the keys of JSON."""
    return {str(k): float(value) for k, value in zip(ks, values, strict=True)}


def _floats(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in values]


def _mean(values: Sequence[Any]) -> float | None:
    known = [value for value in values if isinstance(value, int | float)]
    return float(np.mean(known)) if known else None
