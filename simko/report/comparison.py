"""A comparison as plain values: every arm's curve and costs, its paired differences, and what the bands decide.

docs/reference/results.md describes them; they are the content of `results.json`, and tables and pictures are made of them alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simko.console import one_line
from simko.report import bands
from simko.report.arm_names import BASE, OF_A_BASE
from simko.report.bands import Band, band, decide, first_loss, loss_words, words
from simko.report.comparable import Comparison
from simko.report.comparison_points import by_k, cube, means, pairs, point
from simko.report.cover import TAUS, cover_values
from simko.report.pairing import is_untrained, pair
from simko.report.passk import k_grid

SCHEMA = "simko.comparison/1"
ONE_SEED = "one seed: the band is over problems only and says nothing of another training"
TWO_SEEDS = (
    "two seeds hardly know how far trainings lie apart: bands are erratic from K to K; take five seeds before a claim"
)


def results_of(comparison: Comparison, reference: str = "grpo") -> dict[str, Any]:
    """Every number of a comparison, as values for JSON. Equal arguments give equal values.

    `reference` is the arm that all methods are compared with, beside the base model; where it is not among the arms, nothing is
    compared with it, and with "base" nothing but the base is. Bands against the reference are at `1 - 0.05 / methods`, so
    that no word about any method and K is wrong with more than 5 %; those against the base model are at 95 % each. An arm at
    its own best temperature is compared with the reference, and with the base, at theirs.
    """
    ks = k_grid(comparison.fewest)
    cubes = {arm: cube(comparison, arm, ks) for arm in comparison.arms}
    methods = [] if reference == BASE else [arm for arm in comparison.arms if _is_trained(comparison, arm)]
    others = {arm: other for arm in methods if (other := _reference_of(comparison, arm, reference)) is not None}
    corrected = 1 - (1 - bands.LEVEL) / max(1, len(others))
    arms = []
    for arm in comparison.arms:
        entry = _arm(comparison, arm, ks, cubes[arm])
        entry["against_base"] = _against(comparison, arm, _base_of(comparison, arm), ks, cubes, bands.LEVEL)
        entry["against_reference"] = _against(comparison, arm, others.get(arm), ks, cubes, corrected)
        arms.append(entry)
    _holm(arms)
    used = reference if others else None
    result = {
        "schema": SCHEMA,
        "reference": used,
        "level": bands.LEVEL,
        "methods_against_reference": len(others) if used else 0,
        "facts": dict(comparison.facts),
        "n": comparison.fewest,
        "k": list(ks),
        "half_k": half_k(ks),
        "problems": {
            "used": len(comparison.problems),
            "left_out": comparison.left_out,
            "ids": list(comparison.problems),
        },
        "notes": [*comparison.notes, *_seed_notes(comparison, arms), *_reference_notes(comparison, reference)],
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
    mean, low, high = np.array(list(rows.values()), dtype=np.float64).T
    ks = tuple(int(k) for k in rows)
    return Band(name, ks, mean, low, high, entry["seeds"], entry["problems"], entry["level"], len(ks) > 1)


def _arm(comparison: Comparison, arm: str, ks: Sequence[int], values: NDArray[np.float64]) -> dict[str, Any]:
    entries = comparison.seeds_of(arm)
    curve = band(arm, ks, values, last_is_n=True, support=bands.SHARE)
    points = [point(comparison, entry, ks, rows) for entry, rows in zip(entries, values, strict=True)]
    taus = [round(100 * tau) for tau in TAUS]
    covers = band(
        arm, taus, np.array([cover_values(pairs(comparison, entry)) for entry in entries]), support=bands.SHARE
    )
    first = entries[0]
    return {
        "name": arm,
        "source": first.source,
        "foreign": first.foreign,
        "trained": not is_untrained(first),
        "model": first.facts.get("model"),
        "settings": {key: value for key, value in (first.facts.get("settings") or {}).items() if key != "seed"},
        "pass_at_k": _curve(curve),
        "cover": {
            str(tau): [float(x) for x in (covers.mean[i], covers.low[i], covers.high[i])] for i, tau in enumerate(TAUS)
        },
        **means(points, ks),
        "seeds": points,
    }


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
        "first_loss": {
            "possible": list(loss.possible),
            "none": loss.none,
            "grid": list(loss.grid),
            "words": loss_words(loss),
        },
        "p_value": gap.p_value,
        "points": [by_k(ks, row) for row in (cubes[arm][left] - cubes[other][right]).mean(axis=1)],
    }


def _holm(arms: Sequence[dict[str, Any]]) -> None:
    """Write Holm's adjusted p value beside each difference to the reference."""
    entries = {arm["name"]: arm["against_reference"] for arm in arms if arm["against_reference"]}
    adjusted = bands.holm({name: entry["p_value"] for name, entry in entries.items()}) if entries else {}
    for name, entry in entries.items():
        entry["holm_p_value"] = adjusted[name].adjusted


