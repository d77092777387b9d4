"""The dashboard of `simko watch`: how far a run is, what it learns, how its probability is spread, and what is going wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console, RenderableType
from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from simko.console import duration, one_line
from simko.report.terminal.history import LEARNING, RANKS, SPREAD, History
from simko.report.terminal.numbers import percent, short
from simko.report.terminal.series import BARS, PLAIN_BARS, Series, bars
from simko.report.terminal.state import State

GLOSSARY = "docs/reference/metrics.md"
STATUS_STYLES = {
    "waiting": "yellow", "starting": "yellow", "running": "bold green", "evaluating": "bold cyan", "finished": "bold green",
    "stopped": "bold yellow", "failed": "bold red", "died": "bold red",
}  # fmt: skip
_SHARES = ("solve_rate", "informative", "truncated", "top1_fraction")
_MOST_ALARMS = 4
_STILL = 10.0  # a run that takes that many times its usual step, and a minute, is said to stand still


def dashboard(state: State, history: History, console: Console, now: float | None = None) -> RenderableType:
    """Everything, for the width of the console. `now` in seconds since 1970."""
    now = time.time() if now is None else now
    is_utf = console.encoding.lower().startswith("utf")
    ramp = BARS if is_utf else PLAIN_BARS
    parts: list[RenderableType] = [_title(state), _progress(state, history, console.width, is_utf)]
    if still := _stands_still(state, history, now):
        parts.append(Text(still, "yellow"))
    parts += _alarms(history)  # high up: a low terminal cuts off the end
    if history.step:
        width = max(8, min(72, console.width - 46))
        parts += [Text(), _histories("learning", LEARNING, history.series, width, ramp)]
        shown = [name for name in (*RANKS, *SPREAD) if history.series[name].last is not None]
        if shown:
            parts += [Text(), _histories("concentration", shown, history.series, width, ramp)]
        if history.held_out:
            held_out = {f"pass@{k}": series for k, series in sorted(history.held_out.items())}
            parts += [Text(), _histories(f"held-out, step {history.looked}", list(held_out), held_out, width, ramp)]
    if state.results:
        parts += [Text(), *_results(state)]
    parts += [Text(), *_places(state)]
    return Lines(*parts)


def _title(state: State) -> Text:
    line = Text.assemble((state.status, STATUS_STYLES[state.status]), "  ", (one_line(str(state.path)), "bold"))
    if state.reason:
        line.append(f"\n{one_line(state.reason)[:200]}")
    if model := state.setting("model"):
        method, env = state.setting("algorithm") or "?", state.setting("env")
        line.append(f"\n{one_line(method)} on {one_line(env)}: {one_line(model.rstrip('/').rsplit('/', 1)[-1])}", "dim")
    return line


def _progress(state: State, history: History, width: int, is_utf: bool) -> Text:
    total, step = state.steps, history.step
    if not step and state.status in ("waiting", "starting"):
        return Text(
            "waiting for the run: there is no such folder yet" if not state.path.exists() else "no step is recorded yet"
            + (": the model loads, and answers of the preflight are sampled" if state.status == "starting" else ""),
            "yellow",
        )  # fmt: skip
    said = f"step {step:,}" + (f" of {total:,}" if total else "")
    each = history.seconds_a_step
    if each is not None:
        said += f"  {short(each)} s a step"
    left = history.seconds_left(total)
    if left is not None and state.status == "running" and step < total:
        said += f"  {duration(left)} left"
    share = min(1.0, step / total) if total else 0.0
    cells = max(10, min(40, width - len(said) - 10))
    done = round(share * cells)
    full, empty = ("━", "─") if is_utf else ("#", "-")
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(full * done, "bold green")
    line.append(empty * (cells - done), "dim")
    return line.append(f" {share:4.0%}  {said}")


def _stands_still(state: State, history: History, now: float) -> str:
    each = history.seconds_a_step
    if state.status != "running" or each is None:
        return ""
    try:
        since = now - (state.path / "metrics.jsonl").stat().st_mtime
    except OSError:
        return ""
    if since < max(60.0, _STILL * each):
        return ""
    return f"no step for {duration(since)}; one usually takes {duration(each)}"


def _histories(title: str, names: Sequence[str], series: Mapping[str, Series], width: int, ramp: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=max(18, len(title)), no_wrap=True)
    table.add_column(justify="right", width=8)
    table.add_column(justify="right", style="dim", width=16, no_wrap=True)
    table.add_column(width=width, no_wrap=True)
    table.add_row(Text(title, "bold"), Text("now", "dim"), "low to high", "")
    for name in names:
        of = series[name]
        if of.last is None:
            continue
        show = percent if name in _SHARES or name.startswith("pass@") else short
        bounds = f"{show(of.low)} to {show(of.high)}".replace(" % to", " to")
        table.add_row(name, Text(show(of.last), "bold"), bounds, Text(bars(of.means(width), ramp), "cyan"))
    return table


def _results(state: State) -> list[Text]:
    lines = [Text("evaluations on held-out problems", "bold")]
    for result in state.results[-3:]:
        passed, base = result["pass_at_k"], result["base"]
        ends = dict.fromkeys((min(passed), max(passed)))
        said = [f"pass@{k} {percent(passed[k])}" + (f" (base {percent(base[k])})" if k in base else "") for k in ends]
        step = "" if result["step"] is None else f"step {result['step']}: "
        lines.append(Text(f"{step}{', '.join(said)}"))
    return lines


def _alarms(history: History) -> list[Text]:
    if not history.alarms:
        return [Text("no alarm", "dim")] if history.step else []
    newest = list(history.alarms)[-_MOST_ALARMS:]
    lines = [Text()]
    for alarm in reversed(newest):
        line = Text.assemble((f"alarm at step {alarm.step}: {alarm.name}", "bold red"), f": {one_line(alarm.seen)}")
        lines += [line, Text(f"    {one_line(alarm.remedy)}", "dim")]
    return lines


def _places(state: State) -> list[Text]:
    """Where the last checkpoint and the scalars are, and what the names mean."""
    out = []
    if state.checkpoints:
        best = f", best: step {state.best}" if state.best is not None else ""
        out.append(f"checkpoint: step {state.checkpoints[-1]}{best}")
    elif state.config:
        out.append("checkpoint: none yet")
    logger = state.setting("logger")
    shown = Path(one_line(str(state.path)))
    places = {
        "tensorboard": f"tensorboard --logdir {shown / 'tensorboard'}",
        "wandb": f"W&B, its files in {shown / 'wandb'}, or where WANDB_DIR says",
        "trackio": "trackio show --project simko",
    }
    if logger in places:
        out.append(f"logger: {places[logger]}")
    out.append(f"log: {shown / 'metrics.jsonl'}; what the names mean: {GLOSSARY}")
    return [Text(line, "dim") for line in out]
