"""How time and memory of each stage grow: with answer length, group size, prompts a step, problems, K. TRL beside ours.

Each stage is measured at rising sizes in one process. An exponent is the slope of log cost against log size over the three
largest sizes, so that fixed costs do not hide a square. It stands beside the exponent of the work over the same sizes: tokens,
where a token of a transformer costs its weights and its attention to all tokens before it. A stage grows no faster than its
work if its exponent is at most the work's and a tolerance of 0.15.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.common import Case, Options, Result, compare

TITLE = "growth: exponents of time and memory against the sizes of a run, and TRL's"
TOLERANCE = 0.15
_LAST = 3  # points of a fit
_FLAT_MIB = 8.0  # a peak that rises by less has no exponent: pages and buffers of the allocator
_PROMPT = 50  # tokens, about
_WEIGHTS, _PER_CONTEXT = (
    917_504,
    1024,
)  # multiplications a token of `tiny`: its weights; each token of context in 4 layers

_TRAINING = {
    "length": {
        "points": [64, 256, 512, 1024, 1984],
        "fixed": {"group": 2, "prompts": 2},
    },  # the context of `tiny` is 2,048
    "group": {"points": [4, 16, 32, 64], "fixed": {"length": 16, "prompts": 2}},
    "prompts": {"points": [2, 8, 16, 32], "fixed": {"length": 16, "group": 4}},
}
AXES: dict[str, dict[str, dict[str, Any]]] = {
    "training": {
        **_TRAINING,
        "candidates": {"points": [2, 4, 8, 16], "fixed": {"length": 16, "group": 8, "prompts": 4}},
    },
    "trl": _TRAINING,
    "grading": {
        "length": {"points": [64, 256, 512, 1024, 2048], "fixed": {"group": 8, "prompts": 8}},
        "group": {"points": [8, 32, 64, 128], "fixed": {"length": 64, "prompts": 8}},
        "prompts": {"points": [8, 32, 64, 128], "fixed": {"length": 64, "group": 8}},
    },
    "evaluation": {
        "problems": {"points": [16, 32, 64, 128], "fixed": {"samples": 8}},
        "samples": {"points": [8, 16, 32, 64], "fixed": {"problems": 16}},
    },
    "statistics": {
        "problems": {"points": [32, 128, 256, 512], "fixed": {"samples": 32}},
        "samples": {"points": [64, 128, 256, 512], "fixed": {"problems": 32}},
    },
    "report": {
        "length": {"points": [64, 256, 512, 1024, 2048], "fixed": {"group": 4, "prompts": 4, "steps": 6}},
        "group": {"points": [8, 16, 32, 64], "fixed": {"length": 64, "prompts": 4, "steps": 6}},
        "prompts": {"points": [8, 16, 32, 64], "fixed": {"length": 64, "group": 4, "steps": 6}},
        "steps": {"points": [25, 100, 200, 400], "fixed": {"length": 8, "group": 2, "prompts": 2}},
    },
}


@dataclass(frozen=True)
class Growth:
    """Costs of one stage along one axis, and the slopes of its end."""

    what: str
    axis: str
    sizes: tuple[float, ...]
    costs: tuple[float, ...]
    exponent: float | None
    work: float

    @property
    def verdict(self) -> str:
        """In words."""
        if self.exponent is None:
            return "flat"
        return "no faster than the work" if self.exponent <= self.work + TOLERANCE else "FASTER than the work"


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The exponent: slope of log cost against log size by least squares, over the last three points."""
    x, y = ([math.log(value) for value in values[-_LAST:]] for values in (sizes, costs))
    middle = sum(x) / len(x)
    return sum((a - middle) * b for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)


def tokens(sizes: Mapping[str, float]) -> float:
    """What a stage must at least touch: tokens, samples or steps."""
    counted = ("length", "group", "prompts", "problems", "samples", "steps")
    return math.prod(sizes[name] for name in counted if name in sizes)


def multiplications(sizes: Mapping[str, float]) -> float:
    """The work of a transformer on the answers of a step: the attention of all tokens to those before them is in it."""
    return tokens(sizes) * (_WEIGHTS + _PER_CONTEXT * (_PROMPT + sizes["length"] / 2))


