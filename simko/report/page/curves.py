"""pass@K before and after: in words, as a curve beside the base model's, and the curve of covered problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simko.report.comparison_table import band_line, describe, doubts
from simko.report.page.chart import Axes, Line, line_chart, point_chart
from simko.report.page.escape import esc, line
from simko.report.page.table import html_table, interval, numbers, percent

_MOST_LINES = 8
_MOST_CARDS = 3


def before_after(result: Mapping[str, Any]) -> str:
    """Section 1: pass@1 and pass@K before and after, with bands, and what the bands decide."""
    ks = list(dict.fromkeys((1, result["half_k"], result["k"][-1])))
    by_name = {arm["name"]: arm for arm in result["arms"]}
    parts = []
    gaps = [arm for arm in result["arms"] if arm["trained"] and arm["against_base"]]
    if len(gaps) > _MOST_CARDS:
        parts.append(_table(result, gaps, by_name, ks))
    for arm in gaps if len(gaps) <= _MOST_CARDS else ():
        gap, base = arm["against_base"], by_name[arm["against_base"]["arm"]]
        cards = "".join(_card(arm, base, gap, k, k > 1 and k == result["k"][-1]) for k in ks)
        loss = gap["first_loss"]["words"]
        parts.append(
            f'<h3>{line(arm["name"])} <small>beside {line(base["name"])}</small></h3><div class="cards">{cards}</div>'
            f"<p><strong>{esc(gap['words'][:1].upper() + gap['words'][1:])}.</strong> {esc(loss[:1].upper() + loss[1:])}.</p>"
        )
    if not gaps:
        parts.append("<p>There is no base model beside this: nothing says what training changed.</p>")
    reference = [arm for arm in result["arms"] if arm["against_reference"]]
    if reference:
        rows = [
            [line(arm["name"]), esc(arm["against_reference"]["words"]), _holm(arm["against_reference"])]
            for arm in reference
        ]
        parts.append(html_table(f"Against {line(result['reference'])}", ["arm", "the band", "Holm p"], rows))
    points = [f"<li>{esc(text)}</li>" for text in [band_line(result), *doubts(result)]]
    return "".join(parts) + f'<p class="note">{esc(describe(result))}</p><ul class="note">{"".join(points)}</ul>'


def _table(
    result: Mapping[str, Any], gaps: Sequence[Mapping[str, Any]], by_name: Mapping[str, Any], ks: Sequence[int]
) -> str:
    """A row for each of many arms."""
    rows = []
    for arm in gaps:
        gap = arm["against_base"]
        row = [f"{line(arm['name'])} <small>beside {line(gap['arm'])}</small>"]
        for k in map(str, ks):
            before, after = by_name[gap["arm"]]["pass_at_k"]["curve"][k], arm["pass_at_k"]["curve"][k]
            kind = _KIND.get(gap["decisions"][k], "open")
            mark = f'<b class="mark">{_MARK[kind]} {esc(gap["decisions"][k])}</b>'
            row.append(f'<span class="{kind}">{percent(before[0])} → {percent(after[0])}<br>{mark}</span>')
        rows.append([*row, esc(gap["words"]), esc(gap["first_loss"]["words"])])
    heads = [f"pass@{k}{'*' if k > 1 and k == result['k'][-1] else ''}, before → after (%)" for k in ks]
    return html_table("Every arm beside its base model", ["arm", *heads, "in words", "first loss"], rows)


_KIND = {"better": "better", "worse": "worse"}


def _card(arm: Mapping[str, Any], base: Mapping[str, Any], gap: Mapping[str, Any], k: int, noisy: bool) -> str:
    key = str(k)
    before, after = base["pass_at_k"]["curve"][key], arm["pass_at_k"]["curve"][key]
    change, verdict = gap["curve"][key], gap["decisions"][key]
    kind = _KIND.get(verdict, "open")
    sign = "+" if change[0] >= 0 else "−"
    return (
        f'<div class="card {kind}"><p class="what">pass@{k}{"*" if noisy else ""}</p>'
        f'<p class="big">{percent(before[0])} → {percent(after[0])}&nbsp;%</p>'
        f'<p><b class="mark">{_MARK[kind]} {esc(verdict)}</b></p>'
        f"<p><small>change {sign}{percent(abs(change[0]))} points, band [{_points(change[1])}, {_points(change[2])}]</small></p>"
        f"<p><small>before [{percent(before[1])}, {percent(before[2])}], after [{percent(after[1])}, {percent(after[2])}]</small>"
        "</p></div>"
    )


_MARK = {"better": "▲", "worse": "▼", "open": "■"}


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _holm(gap: Mapping[str, Any]) -> str:
    return f"{gap['holm_p_value']:.2g}" if "holm_p_value" in gap else "–"


def pass_curve(result: Mapping[str, Any]) -> str:
    """Section 2: the curve with the base model's, and for several arms the frontier."""
    looks = arm_looks(result)
    arms = result["arms"]
    drawn = arms if len(arms) <= _MOST_LINES else [arm for arm in arms if not arm["trained"]][:1] + _spread(arms)
    with_bands = len(drawn) <= 3
    numbered = [arm["name"] for arm in drawn if arm["trained"]]  # colours of their own, whatever their place among all
    lines = [_line_of(arm, numbered.index(arm["name"]) if arm["trained"] else -1, with_bands) for arm in drawn]
    unit = Axes("K: samples a problem (log scale)", "pass@K (%)", log=True, percent=True)
    about = "; ".join(f"{arm['name']}: {percent(arm['pass_at_k']['curve']['1'][0])} % at K = 1" for arm in drawn)
    chart = line_chart("pass@K", lines, unit, about)
    rows = [[str(k), *(interval(arm["pass_at_k"]["curve"][str(k)]) for arm in arms)] for k in result["k"]]
    trained = [arm for arm in arms if arm["trained"]]
    frontier = _frontier(result, looks) if len(trained) > 1 and len(result["k"]) > 1 else ""
    parts = [
        f'<div class="charts">{chart}{frontier}</div>' if frontier else chart,
        numbers("pass@K in percent, with bands", ["K", *(line(arm["name"]) for arm in arms)], rows),
    ]
    if len(drawn) < len(arms):
        parts.append(f'<p class="note">{len(drawn)} of {len(arms)} arms are drawn; the table has all.</p>')
    return "".join(parts)


