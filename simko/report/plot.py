"""The picture of pass@K against K: any number of curves, each with its interval, and its name beside it."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simko.report.bands import Band, FirstLoss, loss_words

# Okabe and Ito's palette (jfly.uni-koeln.de/color): readers with any colour vision can tell the colours apart, also in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BASE_COLOUR = "#6B6B6B"
_INK, _GRID = "#222222", "#DDDDDD"
_WIDTH, _HEIGHT, _DPI = 7.6, 4.4, 200  # inches; 1520 x 880 pixels
_LABEL_GAP = 0.105  # of the axis height: the least distance between two names
_CROWDED = 1.45  # two K's with a smaller ratio would print over each other: only the larger is printed


def plot_curves(
    curves: Sequence[Band],
    path: str | Path,
    title: str,
    subtitle: str = "",
    loss: FirstLoss | None = None,
    ylabel: str = "pass@K (%)",
) -> Path:
    """Write the picture to `path` as a PNG. A file is never half written. Arguments as in `draw_curves`."""
    data = draw_curves(curves, title, subtitle, loss, ylabel)
    scratch = Path(path).with_name(f".{Path(path).name}.writing")
    scratch.write_bytes(data)
    os.replace(scratch, path)
    return Path(path)


def draw_curves(
    curves: Sequence[Band],
    title: str,
    subtitle: str = "",
    loss: FirstLoss | None = None,
    ylabel: str = "pass@K (%)",
) -> bytes:
    """Draw named curves against K on a log2 axis, with shaded bands; return the bytes of a PNG.

    A curve named "base" is drawn grey and dashed. `loss` marks where the first curve begins to lose to the base, if it
    certainly does. A last K that is all samples of a problem has an open marker. Equal arguments give equal bytes with the
    same version of matplotlib.

    Raises:
        ValueError: there are no curves.
    """
    if not curves:
        raise ValueError("no curve to draw")
    figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    names = 0.05 + 0.0125 * max(len(curve.name) for curve in curves)  # room to the right, of the figure's width
    axes = figure.add_axes((0.085, 0.125, 0.9 - min(0.3, names), 0.715))
    styles = _styles(curves)
    for curve, style in zip(curves, styles, strict=True):
        axes.fill_between(curve.k, 100 * curve.low, 100 * curve.high, color=style["color"], alpha=0.14, linewidth=0)
        axes.plot(curve.k, 100 * curve.mean, linewidth=2, markersize=5, markevery=range(curve.judged), **style)
        if curve.judged < len(curve.k):
            open_end = {**style, "linestyle": "none", "markerfacecolor": "white"}
            axes.plot(curve.k[-1:], 100 * curve.mean[-1:], markersize=5, zorder=3, **open_end)
    _axes(axes, curves, ylabel)
    if loss is not None and loss.possible and not loss.none:
        _mark(axes, loss)
    _names(axes, curves, styles)
    _headline(figure, 0.965, title, 12, 68, color=_INK, fontweight="bold")
    _headline(figure, 0.905, subtitle, 9, 105, color="#555555")
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _mark(axes: Any, loss: FirstLoss) -> None:
    """Shade the K that may be the first loss, and say it in words."""
    low, high = loss.possible[0], loss.possible[-1]
    axes.axvspan(low / 1.08, high * 1.08, color=BASE_COLOUR, alpha=0.1, linewidth=0, zorder=0)
    left, right = axes.get_xlim()
    at_right = math.sqrt(low * high) > math.sqrt(left * right)
    axes.annotate(
        loss_words(loss), (high * 1.08 if at_right else low / 1.08, 0.03), xycoords=("data", "axes fraction"),
        xytext=(-4 if at_right else 4, 0), textcoords="offset points", ha="right" if at_right else "left",
        color=BASE_COLOUR, fontsize=9,
    )  # fmt: skip


def _headline(figure: Any, y: float, text: str, size: float, fits: int, **style: Any) -> None:
    """Write a line above the axes, in a smaller size if it has more than `fits` characters."""
    size *= min(1.0, fits / max(1, len(text)))
    figure.text(0.015, y, text, fontsize=size, va="top", parse_math=False, **style)


def _styles(curves: Sequence[Band]) -> list[dict[str, Any]]:
    styles: list[dict[str, Any]] = []
    used = 0
    for curve in curves:
        if curve.name == "base":
            styles.append({"color": BASE_COLOUR, "marker": "o", "linestyle": (0, (4, 2))})
            continue
        styles.append({"color": COLOURS[used % len(COLOURS)], "marker": MARKERS[used % len(MARKERS)], "linestyle": "-"})
        used += 1
    return styles


def _axes(axes: Any, curves: Sequence[Band], ylabel: str) -> None:
    """Set a log2 axis with the measured K's as ticks, and percent from the lowest interval to the highest."""
    ks = sorted({k for curve in curves for k in curve.k})
    axes.set_xscale("log", base=2)
    axes.set_xlim(ks[0] / 1.12, ks[-1] * 1.12 if len(ks) > 1 else ks[0] * 2)
    axes.set_xticks(
        ks, ["" if right < _CROWDED * k else str(k) for k, right in zip(ks, [*ks[1:], math.inf], strict=True)]
    )
    axes.minorticks_off()
    low = min(100 * float(curve.low.min()) for curve in curves)
    high = max(100 * float(curve.high.max()) for curve in curves)
    margin = max(2.0, 0.06 * (high - low))
    axes.set_ylim(max(-2.0, low - margin), min(102.0, high + margin))
    note = "; open: all samples, nothing is decided there" if any(c.judged < len(c.k) for c in curves) else ""
    axes.set_xlabel(f"K: samples a problem (log scale{note})", color=_INK, fontsize=10)
    axes.set_ylabel(ylabel, color=_INK, fontsize=10)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=9.5, length=0)


def _names(axes: Any, curves: Sequence[Band], styles: Sequence[dict[str, Any]]) -> None:
    """Write each name and last value to the right of its curve's end, moved apart if they would overlap."""
    bottom, top = axes.get_ylim()
    ends = [(100 * float(curve.mean[-1]) - bottom) / (top - bottom) for curve in curves]
    for curve, style, height in zip(curves, styles, spread(ends, _LABEL_GAP), strict=True):
        axes.annotate(
            f"{curve.name}\n{100 * curve.mean[-1]:.1f}", (1.0, height), xycoords="axes fraction", xytext=(6, 0),
            textcoords="offset points", color=style["color"], fontsize=10, fontweight="bold", va="center",
            linespacing=1.05, annotation_clip=False, parse_math=False,
        )  # fmt: skip


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return positions near `heights`, in the same order, at least `gap` apart.

    Names that are too close form a run, which is centred on its mean height.
    """
    order = np.argsort(np.asarray(heights, dtype=np.float64), kind="stable")
    runs: list[list[int]] = []
    for index in order.tolist():
        runs.append([index])
        while len(runs) > 1 and _start(runs[-1], heights, gap) < _start(runs[-2], heights, gap) + gap * len(runs[-2]):
            last = runs.pop()
            runs[-1] += last
    positions = [math.nan] * len(heights)
    for run in runs:
        for i, index in enumerate(run):
            positions[index] = _start(run, heights, gap) + gap * i
    return positions


def _start(run: Sequence[int], heights: Sequence[float], gap: float) -> float:
    return sum(heights[i] for i in run) / len(run) - gap * (len(run) - 1) / 2
