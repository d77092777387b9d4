"""The table of an evaluation in the terminal: pass@K with intervals, the base model beside it, and how it was sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.text import Text

from simko.console import clean, markdown, table
from simko.report.bands import loss_words
from simko.report.counts import loss_of

INTERVAL = "95 % band over problems, at all K at once; other training seeds are not in it"


def evaluation_table(result: Mapping[str, Any]) -> Group:
    """A result of `simko.evaluate.evaluate` for `console.print`: what was measured and how, the table, what to make of it."""
    interval = f"percent; [ ] {INTERVAL}" + ("; of the difference: paired" if result.get("base") else "")
    interval += "\n* all samples: a problem is 0 or 100 there, and nothing is decided from it"
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
    loss = loss_of(result)
    if base and loss:
        lines.append(f"{trained_name(result)} against the base model: {result['in_words']}")
        lines.append(loss_words(loss))
    elif base:
        lines.append("an older result: its intervals hold at one K each, and nothing is decided from them")
    for name, side in (("", result), ("base: ", base)):
        if side:
            lines.append(name + _answers_line(side))
            lines += [f"{name}{_cover_line(side)}"] if "cover" in side else []
    if result["ungraded"]:
        lines.append(f"{len(result['ungraded'])} problems are in no curve: the verifier failed on all their answers")
    return lines


def check_lines(name: str, facts: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """Say what `simko export --check` saw: solve rates with bands, gaps of log-probs, and whether the two sides agree.

    `result` is of the exported model, with the policy as its `base`.
    """
    policy, gap = result["base"], result["difference"]["1"]
    lines = [
        f"check {name}: {facts['problems']} held-out problems x {facts['samples']} samples, "
        f"temperature {facts['temperature']:g}, the same random streams",
        f"  solved: policy {_with_interval(policy['pass_at_k']['1'], policy['interval']['1'])}, exported "
        f"{_with_interval(result['pass_at_k']['1'], result['interval']['1'])}, difference "
        f"{_with_interval(gap[0], gap[1:], sign='+')} percent; exported against policy: {result['in_words']}",
        f"  log-probs of the policy's {facts['tokens']:,} tokens: mean gap {facts['mean_gap']:.2g}, largest "
        f"{facts['max_gap']:.2g} (limit of the mean {facts['limit']:g})",
    ]
    if "llama_cpp_mean_gap" in facts:
        lines.append(
            f"  by llama.cpp: mean gap {facts['llama_cpp_mean_gap']:.2g}, largest {facts['llama_cpp_max_gap']:.2g}; "
            f"{facts['llama_cpp_prompts_alike']} of {facts['problems']} prompts become the tokens of training"
        )
    return [*lines, "  agrees" if facts["agrees"] else "  PARTS from the policy"]


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


def _cover_line(side: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{100 * float(tau):g} %: {_percent(share)}" for tau, share in side["cover"].items())
    return f"problems solved in at least so many of the samples (cover): {shares}"


def evaluation_markdown(result: Mapping[str, Any]) -> str:
    """The table of a result for a page of Markdown, and what to make of it below, a line a sentence."""
    headings, rows = _pass_rows(result)
    notes = [f"Percent; [ ] {INTERVAL}. * all samples: nothing is decided from that row.", *conclusions(result)]
    shown = [line if line.endswith(".") else f"{line}." for line in map(clean, notes)]
    return "\n\n".join([markdown([clean(cell.replace("\n", " ")) for cell in headings], rows), *shown])


def _pass_table(result: Mapping[str, Any]) -> str:
    headings, rows = _pass_rows(result)
    return table(headings, rows, numbers=True)


def _pass_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    base = result.get("base")
    headings = ["K", "pass@K", "majority@K"]
    if base:  # two lines in the last one: together they fit 80 columns
        headings = ["K", f"{trained_name(result)} pass@K", "base pass@K", "difference", "majority@K\n(base)"]
    rows = []
    last = list(result["pass_at_k"])[-1]
    for k in result["pass_at_k"]:
        row = [f"{k}*" if k == last else k, _with_interval(result["pass_at_k"][k], result["interval"][k])]
        majority = _number(result["majority_at_k"][k])
        if base:
            gap, *ends = result["difference"][k]
            row += [_with_interval(base["pass_at_k"][k], base["interval"][k]), _with_interval(gap, ends, sign="+")]
            majority += f" ({_number(base['majority_at_k'][k])})"
        rows.append([*row, majority])
    return headings, rows


def _with_interval(value: float, ends: Sequence[float], sign: str = "") -> str:
    low, high = (_number(end, sign) for end in ends)
    return f"{_number(value, sign)} [{low}, {high}]"


def _number(share: float, sign: str = "") -> str:
    """Format a share in percent, with one decimal; `100` has none, so that it is not wider than the others."""
    text = f"{100 * share:{sign}.1f}"
    return text.removesuffix(".0") if text.endswith("100.0") else text


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
