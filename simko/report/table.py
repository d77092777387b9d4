"""The table of an evaluation in the terminal: pass@K with intervals, the base model beside it, and how it was sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.text import Text

from simko.console import table
from simko.report.passk import format_k

INTERVAL = "95 % bootstrap interval over problems"


def evaluation_table(result: Mapping[str, Any]) -> Group:
    """A result of `simko.evaluate.evaluate` for `console.print`: what was measured and how, the table, what to make of it."""
    interval = f"percent; [ ] {INTERVAL}" + ("; of the difference: paired" if result.get("base") else "")
    parts = [Text(describe_sampling(result), style="bold"), Text(""), Text(_pass_table(result)), Text("")]
    return Group(*parts, Text(interval), *map(Text, conclusions(result)))


def describe_sampling(result: Mapping[str, Any]) -> str:
    """Name in one line model, environment, problems, samples and sampling. Compare two curves only if these agree."""
    return f"{model_name(result)} on {result['env']} ({held_out(result)}): {sampling(result)}, seed {result['seed']}"


def sampling(result: Mapping[str, Any]) -> str:
    """Name problems, samples, temperature and top-p."""
    return (
        f"{result['problems']} problems x {result['n']} samples, "
        f"temperature {result['temperature']:g}, top-p {result['top_p']:g}"
    )


def model_name(result: Mapping[str, Any]) -> str:
    """Name the model, and the method and step that trained it."""
    method, step = result.get("algorithm"), result.get("step")
    parts = [part for part in (method, None if step is None else f"step {step}") if part]
    if not parts and result.get("adapter"):
        parts = ["adapter"]
    return f"{_short(result['model'])} + {', '.join(parts)}" if parts else _short(result["model"])


def trained_name(result: Mapping[str, Any]) -> str:
    """Return a short name for the evaluated side: its method, else 'trained'. An untrained model has its own name."""
    if not (result.get("adapter") or result.get("base")):
        return _short(result["model"])
    return str(result.get("algorithm") or "trained")


def held_out(result: Mapping[str, Any]) -> str:
    """Say 'held-out' and which part, or how many of the problems were seen in training."""
    overlap, part = result.get("overlap", 0), result.get("part", "all")
    if overlap:
        return f"{overlap} of them seen in training"
    return "held-out" if part == "all" else f"held-out, {part} part"


def conclusions(result: Mapping[str, Any]) -> list[str]:
    """Say what the numbers show, and what makes them doubtful; one line each."""
    base = result.get("base")
    lines = []
    if base:
        largest = list(result["pass_at_k"])[-1]
        at = result["overtaken_at"]
        if at is None:
            lines.append(f"the base model does not overtake up to K = {largest}")
        elif at <= 1:
            lines.append("the base model is not behind at any K")
        else:
            lines.append(f"the base model overtakes at K = {format_k(at)}")
    for name, side in (("", result), ("base: ", base)):
        if side:
            lines.append(name + _answers_line(side))
    if result["ungraded"]:
        lines.append(f"{len(result['ungraded'])} problems are in no curve: the verifier failed on all their answers")
    return lines


def _short(model: str) -> str:
    """Return the name of a model, without the folders before it."""
    return model.rstrip("/").rsplit("/", 1)[-1]


def _answers_line(side: Mapping[str, Any]) -> str:
    outcomes = side["outcomes"]
    total = sum(outcomes.values())
    failed = outcomes["timeout"] + outcomes["error"]
    line = (
        f"{side['distinct_answers']:.3g} distinct answers a problem, {_percent(outcomes['no_answer'] / total)} no answer, "
        f"{_percent(side['truncated'])} cut off at the budget, {side['tokens_per_answer']:.3g} tokens an answer"
    )
    return line + (f", verifier failed on {failed} of {total} (left out)" if failed else "")


def _pass_table(result: Mapping[str, Any]) -> str:
    base = result.get("base")
    headings = ["K", "pass@K", "majority@K"]
    if base:  # two lines in the last one: together they fit 80 columns
        headings = ["K", f"{trained_name(result)} pass@K", "base pass@K", "difference", "majority@K\n(base)"]
    rows = []
    for k in result["pass_at_k"]:
        row = [k, _with_interval(result["pass_at_k"][k], result["interval"][k])]
        majority = _number(result["majority_at_k"][k])
        if base:
            gap, *ends = result["difference"][k]
            row += [_with_interval(base["pass_at_k"][k], base["interval"][k]), _with_interval(gap, ends, sign="+")]
            majority += f" ({_number(base['majority_at_k'][k])})"
        rows.append([*row, majority])
    return table(headings, rows, numbers=True)


def _with_interval(value: float, ends: Sequence[float], sign: str = "") -> str:
    low, high = (_number(end, sign) for end in ends)
    return f"{_number(value, sign)} [{low}, {high}]"


def _number(share: float, sign: str = "") -> str:
    """Format a share in percent, with one decimal; `100` has none, so that it is not wider than the others."""
    text = f"{100 * share:{sign}.1f}"
    return text.removesuffix(".0") if text.endswith("100.0") else text


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
