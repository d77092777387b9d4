"""A comparison as plain values: every arm's curve and costs, its paired differences, and what the bands decide.

docs/results.md describes the values; they are the content of `results.json`, and tables and pictures are made of them alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simko.report import bands
from simko.report.bands import Band, band, decide, first_loss, loss_words, words
from simko.report.comparable import Comparison
from simko.report.cover import TAUS, cover_curve, cover_values, guess_floor, pass_all_matrix, tokens_at
from simko.report.measured import Measured
from simko.report.pairing import is_untrained, pair
from simko.report.passk import k_grid, pass_matrix
from simko.report.majority import majority_at_k

SCHEMA = "simko.comparison/1"
ONE_SEED = "one seed: the band is over problems only and says nothing of another training"
_MAJORITY = (1, 8, 64)  # where no evaluation has computed it: it takes seconds a K
_NOT_COPIED = ("settings", "versions", "machine", "majority_at_k")


def results_of(comparison: Comparison, reference: str = "grpo", note: str = "") -> dict[str, Any]:
    """Every number of a comparison, as values for JSON. Equal arguments give equal values.

    `reference` is the arm that all methods are compared with, beside the base model; where it is not among the arms, nothing is
    compared with it. Bands against the reference are at `1 - 0.05 / methods`, so that no word about any method and K is wrong
    with more than 5 %; those against the base model are at 95 % each, unless it is the reference.
    """
    ks = k_grid(comparison.fewest)
    cubes = {arm: _cube(comparison, arm, ks) for arm in comparison.arms}
    base = {arm: _base_of(comparison, arm) for arm in comparison.arms}
    others = [arm for arm in comparison.arms if arm != reference and not is_untrained(comparison.seeds_of(arm)[0])]
    methods = max(1, len(others))
    arms = []
    for arm in comparison.arms:
        entry = _arm(comparison, arm, ks, cubes[arm])
        of_base = base[arm] if reference != "base" else None
        entry["against_base"] = _against(comparison, arm, of_base or base[arm], ks, cubes, bands.LEVEL)
        entry["against_reference"] = None
        is_other = arm in others and reference in comparison.arms
        if is_other:
            level = 1 - (1 - bands.LEVEL) / methods
            entry["against_reference"] = _against(comparison, arm, reference, ks, cubes, level)
        arms.append(entry)
    _holm(arms)
    used = reference if reference in comparison.arms else None
    result = {
        "schema": SCHEMA,
        "reference": used,
        "level": bands.LEVEL,
        "methods_against_reference": len(others) if used else 0,
        "facts": dict(comparison.facts),
        "n": comparison.fewest,
        "k": list(ks),
        "half_k": half_k(ks),
        "problems": {"used": len(comparison.problems), "left_out": comparison.left_out, "ids": list(comparison.problems)},
        "notes": [*comparison.notes, *_seed_notes(comparison), *([note] if note else [])],
        "versions": _distinct(comparison, "versions"),
        "machines": _distinct(comparison, "machine"),
        "arms": arms,
    }
    result["could_be_seen"] = _could_be_seen(arms)
    return result


def half_k(ks: Sequence[int]) -> int:
    """The K of the grid that is nearest to half of the last one; the last K itself is noisy."""
    return min(ks[:-1] or ks, key=lambda k: abs(np.log(k) - np.log(ks[-1] / 2)))


def as_band(name: str, entry: Mapping[str, Any]) -> Band:
    """Read a band back from its values: of an arm's `pass_at_k`, or of a difference."""
    rows = entry["curve"]
    columns = [np.array([row[i] for row in rows.values()], dtype=np.float64) for i in range(3)]
    ks = tuple(int(k) for k in rows)
    return Band(name, ks, *columns, entry["seeds"], entry["problems"], entry["level"], len(ks) > 1)


def _arm(comparison: Comparison, arm: str, ks: Sequence[int], cube: NDArray[np.float64]) -> dict[str, Any]:
    entries = comparison.seeds_of(arm)
    curve = band(arm, ks, cube, last_is_n=True, support=bands.SHARE)
    points = [_point(comparison, entry, ks, rows) for entry, rows in zip(entries, cube, strict=True)]
    pairs = [_pairs(comparison, entry) for entry in entries]
    taus = [round(100 * tau) for tau in TAUS]
    covers = band(arm, taus, np.array([cover_values(pair) for pair in pairs]), support=bands.SHARE)
    first = entries[0]
    return {
        "name": arm,
        "source": first.source,
        "foreign": first.foreign,
        "trained": not is_untrained(first),
        "model": first.facts.get("model"),
        "settings": {key: value for key, value in (first.facts.get("settings") or {}).items() if key != "seed"},
        "pass_at_k": _curve(curve),
        "cover": {str(tau): [float(x) for x in (covers.mean[i], covers.low[i], covers.high[i])] for i, tau in enumerate(TAUS)},
        **_means(points, ks),
        "seeds": points,
    }


