"""Charts as SVG, drawn here: lines with bands over a linear or a log2 axis, bars, and points. Colours are the page's classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from simko.report.page.escape import esc, line

WIDTH, HEIGHT = 360, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 24, 36
COLOURS = 7


@dataclass(frozen=True)
class Line:
    """A line of a chart: points in the order of x. `look` is its number, -1 for the base model. `band`: (x, low, high)."""

    name: str
    points: Sequence[tuple[float, float]]
    look: int = 0
    band: Sequence[tuple[float, float, float]] = ()
    steps: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Axes:
    """Names and scales: `log` is log2 of x; `percent` writes y in percent; `floor` and `roof` are in the picture at least."""

    x: str
    y: str
    log: bool = False
    percent: bool = False
    percent_x: bool = False
    floor: float | None = None
    roof: float | None = None


def line_chart(title: str, lines: Sequence[Line], axes: Axes, about: str = "") -> str:
    """A chart with its legend as a `<figure>`; empty without a point. `about` says in words what it shows."""
    lines = [entry for entry in lines if entry.points]
    if not lines:
        return ""
    xs = [x for entry in lines for x, _ in entry.points]
    ys = [y for entry in lines for _, y in entry.points]
    ys += [end for entry in lines for _, low, high in entry.band for end in (low, high)]
    scale = _Scale.of(xs, ys, axes)
    parts = [_frame(scale, axes, sorted({*xs}) if axes.log else [])]
    for entry in lines:
        if entry.band:
            forth = [scale.at(x, high) for x, _, high in entry.band]
            back = [scale.at(x, low) for x, low, _ in reversed(entry.band)]
            parts.append(f'<polygon class="band {look(entry.look)}" points="{" ".join([*forth, *back])}"/>')
    for entry in lines:
        kind = look(entry.look)
        parts.append(f'<polyline class="line {kind}" points="{" ".join(_path(scale, entry))}"/>')
        if entry.dots and len(entry.points) <= 24:
            parts += [_dot(*scale.xy(x, y), entry.look) for x, y in entry.points]
    return figure(title, "".join(parts), [(entry.name, entry.look) for entry in lines], about)


def point_chart(title: str, points: Sequence[tuple[str, int, float, float, bool]], axes: Axes, about: str = "") -> str:
    """Points by (name, look, x, y, large); the large ones have a number, and the legend says whose it is."""
    if not points:
        return ""
    scale = _Scale.of([p[2] for p in points], [p[3] for p in points], axes)
    drawn: list[str] = []
    legend: list[tuple[str, int]] = []
    for name, kind, x, y, large in sorted(points, key=lambda point: point[4]):
        px, py = scale.xy(x, y)
        drawn.append(_dot(px, py, kind, 5.0 if large else 2.2))
        if large:
            legend.append((f"{len(legend) + 1} {name}", kind))
            drawn.append(f'<text class="small mid" x="{px:.1f}" y="{py - 7:.1f}">{len(legend)}</text>')
    return figure(title, _frame(scale, axes, []) + "".join(drawn), legend, about)


def bar_chart(title: str, labels: Sequence[str], series: Sequence[tuple[str, int, Sequence[float]]], y: str) -> str:
    """Bars side by side for each label."""
    values = [value for _, _, row in series for value in row]
    if not values:
        return ""
    scale = _Scale.of([0, len(labels)], [0.0, *values], Axes("", y, percent=True, floor=0.0))
    parts = [_frame(scale, Axes("", y, percent=True), [], ticks=False)]
    slot = scale.width / len(labels)
    wide = 0.8 * slot / len(series)
    for i, name in enumerate(labels):
        left = _LEFT + i * slot + 0.1 * slot
        for j, (_, kind, row) in enumerate(series):
            top, bottom = scale.xy(0, row[i])[1], scale.xy(0, 0.0)[1]
            parts.append(
                f'<rect class="bar {look(kind)}" x="{left + j * wide:.1f}" y="{top:.1f}" width="{wide:.1f}" '
                f'height="{max(0.0, bottom - top):.1f}"/>'
            )
        parts.append(
            f'<text x="{left + 0.4 * slot:.1f}" y="{HEIGHT - _BOTTOM + 15}" class="mid small">{esc(name)}</text>'
        )
    return figure(title, "".join(parts), [(name, kind) for name, kind, _ in series])


def figure(title: str, inner: str, legend: Sequence[tuple[str, int]], about: str = "") -> str:
    """An SVG with a title that screen readers read, and its legend as text."""
    names = "".join(f'<li><span class="key {look(kind)}"></span>{line(name, 60)}</li>' for name, kind in legend)
    description = f"<desc>{esc(about)}</desc>" if about else ""
    return (
        f'<figure><figcaption>{line(title)}</figcaption><ul class="legend">{names}</ul>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{line(title + (": " + about if about else ""), 400)}">'
        f"<title>{line(title)}</title>{description}{inner}</svg></figure>"
    )


def look(number: int) -> str:
    """The class of a colour and a dash; -1 is the base model's."""
    return "cb" if number < 0 else f"c{number % COLOURS}"