def _spread(arms: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The arms with the most and the least pass@1, and some between them."""
    trained = sorted((arm for arm in arms if arm["trained"]), key=lambda arm: arm["pass_at_k"]["curve"]["1"][0])
    places = sorted({round(i * (len(trained) - 1) / (_MOST_LINES - 2)) for i in range(_MOST_LINES - 1)})
    return [trained[i] for i in places]


def _line_of(arm: Mapping[str, Any], look: int, with_band: bool) -> Line:
    curve = [(int(k), row) for k, row in arm["pass_at_k"]["curve"].items()]
    band = [(float(k), row[1], row[2]) for k, row in curve] if with_band else ()
    return Line(arm["name"], [(float(k), row[0]) for k, row in curve], look, band, dots=True)


def arm_looks(result: Mapping[str, Any]) -> dict[str, int]:
    """A colour for each arm; base models have their own."""
    looks: dict[str, int] = {}
    for arm in result["arms"]:
        looks[arm["name"]] = sum(look >= 0 for look in looks.values()) if arm["trained"] else -1
    return looks


def _frontier(result: Mapping[str, Any], looks: Mapping[str, int]) -> str:
    k = str(result["half_k"])
    points = []
    for arm in result["arms"]:
        seeds = [(point["pass_at_k"]["1"], point["pass_at_k"][k]) for point in arm["seeds"]]
        points += [(arm["name"], looks[arm["name"]], x, y, False) for x, y in seeds if len(seeds) > 1]
        curve = arm["pass_at_k"]["curve"]
        points.append((arm["name"], looks[arm["name"]], curve["1"][0], curve[k][0], True))
    unit = Axes("pass@1 (%)", f"pass@{k} (%)", percent=True, percent_x=True)
    return point_chart(
        f"Frontier: pass@1 against pass@{k}", points, unit, "Up and to the right is better. Small: seeds."
    )


def cover(result: Mapping[str, Any]) -> str:
    """Section 8: the share of problems that are solved at least so often."""
    looks = arm_looks(result)
    arms = result["arms"] if len(result["arms"]) <= _MOST_LINES else result["arms"][:_MOST_LINES]
    lines = [Line(arm["name"], _mean_cover(arm), looks[arm["name"]], steps=True) for arm in arms]
    unit = Axes(
        "solve rate of a problem, at least (%)", "problems (%)", percent=True, percent_x=True, floor=0.0, roof=1.0
    )
    chart = line_chart("Cover: problems solved at least so often", lines, unit)
    rows = [[line(arm["name"]), *(interval(row) for row in arm["cover"].values())] for arm in result["arms"]]
    taus = [f"at least {100 * float(tau):.0f} %" for tau in result["arms"][0]["cover"]]
    table = html_table("Problems in percent by their measured solve rate", ["arm", *taus], rows, "num")
    return (
        "<p>pass@K averages this curve: many samples need only its left end, one sample needs all of it.</p>"
        + chart
        + table
    )


def _mean_cover(arm: Mapping[str, Any], steps: int = 40) -> list[tuple[float, float]]:
    """The mean over seeds, at the rates that a seed has, or at equal steps where they are many."""
    curves = [point["cover_curve"] for point in arm["seeds"]]
    taus = sorted({0.0, 1.0, *(rate for curve in curves for rate in curve["rate"])})
    if len(taus) > steps:
        taus = [i / steps for i in range(steps + 1)]
    means = []
    for tau in taus:
        at = [_share_at(curve, tau) for curve in curves]
        means.append((tau, float(np.mean(at))))
    return means


def _share_at(curve: Mapping[str, Any], tau: float) -> float:
    place = int(np.searchsorted(np.asarray(curve["rate"]), tau - 1e-9))
    return float(curve["share"][place]) if place < len(curve["share"]) else 0.0
