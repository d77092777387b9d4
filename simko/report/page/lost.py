"""Lost and won problems: solved by the base model in n samples and no longer after training, and the reverse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simko.errors import UserError
from simko.report.measured import Measured
from simko.report.page.escape import esc, line
from simko.report.page.measure import Sheet
from simko.report.page.table import folded, html_table
from simko.report.pairing import is_untrained
from simko.run.samples import SUFFIX, read_samples

BUDGET = 30_000  # bytes of all examples
LONGEST = 300
_MOST, _FEW = 25, 8  # problems of a kind that are listed; few where the examples of many would not fit


@dataclass(frozen=True)
class Moved:
    """A problem that only one of the two sides solved: the samples and right ones before and after."""

    task: str
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def chance(self) -> float:
        """How likely it is that all right answers lie on one side, if nothing had changed (`one_sided`)."""
        won = self.before[1] == 0
        return one_sided(*self.after, self.before[0]) if won else one_sided(*self.before, self.after[0])


def one_sided(n: int, c: int, other: int) -> float:
    """The chance that all of `c` right answers fall among `n` samples and none among `other` ones: C(n, c) / C(n + other, c)."""
    return math.exp(math.fsum(math.log1p(-other / (n + other - i)) for i in range(c)))


def moved(base: Measured, trained: Measured) -> tuple[list[Moved], list[Moved], float, float]:
    """Lost and won problems, and how many of each kind chance alone would give on these problems."""
    lost, won = [], []
    expected = [0.0, 0.0]
    for task, before in base.counts.items():
        after = trained.counts.get(task)
        if after is None or not before[0] or not after[0]:
            continue
        total = before[1] + after[1]
        if total and total <= before[0]:
            expected[0] += one_sided(before[0], total, after[0])
        if total and total <= after[0]:
            expected[1] += one_sided(after[0], total, before[0])
        if before[1] and not after[1]:
            lost.append(Moved(task, before, after))
        elif after[1] and not before[1]:
            won.append(Moved(task, before, after))
    return (
        sorted(lost, key=lambda m: (-m.before[1] / m.before[0], m.task)),
        sorted(won, key=lambda m: (-m.after[1] / m.after[0], m.task)),
        expected[0], expected[1],
    )  # fmt: skip


def lost_and_won(sheet: Sheet) -> str:
    """Section 7: counts of every trained arm and seed, and the problems of as many as fit, with a right sample each."""
    rows: list[list[str]] = []
    details: list[str] = []
    budget = BUDGET
    by_arm = {arm["name"]: arm for arm in sheet.result["arms"]}
    for entry in sheet.comparison.measured:
        base = _base_of(entry, sheet.comparison.measured, by_arm)
        if is_untrained(entry) or base is None:
            continue
        lost, won, by_chance, won_by_chance = moved(base, entry)
        total = len(set(base.counts) & set(entry.counts))
        name = line(entry.arm) + (f", seed {entry.seed}" if entry.seed is not None else "")
        rows.append(
            [name, str(total), f"<b>{len(lost)}</b>", f"{by_chance:.1f}", f"<b>{len(won)}</b>", f"{won_by_chance:.1f}"]
        )
        if budget > 0 and (lost or won):
            wanted = {m.task for m in [*lost[:_MOST], *won[:_MOST]]}
            right = _right_samples(entry.place, wanted)
            block = _list("Lost", lost, right, "base") + _list("Won", won, right, "trained")
            if len(block) > budget:
                block = _list("Lost", lost, {}, "base", _FEW) + _list("Won", won, {}, "trained", _FEW)
            budget -= len(block.encode("utf-8", "replace"))
            details.append(folded(f"{name}: the problems", block, len(details) == 0))
    if not rows:
        return '<p class="note">This needs an evaluation with the base model on the same problems.</p>'
    head = ["arm", "problems", "lost", "by chance", "won", "by chance"]
    table = html_table("Problems that one side solved and the other did not", head, rows, "num")
    return (
        "<p>Lost: the base model solved it in its samples, the trained one in none of its own. Won: the reverse. A rare right "
        "answer is found or missed by chance; <em>by chance</em> is the number to expect if training had changed nothing "
        "(each problem keeps its right answers, and they fall on either side).</p>" + table + "".join(details)
    )


def _base_of(entry: Measured, every: Sequence[Measured], arms: Mapping[str, Any]) -> Measured | None:
    gap = arms.get(entry.arm, {}).get("against_base")
    bases = [other for other in every if gap and other.arm == gap["arm"]]
    return next((other for other in bases if other.seed == entry.seed), bases[0] if bases else None)


def _list(
    title: str,
    problems: Sequence[Moved],
    right: Mapping[tuple[str, str], Mapping[str, Any]],
    side: str,
    most: int = _MOST,
) -> str:
    if not problems:
        return f"<p><b>{title}:</b> none.</p>"
    rows = []
    for m in problems[:most]:
        sample = right.get((side, m.task))
        text = esc(sample["problem"], LONGEST) if sample else ""
        answer = f'<span class="text">{esc(sample["text"], LONGEST)}</span>' if sample else "–"
        before, after = (f"{c} of {n}" for n, c in (m.before, m.after))
        rows.append([f"{line(m.task, 60)}<br><small>{text}</small>", before, after, f"{100 * m.chance:.2g} %", answer])
    cut = f'<p class="note">{most} of {len(problems)} are listed.</p>' if len(problems) > most else ""
    whose = "base model" if side == "base" else "trained model"
    head = ["problem", "before", "after", "by chance", f"a right answer of the {whose}"]
    return html_table(f"{title}: {len(problems)} problems", head, rows) + cut


def _right_samples(place: str, wanted: Iterable[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """The first right sample of each side and problem, from the answers beside a result."""
    tasks, path = set(wanted), Path(place)
    samples = path.with_name(path.name.removesuffix(".json") + SUFFIX)
    right: dict[tuple[str, str], dict[str, Any]] = {}
    if not samples.is_file() or samples.is_symlink():
        return right
    try:
        for row in read_samples(samples):
            if row["task"] in tasks and row["outcome"] == "correct":
                right.setdefault((row["side"], row["task"]), row)
    except UserError:
        pass  # what was read before the damage is shown
    return right
