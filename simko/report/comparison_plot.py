"""Pictures of a comparison: pass@K of each arm, and the paired differences that its words come from; a panel an arm."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simko.report.bands import Band
from simko.report.comparison import as_band
from simko.report.comparison_table import band_line, describe, sizes
from simko.report.labels import label
from simko.report.plot import BASE_COLOUR, COLOURS, MARKERS

INK, GRID, FAINT = "#222222", "#DDDDDD", "#555555"
DPI = 150
_COLUMNS = 4
_PANEL = 3.0, 2.5  # inches
_HEAD, _FOOT, _SIDE, _TITLE = 0.72, 0.42, 0.55, 0.56  # inches around the panels
_TITLE_LENGTH, _WORDS_LENGTH = 30, 46  # characters that fit above a panel


def draw_pass(result: Mapping[str, Any]) -> bytes:
    """Draw pass@K with its band, each arm beside its base (dashed grey) and the reference (dotted); the bytes of a PNG."""
    arms = [arm for arm in result["arms"] if arm["against_base"] or arm["trained"]] or list(result["arms"])
    figure, panels = _sheet(result, "pass@K", arms, "pass@K (%)")
    by_name = {arm["name"]: arm for arm in result["arms"]}
    others = [name for name in (result["reference"],) if name]
    shown = [as_band(arm["name"], arm["pass_at_k"]) for arm in result["arms"]]
    limits = 100 * min(float(b.low.min()) for b in shown), 100 * max(float(b.high.max()) for b in shown)
    looks = styles(result)
    for axes, arm in zip(panels, arms, strict=True):
        base = (arm["against_base"] or {}).get("arm")
        if base:
            _line(axes, as_band(base, by_name[base]["pass_at_k"]), color=BASE_COLOUR, linestyle=(0, (4, 2)), marker="")
        for name in others:
            if name not in (arm["name"], base):
                _line(axes, as_band(name, by_name[name]["pass_at_k"]), color=INK, linestyle=(0, (1, 1.5)), marker="")
        _banded(axes, as_band(arm["name"], arm["pass_at_k"]), looks[arm["name"]])
        _title(axes, arm, [_subtitle(arm)])
        _limits(axes, result["k"], limits)
    _key(figure, result, [("dashed grey: the base", BASE_COLOUR)] + [(f"dotted: {label(o, 24)}", INK) for o in others])
    return png(figure)


def draw_differences(result: Mapping[str, Any]) -> bytes:
    """Draw each arm's paired differences, to its base (grey) and to the reference (colour), with the bands that decide.

    Raises:
        ValueError: there is no difference.
    """
    arms = [arm for arm in result["arms"] if arm["against_base"] or arm["against_reference"]]
    if not arms:
        raise ValueError("no difference to draw")
    figure, panels = _sheet(result, "Paired differences of pass@K", arms, "difference (points)")
    gaps = [gap for arm in arms for gap in (arm["against_base"], arm["against_reference"]) if gap]
    bands = [as_band("", gap) for gap in gaps]
    most = 10 + 300 * max(
        float(np.abs(b.mean).max()) for b in bands
    )  # wider bands leave the panel: they decide nothing
    low, high = 100 * min(float(b.low.min()) for b in bands), 100 * max(float(b.high.max()) for b in bands)
    limits = max(-most, low), min(most, high)
    looks = styles(result)
    for axes, arm in zip(panels, arms, strict=True):
        axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
        for gap, look in ((arm["against_base"], _grey()), (arm["against_reference"], looks[arm["name"]])):
            if gap:
                _banded(axes, as_band(gap["arm"], gap), look)
        both = [gap for gap in (arm["against_base"], arm["against_reference"]) if gap]
        _title(axes, arm, [f"to {label(gap['arm'], 16)}: {gap['words']}" for gap in both])
        _limits(axes, result["k"], limits)
    key = [("grey: to its base", BASE_COLOUR)]
    if result["reference"]:
        key.append((f"colour: to {label(result['reference'], 24)}", INK))
    _key(figure, result, key)
    return png(figure)


def styles(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A colour and a marker for each arm, the same in every picture; base models are grey stars."""
    looks: dict[str, dict[str, Any]] = {}
    used = 0
    for arm in result["arms"]:
        if not arm["trained"]:
            looks[arm["name"]] = {"color": BASE_COLOUR, "marker": "*", "linestyle": "-"}
            continue
        colour, marker = COLOURS[used % len(COLOURS)], MARKERS[(used + used // len(COLOURS)) % len(MARKERS)]
        looks[arm["name"]] = {"color": colour, "marker": marker, "linestyle": "-"}
        used += 1
    return looks


def png(figure: Figure) -> bytes:
    """The figure as a PNG; the same figure gives the same bytes."""
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def headline(figure: Figure, title: str, subtitle: str) -> None:
    """Write a title and a line below it at the top left, in smaller letters where they would not fit."""
    width, height = (float(x) for x in figure.get_size_inches())
    for text, size, top, weight in ((title, 12.0, 0.12, "bold"), (subtitle, 9.0, 0.36, "normal")):
        size *= min(1.0, width * 72 / (0.62 * size) / max(1, len(text)))
        figure.text(
            0.12 / width, 1 - top / height, text, fontsize=size, va="top", fontweight=weight, parse_math=False,
            color=INK if weight == "bold" else FAINT,
        )  # fmt: skip


def _sheet(result: Mapping[str, Any], what: str, arms: Sequence[Any], ylabel: str) -> tuple[Figure, list[Any]]:
    columns = min(_COLUMNS, max(1, len(arms)))
    rows = math.ceil(len(arms) / columns)
    panel = _PANEL[0] * (2 if columns == 1 else 1)  # one panel has the width of two: the headline needs it
    width, height = _SIDE + columns * panel + 0.1, _HEAD + rows * _PANEL[1] + _FOOT
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    panels = []
    for i in range(len(arms)):
        row, column = divmod(i, columns)
        left, top = _SIDE + column * panel + 0.12, _HEAD + row * _PANEL[1] + _TITLE
        panel_height = _PANEL[1] - _TITLE - 0.3
        bottom = 1 - (top + panel_height) / height
        axes = figure.add_axes((left / width, bottom, (panel - 0.42) / width, panel_height / height))
        _look(axes)
        if column == 0:
            axes.set_ylabel(ylabel, color=INK, fontsize=9)
        panels.append(axes)
    headline(figure, f"{what}: {describe(result)}", f"{sizes(result)}; {band_line(result)}")
    return figure, panels


def _look(axes: Any) -> None:
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8.5, length=0)


def _limits(axes: Any, ks: Sequence[int], limits: tuple[float, float]) -> None:
    low, high = limits
    margin = max(1.0, 0.05 * (high - low))
    axes.set_xscale("log", base=2)
    axes.set_xlim(ks[0] / 1.15, ks[-1] * 1.15 if len(ks) > 1 else ks[0] * 2)
    shown = [k for k in (1, 8, 64, 512, 4096) if k < ks[-1] / 2.5] + [ks[-1]]
    axes.set_xticks(shown, [str(k) for k in shown])
    axes.minorticks_off()
    axes.set_ylim(low - margin, high + margin)
    if len(ks) > 1:  # the noisy last point
        axes.axvspan((ks[-2] * ks[-1]) ** 0.5, ks[-1] * 1.15, color="#F2F2F2", linewidth=0, zorder=0)


def _banded(axes: Any, curve: Band, style: Mapping[str, Any]) -> None:
    axes.fill_between(curve.k, 100 * curve.low, 100 * curve.high, color=style["color"], alpha=0.16, linewidth=0)
    _line(axes, curve, **style)


def _line(axes: Any, curve: Band, **style: Any) -> None:
    axes.plot(curve.k, 100 * np.asarray(curve.mean), linewidth=1.6, markersize=4, **style)


def _grey() -> dict[str, Any]:
    return {"color": BASE_COLOUR, "marker": "", "linestyle": (0, (4, 2))}


def _subtitle(arm: Mapping[str, Any]) -> str:
    curve = arm["pass_at_k"]["curve"]
    first, last = next(iter(curve)), list(curve)[-1]
    return f"pass@{first} {100 * curve[first][0]:.1f}, pass@{last} {100 * curve[last][0]:.1f}"


def _title(axes: Any, arm: Mapping[str, Any], lines: Sequence[str]) -> None:
    """The arm's name and up to two lines above its panel, at sizes that fit its width."""
    name = f"{label(arm['name'], 22)} (counts by others)" if arm["foreign"] else label(arm["name"], 40)
    rows = [(line, 7.5, _WORDS_LENGTH, 4 + 10 * i, "normal") for i, line in enumerate(reversed(lines))]
    for text, size, fits, offset, weight in [*rows, (name, 10.0, _TITLE_LENGTH, 6 + 10 * len(lines), "bold")]:
        axes.annotate(
            text, (0, 1), xycoords="axes fraction", xytext=(0, offset), textcoords="offset points", va="bottom",
            fontsize=size * min(1.0, fits / max(1, len(text))), color=INK if weight == "bold" else FAINT, fontweight=weight,
            parse_math=False, annotation_clip=False,
        )  # fmt: skip


def _key(figure: Figure, result: Mapping[str, Any], entries: Sequence[tuple[str, str]]) -> None:
    width, height = (float(x) for x in figure.get_size_inches())
    text = "; ".join(entry for entry, _ in entries)
    shaded = "; shaded end: K = n, which is noisy" if len(result["k"]) > 1 else ""
    size = 8.5 * min(1.0, width * 72 / (0.55 * 8.5) / max(1, len(text + shaded) + 40))
    figure.text(
        0.12 / width, 0.16 / height, f"K: samples a problem (log scale). {text[:1].upper()}{text[1:]}{shaded}.",
        fontsize=size, color=FAINT, va="bottom", parse_math=False,
    )  # fmt: skip
