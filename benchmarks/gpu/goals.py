"""The goals on a card, and whether the figures of a page meet them. Values are named `step.value`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """`value`, the name of a figure, must be at most `limit`; of several names, each must be. `scale` is for showing only."""

    text: str
    values: tuple[str, ...]
    limit: float
    unit: str
    scale: float = 1.0

    def judge(self, figures: Mapping[str, float]) -> tuple[str, str]:
        """Return the measured figures and the verdict, both in words: `met`, `not met`, `not measured`."""
        numbers = [figures[name] for name in self.values if name in figures]
        if not numbers:
            return "-", "not measured"
        shown = " and ".join(f"{number / self.scale:.3g}" for number in numbers) + f" {self.unit}".rstrip()
        if any(not number <= self.limit for number in numbers):  # nan is not met
            return shown, "not met"
        return shown, "met" if len(numbers) == len(self.values) else "met in part, the rest is not measured"


GOALS = (
    Goal(
        "the head takes at most 1.25 times its two GEMMs (N = 8192, D = 2048, V = 151,936)",
        ("head and its floor.simko / two GEMMs",),
        1.25,
        "times",
    ),
    *(
        Goal(
            f"decoding is at least 5 times as fast as `generate`, batch {rows}: at most 0.2 of its time",
            (f"decode, batch {rows}.ours / generate",),
            0.2,
            "of its time",
        )
        for rows in (64, 256)
    ),
    Goal(
        "a 1.5B model trains on 64 answers of 1,024 tokens in 6 GB",
        ("forecast, 1.5B.measured_peak",),
        6e9,
        "GB",
        1e9,
    ),
    Goal(
        "the forecast is within 10 % of the measured peak, for three shapes",
        tuple(f"forecast, {shape}.error, absolute" for shape in ("0.3B", "0.5B", "1.5B")),
        0.10,
        "% off",
        0.01,
    ),
    Goal("a training step takes at most 0.6 of TRL's time", ("step beside TRL.time / trl",), 0.6, "of its time"),
    Goal("a training step takes at most 0.5 of TRL's memory", ("step beside TRL.peak / trl",), 0.5, "of its memory"),
)


def figures(page: Mapping[str, Any]) -> dict[str, float]:
    """Every number of the steps that are on a page, as `step.value`."""
    return {
        f"{step['name']}.{name}": value
        for part in page["parts"].values()
        for step in part["steps"]
        for name, value in step["findings"].get("values", {}).items()
    }
