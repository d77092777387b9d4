"""Learning curves and concentration: the metrics of a run by step, several runs over one another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from simko.report.page.chart import Axes, Line, bar_chart, line_chart, thinned
from simko.report.page.escape import line
from simko.report.page.glossary import meanings
from simko.report.page.source import RunData
from simko.report.page.table import numbers
from simko.sizes import ENTROPY_EDGES

MOST_POINTS, MOST_RUNS = 80, 7
_ROWS = 20
_SPAN = 10  # steps at the start and at the end of a run that a histogram is the mean of


@dataclass(frozen=True)
class Chart:
    """What a chart shows: metrics with their names, in the order of the lines; with several runs only the first of them."""

    title: str
    unit: str
    metrics: tuple[tuple[str, str], ...]
    percent: bool = False
    floor: float | None = None


LEARNING = (
    Chart("Reward and solve rate", "mean", (("reward", "reward"), ("solve_rate", "solve rate"))),
    Chart("Problems that teach something", "%", (("informative", "informative groups"),), percent=True, floor=0.0),
    Chart("Answers cut off, without an answer", "%", (("truncated", "cut off"), ("no_answer", "no answer")), True, 0.0),
    Chart("Length of an answer", "tokens", (("completion_tokens", "tokens"),)),
    Chart("Gradient", "norm", (("grad_norm", "gradient norm"),), floor=0.0),
)
_RANKS = tuple((f"logp_rank{i}", f"rank {i}") for i in range(1, 6))
CONCENTRATION = (
    Chart("Log-probability of ranks 1 to 5", "nats", (*_RANKS, ("logp_sampled", "sampled"))),
    Chart(
        "The same at gated tokens", "nats", tuple((f"gated_{key}", name) for key, name in (*_RANKS, ("logp_sampled", "sampled")))
    ),
    Chart(
        "Entropy", "nats", (("entropy", "all tokens"), ("gated_entropy", "gated"), ("right_entropy", "right answers"),
                            ("wrong_entropy", "wrong answers")), floor=0.0,
    ),
    Chart(
        "Sampled tokens that are the likeliest", "%",
        (("top1_fraction", "all tokens"), ("gated_top1_fraction", "gated"), ("right_top1_fraction", "right answers"),
         ("wrong_top1_fraction", "wrong answers")), percent=True,
    ),
    Chart("Candidates that hold 95 % of the mass", "tokens",
          (("candidates_95", "all tokens"), ("gated_candidates_95", "gated"))),
    Chart("Expected distinct next tokens of a group", "tokens",
          (("distinct_tokens", "all tokens"), ("gated_distinct_tokens", "gated"))),
    Chart("What the method did", "% of tokens",
          (("gate_fraction", "passed the gate"), ("shared_fraction", "shared"), ("punished_fraction", "punished"),
           ("clip_fraction", "clipped")), True, 0.0),
)  # fmt: skip


def learning(runs: Sequence[RunData]) -> str:
    """Section 3."""
    held_out = sorted({key for run in runs for row in run.metrics for key in row if re.fullmatch(r"heldout_pass_\d{1,6}", key)},
                      key=lambda key: int(key.rsplit("_", 1)[1]))  # fmt: skip
    charts = list(LEARNING)
    if held_out:
        names = tuple((key, f"pass@{key.rsplit('_', 1)[1]}") for key in held_out[:4])
        charts.insert(1, Chart("Held-out problems during training", "%", names, percent=True))
    return _charts(runs, charts)


def concentration(runs: Sequence[RunData]) -> str:
    """Section 4."""
    chart, table = _histogram(runs[0]) if len(runs) == 1 else ("", "")
    return _charts(runs, CONCENTRATION, chart) + table


def _charts(runs: Sequence[RunData], charts: Sequence[Chart], last: str = "") -> str:
    parts, used, names, size = [], [], [], 1
    for chart in charts:
        lines = []
        metrics = chart.metrics if len(runs) == 1 else chart.metrics[:1]
        columns = [(run, key, name, run.column(key)) for run in runs[:MOST_RUNS] for key, name in metrics]
        names += [key for _, key, _, points in columns if points]
        if len(runs) == 1 and _doubled(columns):
            columns = [(*columns[0][:2], " = ".join(name for _, name in metrics), columns[0][3])]
        for i, (run, key, name, points) in enumerate(columns):
            drawn, each = thinned(points, MOST_POINTS)
            size = max(size, each)
            if drawn:
                label = f"{name}, {chart.title.lower()}"
                used.append((run, key, label if len(runs) == 1 else f"{run.name}: {label}", points))
            lines.append(Line(name if len(runs) == 1 else run.name, drawn, i))
        title = chart.title if len(runs) == 1 or len(chart.metrics) == 1 else f"{chart.title}: {chart.metrics[0][1]}"
        unit = Axes("step", chart.unit, percent=chart.percent, floor=chart.floor)
        parts.append(line_chart(title, lines, unit, _told(lines, chart.percent)))
    parts.append(last)
    if not any(parts):
        return '<p class="note">No metrics of this kind were recorded.</p>'
    note = f'<p class="note">Each point is the mean of {size} steps.</p>' if size > 1 else ""
    if len(runs) > MOST_RUNS:
        note += f'<p class="note">The first {MOST_RUNS} of {len(runs)} runs are drawn.</p>'
    shown = meanings([*names, *(["entropy_hist_00"] if last else [])])
    return f'<div class="charts">{"".join(parts)}</div>{note}{_numbers(used)}{shown}'


def _doubled(columns: Sequence[tuple[RunData, str, str, list[tuple[float, float]]]]) -> bool:
    """Whether all lines of a chart lie on one another: the reward is often the solve rate."""
    return len(columns) > 1 and all(points == columns[0][3] for *_, points in columns[1:])


def _told(lines: Sequence[Line], percent: bool) -> str:
    factor = 100 if percent else 1
    ends = [f"{entry.name} from {factor * entry.points[0][1]:.3g} to {factor * entry.points[-1][1]:.3g}"
            for entry in lines if entry.points]  # fmt: skip
    return "; ".join(ends)


def _numbers(used: Sequence[tuple[RunData, str, str, list[tuple[float, float]]]]) -> str:
    steps = sorted({step for *_, points in used for step, _ in points})
    if not steps:
        return ""
    shown = sorted({steps[round(i * (len(steps) - 1) / (_ROWS - 1))] for i in range(_ROWS)})
    columns = list({(run.path, key): (label, dict(points)) for run, key, label, points in used}.values())
    rows = []
    for label, values in columns:
        rows.append([line(label), *(f"{values[step]:.4g}" if step in values else "–" for step in shown)])
    caption = "by step" if len(shown) == len(steps) else f"at {len(shown)} of {len(steps)} steps"
    return numbers(caption, ["metric", *(f"{step:.0f}" for step in shown)], rows)


def _histogram(run: RunData) -> tuple[str, str]:
    """The entropy of tokens at the start and at the end of the run: the chart and its numbers."""
    keys = [f"entropy_hist_{i:02}" for i in range(len(ENTROPY_EDGES) + 1)]
    rows = [row for row in run.metrics if all(isinstance(row.get(key), int | float) for key in keys)]
    if len(rows) < 2:
        return "", ""
    span = min(_SPAN, len(rows) // 2)
    means = [[sum(row[key] for row in part) / span for key in keys] for part in (rows[:span], rows[-span:])]
    labels = [f"<{ENTROPY_EDGES[0]:g}", *(f"{edge:g}" for edge in ENTROPY_EDGES)]
    labels[-1] = f"≥{ENTROPY_EDGES[-1]:g}"
    names = [f"first {span} steps", f"last {span} steps"]
    series = [(names[0], -1, means[0]), (names[1], 0, means[1])]
    chart = bar_chart("Tokens by entropy (nats, from the number on)", labels, series, "tokens (%)")
    table = [[labels[i], f"{100 * means[0][i]:.1f}", f"{100 * means[1][i]:.1f}"] for i in range(len(labels))]
    return chart, numbers("tokens by entropy in percent", ["nats", *names], [[line(row[0]), *row[1:]] for row in table])
