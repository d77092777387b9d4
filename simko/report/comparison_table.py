"""The table of a comparison in Markdown and in the terminal, and what its bands say in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.text import Text

from simko.console import markdown, table
from simko.report.labels import label, markdown_cell

NOISY = "at K = n one problem is 0 or 1: this point is noisy, and nothing is decided from it"
_LONG = 400
_NARROW = 16  # characters of a name in a terminal of 80 columns


def comparison_table(result: Mapping[str, Any]) -> Group:
    """A comparison for `console.print`: what was measured, pass@K, costs, and conclusions in words. It fits 80 columns."""
    ks = shown_ks(result)
    heads = ["arm", "seeds", *(_head(result, k) for k in ks)]
    rows = [
        [label(arm["name"], _NARROW), str(len(arm["seeds"])), *(_mean(arm, k) for k in ks)] for arm in result["arms"]
    ]
    costs = [[label(arm["name"], _NARROW), *_costs(arm)] for arm in result["arms"]]
    parts = [
        Text(describe(result), style="bold"),
        Text(""),
        Text(_aligned(heads, rows)),
        Text(""),
        Text(_aligned(["arm", *COSTS], costs)),
        Text(""),
        *map(Text, conclusions(result)),
        Text(f"percent; {sizes(result)}; {band_line(result)}"),
        *map(Text, doubts(result)),
    ]
    return Group(*parts)


def markdown_table(result: Mapping[str, Any]) -> str:
    """The same as a page: one table, with the words of the bands in it, and notes below."""
    ks = shown_ks(result)
    reference = result["reference"]
    base = _usual(result, "against_base")
    heads = ["arm", "seeds", *(f"pass@{_head(result, k)}" for k in ks), f"against {markdown_cell(base)}"]
    heads += [f"against {markdown_cell(reference)}"] if reference else []
    rows = []
    for arm in result["arms"]:
        row = [markdown_cell(arm["name"]) + (" (counts by others)" if arm["foreign"] else ""), str(len(arm["seeds"]))]
        row += [_interval(arm, k) for k in ks]
        row.append(_words(arm["against_base"], base))
        row += [_words(arm["against_reference"], reference)] if reference else []
        rows.append([*row, *_costs(arm)])
    lines = [markdown_cell(line, _LONG) for line in [band_line(result), *doubts(result)]]
    head = f"**{markdown_cell(describe(result), _LONG)}**"
    return "\n\n".join([head, markdown([*heads, *COSTS], rows), "\n".join(f"- {line}" for line in lines)]) + "\n"


COSTS = ("Cover@0.5", "tokens", "no answer", "cut off", "entropy", "top-1", "time")


def describe(result: Mapping[str, Any]) -> str:
    """Name in one line what all arms share: environment, problems, samples and sampling."""
    facts = result["facts"]
    parts = [
        f"{facts['env'] or 'environment not known'}, {result['problems']['used']} problems x {result['n']} samples"
    ]
    parts += [
        f"{name.replace('_', '-')} {facts[name]:g}" for name in ("temperature", "top_p") if facts[name] is not None
    ]
    parts += [f"{facts['part']} problems"] if facts.get("part") in ("final", "tuning") else []
    return label(", ".join(parts), _LONG)


def sizes(result: Mapping[str, Any]) -> str:
    """How many seeds and problems stand behind the numbers."""
    seeds = sorted({len(arm["seeds"]) for arm in result["arms"] if arm["trained"]}) or [1]
    number = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return f"{number} seed{'' if seeds == [1] else 's'}, {result['problems']['used']} problems"


def band_line(result: Mapping[str, Any]) -> str:
    """What the brackets and the words rest on."""
    one = all(len(arm["seeds"]) == 1 for arm in result["arms"] if arm["trained"])
    of = "problems only, of one training seed" if one else "seeds and problems"
    line = f"bands and words: simultaneous {result['level']:.0%} bands over K, over {of}".replace("95%", "95 %")
    methods = result["methods_against_reference"]
    if methods > 1:
        line += f"; against {label(result['reference'])} corrected for {methods} methods"
    return line


def conclusions(result: Mapping[str, Any]) -> list[str]:
    """Say for each arm where its bands put it: first against the reference, then against its base; a block for each."""
    blocks = []
    for kind in ("against_reference", "against_base"):
        gaps = [(arm, arm[kind]) for arm in result["arms"] if arm[kind] is not None]
        if not gaps:
            continue
        other = _usual(result, kind)
        rows = [[_versus(arm, gap, other), *_holm(gap), _first_loss(gap), _brief(gap)] for arm, gap in gaps]
        holm = ["Holm p"] if _holm(gaps[0][1]) else []
        blocks.append(table([f"against {label(other, _NARROW)}", *holm, "first loss", "the band"], rows) + "\n")
    return blocks


def shown_ks(result: Mapping[str, Any]) -> list[int]:
    """The K's of the table: 1, 8, 64, half of n, n."""
    ks = result["k"]
    return [k for k in ks if k in (1, 8, 64, result["half_k"], ks[-1])]