def work_of(stage: str, metric: str) -> Callable[[Mapping[str, float]], float]:
    """The work by which a metric of a stage may grow. Memory holds tokens, and no square of them."""
    return multiplications if stage in ("training", "trl") and metric == "cpu_s" else tokens


def growths(stage: str, axes: Mapping[str, Mapping[str, Any]], row: Mapping[str, float], metric: str) -> list[Growth]:
    """Fit every curve of a stage. The peak of a stage that hardly rises is flat."""
    found = []
    for what in dict.fromkeys(name.split("|")[0] for name in row if "|" in name):
        for axis, plan in axes.items():
            sizes = [float(point) for point in plan["points"]]
            costs = [row[f"{what}|{axis}|{point}|{metric}"] for point in plan["points"]]
            work = [work_of(stage, metric)({**plan["fixed"], axis: point}) for point in sizes]
            is_flat = metric == "peak_mib" and max(costs) - costs[0] < _FLAT_MIB
            exponent = None if is_flat or min(costs) <= 0 else slope(sizes, costs)
            found.append(Growth(what, axis, tuple(sizes), tuple(costs), exponent, slope(sizes, work)))
    return found


def run(options: Options) -> Result:
    """Measure every stage once, or those of `--only`; `--quick` takes few and small sizes."""
    axes = _small() if options.quick else AXES
    if unknown := [stage for stage in options.only if stage not in axes]:
        raise RuntimeError(f"benchmark growth: no stage named '{unknown[0]}'; there are: {', '.join(axes)}")
    chosen = [stage for stage in axes if not options.only or stage in options.only]
    cases = [
        Case(
            stage,
            "benchmarks.growing:sweep",
            {"stage": stage, "axes": axes[stage]},
            _role(stage, chosen),
            _needs(stage),
        )
        for stage in chosen
    ]
    only_here = Options(options.quick, options.repeats or 1, options.threads, options.peer_pythons)
    result = compare(
        "growth", TITLE, cases, only_here, warmup=0, compared=(), setting={"model": "tiny", "tolerance": TOLERANCE}
    )
    curves = [
        (metric, growth)
        for stage, sample in result.samples.items()
        for metric in ("cpu_s", "peak_mib")
        for growth in growths(stage, axes[stage], sample.rows[-1], metric)
    ]
    result.shown = shown(curves)
    faster = [
        f"{growth.what} against {growth.axis}, {metric}" for metric, growth in curves if "FASTER" in growth.verdict
    ]
    result.notes.append(f"faster than the work: {'; '.join(faster) or 'nothing'}")
    return result


def shown(curves: Sequence[tuple[str, Growth]]) -> str:
    """The table, as Markdown."""
    lines = [
        "| stage | against | sizes | unit | costs | exponent | the work's | grows |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for metric, growth in curves:
        unit = "CPU s" if metric == "cpu_s" else "peak MiB"
        sizes = f"{growth.sizes[0]:g}-{growth.sizes[-1]:g}"
        costs = ", ".join(f"{cost:.3g}" for cost in growth.costs)
        exponent = "-" if growth.exponent is None else f"{growth.exponent:.2f}"
        cells = [growth.what, growth.axis, sizes, unit, costs, exponent, f"{growth.work:.2f}", growth.verdict]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _role(stage: str, chosen: Sequence[str]) -> str:
    return "ours" if stage == chosen[0] else "peer" if stage == "trl" else "other"


def _needs(stage: str) -> dict[str, str]:
    return {"trl": "trl==1.16.0", "peft": "peft"} if stage == "trl" else {}


def _small() -> dict[str, dict[str, dict[str, Any]]]:
    """The first three sizes of every axis, halved."""
    smaller = {}
    for stage, axes in AXES.items():
        smaller[stage] = {
            axis: {"points": [point // 2 for point in plan["points"][:3]], "fixed": plan["fixed"]}
            for axis, plan in axes.items()
        }
    return smaller
