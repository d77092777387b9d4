"""The frontier: pass@1 against pass@K of many answers, a point for every seed and every arm's mean with its bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simko.report.comparison_plot import DPI, FAINT, GRID, INK, headline, png, styles
from simko.report.comparison_table import describe, sizes
from simko.report.labels import label

_PANEL, _LEGEND, _HEAD, _FOOT, _SIDE = 4.0, 2.5, 0.75, 0.72, 0.62  # inches
_ROW = 0.235  # inches of a line of the legend


def draw_frontier(result: Mapping[str, Any]) -> bytes:
    """Draw pass@1 against pass@n/2 and against pass@n; the bytes of a PNG.

    Small points are seeds, large ones means with the bands at these two K in both directions; base models are stars. Up
    and to the right is better. The legend is in the order of pass@1.
    """
    ks = [k for k in dict.fromkeys((result["half_k"], result["k"][-1])) if k > 1] or [result["k"][-1]]
    arms = sorted(result["arms"], key=lambda arm: -arm["pass_at_k"]["curve"]["1"][0])
    width = _SIDE + len(ks) * (_PANEL + 0.35) + _LEGEND
    height = _HEAD + max(_PANEL * 0.8, _ROW * (len(arms) + 1)) + _FOOT
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    by_name = styles(result)
    looks = [by_name[arm["name"]] | {"size": 8 if arm["trained"] else 13} for arm in arms]
    for i, k in enumerate(ks):
        left = _SIDE + i * (_PANEL + 0.35)
        box = (left / width, _FOOT / height, (_PANEL - 0.25) / width, 1 - (_HEAD + _FOOT) / height)
        axes = figure.add_axes(box)
        noisy = " (K = n: noisy)" if k == result["k"][-1] and k > 1 else ""
        _panel(axes, arms, looks, str(k), f"pass@{k} (%){noisy}")
    _legend(figure, arms, looks, width, height)
    headline(figure, f"Frontier: {describe(result)}", f"{sizes(result)}; up and to the right is better")
    figure.text(
        0.12 / width, 0.1 / height, "Small: every seed. Large: mean, with the simultaneous 95 % band at these K. Star: base.",
        fontsize=8.5, color=FAINT, va="bottom", parse_math=False,
    )  # fmt: skip
    return png(figure)


def _panel(axes: Any, arms: Sequence[Any], looks: Sequence[dict[str, Any]], k: str, ylabel: str) -> None:
    for arm, look in zip(arms, looks, strict=True):
        colour, marker = look["color"], look["marker"]
        seeds = [[100 * point["pass_at_k"][at] for point in arm["seeds"]] for at in ("1", k)]
        axes.plot(*seeds, marker=marker, color=colour, markersize=3.5, alpha=0.55, linestyle="", markeredgewidth=0)
        (x, x_low, x_high), (y, y_low, y_high) = (arm["pass_at_k"]["curve"][at] for at in ("1", k))
        axes.errorbar(
            100 * x, 100 * y, xerr=[[100 * (x - x_low)], [100 * (x_high - x)]], yerr=[[100 * (y - y_low)], [100 * (y_high - y)]],
            color=colour, marker=marker, markersize=look["size"], elinewidth=0.9, alpha=0.9, markeredgecolor="white",
            markeredgewidth=0.6,
        )  # fmt: skip
    axes.set_xlabel("pass@1 (%)", color=INK, fontsize=10)
    axes.set_ylabel(ylabel, color=INK, fontsize=10)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9, length=0)


def _legend(figure: Figure, arms: Sequence[Any], looks: Sequence[dict[str, Any]], width: float, height: float) -> None:
    left, top = width - _LEGEND + 0.05, _HEAD + 0.1
    for i, (arm, look) in enumerate(zip(arms, looks, strict=True)):
        y = 1 - (top + i * _ROW) / height
        figure.add_artist(_mark(left / width, y, look))
        name = label(arm["name"], 40) + (" (counts by others)" if arm["foreign"] else "")
        size = 9.0 * min(1.0, 30 / len(name))
        figure.text(
            (left + 0.16) / width,
            y,
            name,
            fontsize=size,
            color=look["color"],
            va="center",
            parse_math=False,
            fontweight="bold",
        )


def _mark(x: float, y: float, look: Mapping[str, Any]) -> Line2D:
    return Line2D([x], [y], marker=look["marker"], color=look["color"], markersize=0.9 * look["size"], linestyle="")