def _dot(x: float, y: float, kind: int, radius: float = 3.2) -> str:
    return f'<circle class="dot {look(kind)}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def _path(scale: _Scale, entry: Line) -> list[str]:
    if not entry.steps:
        return [scale.at(x, y) for x, y in entry.points]
    path: list[str] = []
    for i, (x, y) in enumerate(entry.points):
        if i:
            path.append(scale.at(entry.points[i - 1][0], y))
        path.append(scale.at(x, y))
    return path


@dataclass(frozen=True)
class _Scale:
    """From values to places in the picture."""

    left: float
    right: float
    low: float
    high: float
    log: bool
    width: float = WIDTH - _LEFT - _RIGHT

    @classmethod
    def of(cls, xs: Sequence[float], ys: Sequence[float], axes: Axes) -> _Scale:
        low = min([*ys, *([] if axes.floor is None else [axes.floor])])
        high = max([*ys, *([] if axes.roof is None else [axes.roof])])
        room = 0.06 * (high - low) or abs(high) * 0.1 or 0.5
        low = low if low == axes.floor else low - room
        high = high if high == axes.roof else high + room
        left, right = (math.log2(max(x, 1e-9)) if axes.log else x for x in (min(xs), max(xs)))
        return cls(left, right if right > left else left + 1, low, high, axes.log)

    def xy(self, x: float, y: float) -> tuple[float, float]:
        at = math.log2(max(x, 1e-9)) if self.log else x
        share = (at - self.left) / (self.right - self.left)
        return _LEFT + share * self.width, HEIGHT - _BOTTOM - self.part(y) * (HEIGHT - _TOP - _BOTTOM)

    def part(self, y: float) -> float:
        return (y - self.low) / (self.high - self.low)

    def at(self, x: float, y: float) -> str:
        px, py = self.xy(x, y)
        return f"{px:.1f},{py:.1f}"


def _frame(scale: _Scale, axes: Axes, ks: Sequence[float], ticks: bool = True) -> str:
    parts = []
    for value in round_ticks(scale.low, scale.high):
        y = scale.xy(0 if not scale.log else 1, value)[1]
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        label = f"{100 * value:.10g}" if axes.percent else f"{value:.6g}"
        parts.append(f'<text class="end" x="{_LEFT - 6}" y="{y + 4:.1f}">{label.replace("-", "−")}</text>')
    if ticks:
        last = -99.0
        for value in ks or round_ticks(scale.left, scale.right, 6):
            x = scale.xy(value, scale.low)[0]
            if x - last < 26:
                continue
            last = x
            label = f"{100 * value:.6g}" if axes.percent_x else f"{value:.6g}"
            parts.append(f'<text class="mid" x="{x:.1f}" y="{HEIGHT - _BOTTOM + 15}">{label.replace("-", "−")}</text>')
    parts.append(f'<text class="mid" x="{_LEFT + scale.width / 2:.1f}" y="{HEIGHT - 4}">{esc(axes.x)}</text>')
    parts.append(f'<text x="2" y="12">{esc(axes.y)}</text>')
    return "".join(parts)


def round_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most about `most` round numbers from `low` to `high`."""
    rough = (high - low) / most
    if not rough > 1e-12 * max(abs(low), abs(high), 1e-200) or not math.isfinite(rough):
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def thinned(points: Sequence[tuple[float, float]], most: int) -> tuple[list[tuple[float, float]], int]:
    """At most `most` points, each the mean of as many neighbours as the returned number says."""
    size = -(-len(points) // most) if points else 1
    out = []
    for start in range(0, len(points), max(size, 1)):
        part = points[start : start + size]
        out.append((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)))
    return out, max(size, 1)