def _is_trained(comparison: Comparison, arm: str) -> bool:
    return not is_untrained(comparison.seeds_of(arm)[0])


def _base_of(comparison: Comparison, arm: str) -> str | None:
    """The base arm of the same model: at its own best temperature for an arm at its own, else as it was trained from."""
    every = [other for other in comparison.arms if not _is_trained(comparison, other)]
    alike = [name for name in every if _is_of_one_base(comparison, arm, name)]
    if arm in alike:  # a base at another prompt or temperature against the plain one
        return next((name for name in alike if not _tuned(comparison, name)), None)
    return _variant(comparison, alike, _tuned(comparison, arm))


def _is_of_one_base(comparison: Comparison, arm: str, base: str) -> bool:
    """Whether the facts of a base model are those of an arm; one that nobody knows, or that was tuned, may be any."""
    one, other = (comparison.seeds_of(name)[0].facts for name in (arm, base))
    free = [*_tuned(comparison, arm), *_tuned(comparison, base)]
    pairs = [(one.get(name), other.get(name)) for name in OF_A_BASE if name not in free]
    return all(None in pair or pair[0] == pair[1] for pair in pairs)


def _reference_of(comparison: Comparison, arm: str, reference: str) -> str | None:
    """The reference, or its variant at its own best temperature for an arm at its own."""
    same = [name for name in comparison.arms if reference in (name, comparison.seeds_of(name)[0].facts.get("arm"))]
    return None if arm in same else _variant(comparison, same, _tuned(comparison, arm))


def _variant(comparison: Comparison, arms: Sequence[str], tuned: Sequence[str]) -> str | None:
    """Of an arm and its variants the one with the same facts tuned, else the plain one, which may be the best itself."""
    for wanted in (list(tuned), []):
        if (name := next((name for name in arms if _tuned(comparison, name) == wanted), None)) is not None:
            return name
    return None


def _tuned(comparison: Comparison, arm: str) -> list[str]:
    return list(comparison.seeds_of(arm)[0].facts.get("tuned") or [])


def _reference_notes(comparison: Comparison, reference: str) -> list[str]:
    names = [name for arm in comparison.arms for name in (arm, comparison.seeds_of(arm)[0].facts.get("arm"))]
    if reference in (BASE, *names):
        return []
    return [f"no arm is named {one_line(reference)}: arms are compared with their base only"]


def _seed_notes(comparison: Comparison, arms: Sequence[Mapping[str, Any]]) -> list[str]:
    sizes = {arm: len(comparison.seeds_of(arm)) for arm in comparison.arms if _is_trained(comparison, arm)}
    notes = [ONE_SEED] if 1 in sizes.values() else [TWO_SEEDS] if 2 in sizes.values() else []
    if len(set(sizes.values())) > 1:
        notes.append("seeds differ: " + ", ".join(f"{arm} {count}" for arm, count in sizes.items()))
    for arm in arms:
        for gap in (arm["against_base"], arm["against_reference"]):
            if gap and gap["seeds"] == 1 < min(len(comparison.seeds_of(name)) for name in (arm["name"], gap["arm"])):
                notes.append(f"{one_line(arm['name'])} and {one_line(gap['arm'])} share {ONE_SEED}")
    return notes


def _could_be_seen(arms: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The half width at K = 1 of the middle one of the bands that words come from, and its number of seeds."""
    for key in ("against_reference", "against_base"):
        gaps = [arm[key] for arm in arms if arm[key] and arm["trained"]]
        if gaps:
            halves = sorted(
                ((gap["curve"]["1"][2] - gap["curve"]["1"][1]) / 2, gap["seeds"], gap["arm"]) for gap in gaps
            )
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
