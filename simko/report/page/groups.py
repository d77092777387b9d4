"""The group browser: problems of some steps with all their samples, verdicts and extracted answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from simko.errors import UserError
from simko.report.page.escape import esc, line
from simko.report.page.source import RunData
from simko.run.records import groups_of

BUDGET = 80_000  # bytes of HTML of the whole browser
STEPS = 6
LONGEST = 500
"""Characters of an answer that the page holds; fewer where the first group of a step would not fit."""


def group_browser(runs: Sequence[RunData], notes: list[str]) -> str:
    """Section 6: of each run a few steps from first to last, and of each step as many groups as fit."""
    parts, steps = [], set()
    shown = everything = 0
    for run in runs:
        blocks, total = _of_run(run, BUDGET // max(1, len(runs)), len(runs) > 1, notes)
        parts += blocks
        steps |= {step for step, _ in _chosen(run)}
        shown, everything = shown + len(blocks), everything + total
    if not parts:
        return '<p class="note">There are no recorded completions to show.</p>'
    options = "".join(f'<option value="{step}">step {step}</option>' for step in sorted(steps, reverse=True))
    form = (
        '<form class="filter needs-script" hidden><label>Verdict <select id="f-verdict"><option value="">all</option>'
        '<option value="right">right</option><option value="wrong">wrong</option>'
        '<option value="other">other</option></select></label>'
        f'<label>Step <select id="f-step"><option value="">all</option>{options}</select></label>'
        '<label>Groups <select id="f-kind"><option value="">all</option><option value="mixed">right and wrong</option>'
        '<option value="solved">all right</option><option value="failed">none right</option></select></label>'
        '<label>Search <input type="search" id="f-text" placeholder="problem, answer, extracted"></label>'
        '<output id="f-count" role="status"></output></form>'
    )
    note = f'<p class="note">{shown} of {everything:,} recorded groups are in this page; rollouts/ holds them all.</p>'
    return form + note + f"<div>{''.join(parts)}</div>"


def _chosen(run: RunData) -> list[tuple[int, int]]:
    """Steps from the first to the last, and their places."""
    count = min(STEPS, len(run.steps))
    places = sorted({round(i * (len(run.steps) - 1) / max(1, count - 1)) for i in range(count)})
    return [(run.steps[place], place) for place in places]


def _of_run(run: RunData, budget: int, named: bool, notes: list[str]) -> tuple[list[str], int]:
    queues: list[list[str]] = []
    per_step = 0
    chosen = _chosen(run)
    for step, _ in chosen:
        try:
            rows = run.records.rollouts(step)
        except UserError as error:
            notes.append(str(error))
            continue
        groups = list(groups_of(rows))
        per_step = max(per_step, len(groups))
        share = budget // max(1, len(chosen))
        queues.append(_fitting(groups, share, run.name if named else ""))
    return [block for queue in reversed(queues) for block in queue], per_step * len(run.steps)


def _fitting(groups: Sequence[Sequence[Mapping[str, Any]]], budget: int, run: str) -> list[str]:
    """Groups in their order as long as they fit, but one at least; those with right and wrong answers first."""
    mixed = [group for group in groups if len({_kind(row) == "right" for row in group}) == 2]
    blocks: list[str] = []
    for group in [*mixed, *(group for group in groups if group not in mixed)]:
        longest = LONGEST
        block = _block(group, run, longest)
        while len(block) > budget and not blocks and longest > 40:
            longest //= 2
            block = _block(group, run, longest)
        if len(block.encode("utf-8", "replace")) > budget and blocks:
            break
        budget -= len(block.encode("utf-8", "replace"))
        blocks.append(block)
    return blocks


def _block(group: Sequence[Mapping[str, Any]], run: str, longest: int) -> str:
    """A group; equal answers share a row."""
    first = group[0]
    right = sum(_kind(row) == "right" for row in group)
    counts = Counter((str(row["text"]), str(row["outcome"]), str(row["extracted"])) for row in group)
    samples: dict[tuple[str, str, str], list[str]] = {}
    for row in group[:512]:
        key = str(row["text"]), str(row["outcome"]), str(row["extracted"])
        samples.setdefault(key, []).append(str(row["sample"]))
    rows = []
    for row_key, numbers in samples.items():
        text, outcome, extracted = row_key
        verdict = _verdict(outcome)
        count = f" ×{counts[row_key]}" if counts[row_key] > 1 else ""
        rows.append(
            f'<tr class="{verdict}"><th scope="row">{", ".join(numbers[:8])}{"…" if len(numbers) > 8 else ""}</th>'
            f'<td><b class="v {verdict}">{esc(outcome.replace("_", " "))}</b>{count}</td>'
            f'<td>{line(extracted, 80) if extracted != "None" else "–"}</td><td class="text">{esc(text, longest)}</td></tr>'
        )
    kind = "solved" if right == len(group) else "mixed" if right else "failed"
    where = f"{line(run, 40)}, " if run else ""
    step, task, problem = int(first["step"]), line(first["task"], 80), first["problem"]
    return (
        f'<details class="group" data-step="{step}" data-kind="{kind}"><summary><span class="tag">{where}step {step}</span> '
        f'<span class="score">{right}/{len(group)} right</span> {line(problem, 140)}</summary>'
        f'<p class="problem">{esc(problem, 800)}</p><p class="note">task {task}; gold {line(first["gold"], 120)}</p>'
        f'<div class="wide" tabindex="0" role="group" aria-label="Samples of {task}"><table><thead><tr>'
        '<th scope="col">sample</th><th scope="col">verdict</th><th scope="col">extracted</th><th scope="col">answer</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _kind(row: Mapping[str, Any]) -> str:
    return _verdict(str(row["outcome"]))


def _verdict(outcome: str) -> str:
    return {"correct": "right", "incorrect": "wrong"}.get(outcome, "other")