def _usual(result: Mapping[str, Any], kind: str) -> str:
    """Whom most arms are compared with."""
    others = [arm[kind]["arm"] for arm in result["arms"] if arm[kind] is not None]
    return max(others, key=others.count, default="its base")


def _versus(arm: Mapping[str, Any], gap: Mapping[str, Any], usual: str) -> str:
    name = label(arm["name"], _NARROW)
    return name if gap["arm"] == usual else f"{name} to {label(gap['arm'], _NARROW)}"


def _holm(gap: Mapping[str, Any]) -> list[str]:
    return [f"{gap['holm_p_value']:.2g}"] if "holm_p_value" in gap else []


def _first_loss(gap: Mapping[str, Any]) -> str:
    """The K's that may be the first at which the arm loses: `64, 128 or none`."""
    loss = gap["first_loss"]
    members = [str(k) for k in loss["possible"]]
    members = members if len(members) < 4 else [f"{members[0]} to {members[-1]}"]
    return " or ".join([", ".join(members), "none"] if members and loss["none"] else [", ".join(members) or "none"])


def _brief(gap: Mapping[str, Any]) -> str:
    return str(gap["words"]).replace("not decided at the others", "else not decided")


def doubts(result: Mapping[str, Any]) -> list[str]:
    """What a reader must know beside the numbers: how small a difference could be seen, seeds, problems, unknown facts."""
    lines = []
    seen = result["could_be_seen"]
    if seen is not None:
        seeds = f"{seen['seeds']} seed" + ("" if seen["seeds"] == 1 else "s")
        points = f"{100 * seen['difference']:.1f} points to {label(seen['against'])}"
        lines.append(f"with {seeds} a difference of {points} could be seen at pass@1")
    if len(result["k"]) > 1:
        lines.append(f"* {NOISY}")
    return lines + [label(note, _LONG) for note in result["notes"]]


def _words(gap: Mapping[str, Any] | None, usual: str) -> str:
    if gap is None:
        return ""
    holm = gap.get("holm_p_value")
    other = "" if gap["arm"] == usual else f"{markdown_cell(gap['arm'])}: "
    return other + gap["words"] + ("" if holm is None else f" (Holm p {holm:.2g})")


def _head(result: Mapping[str, Any], k: int) -> str:
    return f"{k}*" if k == result["k"][-1] and len(result["k"]) > 1 else str(k)


def _mean(arm: Mapping[str, Any], k: int) -> str:
    return f"{100 * arm['pass_at_k']['curve'][str(k)][0]:.1f}"


def _interval(arm: Mapping[str, Any], k: int) -> str:
    mean, low, high = (f"{100 * x:.1f}" for x in arm["pass_at_k"]["curve"][str(k)])
    return f"{mean} [{low}, {high}]"


def _costs(arm: Mapping[str, Any]) -> list[str]:
    training = arm["training"]
    return [
        f"{100 * arm['cover']['0.5'][0]:.1f}",
        _number(arm["tokens_per_answer"], ".1f"),
        _number(arm["no_answer"], ".1%"),
        _number(arm["truncated"], ".1%"),
        _number(training.get("entropy"), ".2f"),
        _number(training.get("top1_fraction"), ".2f"),
        _time(arm["seconds"]),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Numbers on the right, names on the left: pad the names before the table aligns all cells to the right."""
    width = max(len(row[0]) for row in [heads, *rows])
    padded = [[row[0].ljust(width), *row[1:]] for row in rows]
    return table([heads[0].ljust(width), *heads[1:]], padded, numbers=True)