def _point(comparison: Comparison, entry: Measured, ks: Sequence[int], rows: NDArray[np.float64]) -> dict[str, Any]:
    """The numbers of one arm and seed; `rows` is pass@K of each problem."""
    facts = entry.facts
    samples, correct = zip(*_pairs(comparison, entry), strict=True)
    rates, shares = cover_curve(_pairs(comparison, entry))
    known = [entry.answers.get(task) or {} for task in comparison.problems]
    outcomes = facts.get("outcomes") if isinstance(facts.get("outcomes"), Mapping) else {}
    total = sum(outcomes.values())
    tokens = facts.get("tokens_per_answer")
    return {
        "seed": entry.seed,
        "file": entry.place,
        "pass_at_k": _by_k(ks, rows.mean(axis=0)),
        "pass_all_k": _by_k(ks, pass_all_matrix(samples, correct, ks).mean(axis=0)),
        "majority_at_k": _majority(comparison, entry, ks),
        "guess_floor": _by_k(ks, guess_floor(known, ks).mean(axis=0)) if any(known) else None,
        "cover_curve": {"rate": _floats(rates), "share": _floats(shares)},
        "tokens_at_k": None if tokens is None else _by_k(ks, tokens_at(ks, tokens)),
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


def _means(points: Sequence[Mapping[str, Any]], ks: Sequence[int]) -> dict[str, Any]:
    """Means over the seeds that have the number; None where no seed has it."""
    numbers = ("tokens_per_answer", "truncated", "no_answer", "verifier_failed", "seconds")
    means: dict[str, Any] = {name: _mean([point[name] for point in points]) for name in numbers}
    for name in ("pass_all_k", "majority_at_k", "guess_floor", "tokens_at_k"):
        means[name] = {str(k): _mean([(point[name] or {}).get(str(k)) for point in points]) for k in ks}
    names = sorted({name for point in points for name in point["training"]})
    means["training"] = {name: _mean([point["training"].get(name) for point in points]) for name in names}
    return means


def _against(
    comparison: Comparison,
    arm: str,
    other: str | None,
    ks: Sequence[int],
    cubes: Mapping[str, NDArray[np.float64]],
    level: float,
) -> dict[str, Any] | None:
    if other is None or other == arm:
        return None
    left, right, how = pair(comparison.seeds_of(arm), comparison.seeds_of(other))
    gap = band(f"{arm} - {other}", ks, cubes[arm][left] - cubes[other][right], level=level, last_is_n=True)
    loss = first_loss(gap)
    return {
        "arm": other,
        "pairing": how,
        **_curve(gap),
        "decisions": dict(zip(map(str, ks), decide(gap), strict=True)),
        "words": words(gap),
        "first_loss": {"possible": list(loss.possible), "none": loss.none, "grid": list(loss.grid), "words": loss_words(loss)},
        "p_value": gap.p_value,
        "points": [_by_k(ks, row) for row in (cubes[arm][left] - cubes[other][right]).mean(axis=1)],
    }


def _holm(arms: Sequence[dict[str, Any]]) -> None:
    """Write Holm's adjusted p value beside each difference to the reference."""
    entries = {arm["name"]: arm["against_reference"] for arm in arms if arm["against_reference"]}
    adjusted = bands.holm({name: entry["p_value"] for name, entry in entries.items()}) if entries else {}
    for name, entry in entries.items():
        entry["holm_p_value"] = adjusted[name].adjusted


def _base_of(comparison: Comparison, arm: str) -> str | None:
    """The base arm of the same model: the first untrained one whose model is not another."""
    model = comparison.seeds_of(arm)[0].facts.get("model")
    for other in comparison.arms:
        entry = comparison.seeds_of(other)[0]
        if is_untrained(entry) and (model is None or entry.facts.get("model") in (None, model)):
            return other
    return None


def _cube(comparison: Comparison, arm: str, ks: Sequence[int]) -> NDArray[np.float64]:
    """pass@K, `[seeds, problems, len(ks)]`."""
    rows = []
    for entry in comparison.seeds_of(arm):
        samples, correct = zip(*_pairs(comparison, entry), strict=True)
        rows.append(pass_matrix(samples, correct, ks))
    return np.array(rows)


def _pairs(comparison: Comparison, entry: Measured) -> list[tuple[int, int]]:
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
        votes = list(entry.answers.get(task, {}).values())
        blank = entry.counts[task][0] - sum(count for count, _ in votes)
        rows.append(majority_at_k([n for n, _ in votes], [c / n for n, c in votes], few, max(0, blank)))
    return _by_k(few, np.mean(rows, axis=0))


def _seed_notes(comparison: Comparison) -> list[str]:
    sizes = {arm: len(entries) for arm in comparison.arms if not is_untrained((entries := comparison.seeds_of(arm))[0])}
    notes = [ONE_SEED] if 1 in sizes.values() else []
    if len(set(sizes.values())) > 1:
        notes.append("seeds differ: " + ", ".join(f"{arm} {count}" for arm, count in sizes.items()))
    return notes


def _could_be_seen(arms: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The half width at K = 1 of the middle one of the bands that words come from, and its number of seeds."""
    for key in ("against_reference", "against_base"):
        gaps = [arm[key] for arm in arms if arm[key] and arm["trained"]]
        if gaps:
            halves = sorted(((gap["curve"]["1"][2] - gap["curve"]["1"][1]) / 2, gap["seeds"], gap["arm"]) for gap in gaps)
            half, seeds, other = halves[len(halves) // 2]
            return {"k": 1, "difference": half, "seeds": seeds, "against": other}
    return None


def _distinct(comparison: Comparison, name: str) -> list[Any]:
    values: list[Any] = []
    for entry in comparison.measured:
        if (value := entry.facts.get(name)) and value not in values:
            values.append(value)
    return values


def _curve(curve: Band) -> dict[str, Any]:
    rows = zip(curve.k, curve.mean, curve.low, curve.high, strict=True)
    return {
        "curve": {str(k): [float(mean), float(low), float(high)] for k, mean, low, high in rows},
        "seeds": curve.seeds,
        "problems": curve.problems,
        "level": curve.level,
    }


def _by_k(ks: Sequence[int], values: Any) -> dict[str, float]:
    return {str(k): float(value) for k, value in zip(ks, values, strict=True)}


def _floats(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in values]


def _mean(values: Sequence[Any]) -> float | None:
    known = [value for value in values if isinstance(value, int | float)]
    return float(np.mean(known)) if known else None
