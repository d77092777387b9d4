"""Where a method got in the comparison of docs/results/frontier.md: its points, and what the bands decide."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simko.compare.study import Study, read_study
from simko.console import markdown
from studies.pages.docstring import wrapped

FOLDER = Path(__file__).resolve().parent.parent / "frontier"
KS = (1, 8, 64, 128)
"""K of the tables: a few below the number of samples."""


@dataclass(frozen=True)
class Results:
    """A study and the points that came out of it."""

    study: Study
    rows: list[dict[str, str]]

    @classmethod
    @cache
    def read(cls, name: str) -> Results:
        """The study `name` of studies/frontier, with its results."""
        with (FOLDER / "results" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return cls(read_study(str(FOLDER / f"{name}.yaml")), list(csv.DictReader(file)))

    @property
    def seeds(self) -> list[str]:
        """The seeds that were run, which may be fewer than the study plans."""
        return sorted({row["seed"] for row in self.rows if row["row"] == "seed"}, key=int)

    def arms_of(self, method: str) -> list[str]:
        """The arms that train with a method, or with a part of that name."""
        ran = {row["arm"] for row in self.rows}
        return [name for name, arm in self.study.arms.items() if name in ran and method in _names(arm)]

    def gains(self, arm: str, k: int) -> list[float]:
        """Pass@k of an arm less the base model's, in points, for each seed."""
        rate = {(row["arm"], row["seed"]): float(row["pass_at_k"]) for row in self.rows if row["k"] == str(k)}
        return [100 * (rate[arm, seed] - rate["base", seed]) for seed in self.seeds]

    def decided(self, arm: str, against: str) -> dict[str, list[int]]:
        """By `better` and `worse`: each K at which the band over seeds and problems decides."""
        found: dict[str, list[int]] = {"better": [], "worse": []}
        for row in self.rows:
            if row["arm"] == arm and row["row"] == "mean" and row[f"against_{against}_decision"] in found:
                found[row[f"against_{against}_decision"]].append(int(row["k"]))
        return found


def place(method: str) -> str:
    """The section of a method's page: a table for each study that had it as an arm, or the sentence that none had."""
    pieces = []
    for name in ("study", "headline"):
        results = Results.read(name)
        if arms := results.arms_of(method):
            pieces += [_about(name, results), _table(results, arms), "\n".join(_bands(results, arm) for arm in arms)]
    return "\n\n".join([*pieces, _CAVEAT]) if pieces else NO_ARM


def _about(name: str, results: Results) -> str:
    """What was run, in two sentences."""
    steps, seeds = results.study.common["steps"], ", ".join(results.seeds)
    if name == "headline":
        return wrapped(
            f"The recipe of `make train` trains for {steps} steps. It was measured at seeds {seeds}, on other problems "
            "(`studies/frontier/headline.yaml`):"
        )
    return wrapped(
        f"Change over the base model in points, at seeds {seeds}. The built-in policy trained on Countdown for {steps} steps, "
        "each arm at the best of three settings (`studies/frontier/study.yaml`):"
    )


_CAVEAT = (
    "Two seeds see no difference of ten points between methods, so these are points and no ranking:\n"
    "[The frontier](../results/frontier.md) has every arm, and [Statistics](../how/statistics.md) what a band may claim."
)
NO_ARM = (
    "It was no arm of our comparison, so nothing here says where it lies. [The frontier](../results/frontier.md) has the\n"
    "methods that were, and `simko compare` puts it beside them ([Comparing methods](../guides/compare.md))."
)


def _table(results: Results, arms: list[str]) -> str:
    rows = []
    shown = [*arms, "grpo"] if "grpo" in results.study.arms and "grpo" not in arms else arms
    for arm in shown:
        settings = {key: value for key, value in results.study.arms[arm].items() if key != "algorithm"}
        chosen = ", ".join(
            f"`{key}` {value:g}" if isinstance(value, float) else f"`{key}` {value}" for key, value in settings.items()
        )
        rows.append([f"`{arm}`", chosen, *(_signed(results.gains(arm, k)) for k in KS)])
    return markdown(("arm", "its settings", *(f"pass@{k}" for k in KS)), rows)


def _bands(results: Results, arm: str) -> str:
    """What the bands say of an arm, in a sentence for each of the two that it is held against."""
    held = {"base": "the base model"}
    if any(row["arm"] == arm and row["against_reference_decision"] for row in results.rows):
        held["reference"] = "`grpo`"
    lines = (f"- {_verdict(arm, other, results.decided(arm, key))}" for key, other in held.items())
    return "\n".join(wrapped(line, indent="  ") for line in lines)


def _verdict(arm: str, other: str, decided: dict[str, list[int]]) -> str:
    said = [f"{word} at K = {', '.join(map(str, ks))}" for word, ks in decided.items() if ks]
    if not said:
        return f"The band decides nothing between `{arm}` and {other}."
    return f"The band calls `{arm}` {' and '.join(said)} than {other}, and decides nothing at any other K."


def _names(arm: object) -> set[object]:
    """The method of an arm, and the parts that it puts in the place of the method's own."""
    assert isinstance(arm, dict)
    return {arm.get(key) for key in ("algorithm", "advantage", "loss", "sampling", "auxiliary")}


def _signed(gains: list[float]) -> str:
    return ", ".join(f"{gain:+.1f}" for gain in gains)
