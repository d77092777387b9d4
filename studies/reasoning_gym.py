"""Does each task of reasoning-gym grade what it should? `python -m studies.reasoning_gym` writes docs/results/reasoning_gym.md.

For some items of each task, the scorer is asked about the item's own answer, another item's, nonsense, and answers that hedge.
The workers are those of simko/ReasoningGym-v0, with their limits. `--python` names the interpreter that has the package.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simko.envs.foreign.gym_pool import Gym, gym
from simko.envs.foreign.gym_refused import REFUSED
from simko.envs.foreign.interpreter import interpreter
from simko.envs.verifiers.worker.pool import REFUSED as LOST
from simko.errors import UserError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "reasoning_gym.md"
NONSENSE = ("nonsense", "None", "[]", "{}", "nan", ".", "\ud7ff\u202e", "(" * 300, "9" * 3000, "9**9**9")
_PAIRS = ("own", "other", "nonsense", "hedged", "loose")
SLOW = 1.0
"""A grade may take so many CPU seconds."""


@dataclass
class Findings:
    """What the scorer of one task said. Pairs are (scores of 1.0, asked)."""

    task: str
    own: tuple[int, int] = (0, 0)
    other: tuple[int, int] = (0, 0)
    nonsense: tuple[int, int] = (0, 0)
    hedged: tuple[int, int] = (0, 0)
    loose: tuple[int, int] = (0, 0)
    """The own answer with other words around it. It is no reason to refuse a task: such an answer states one answer."""
    part: float = 0.0
    """The largest score below 1.0 of nonsense and hedges."""
    raised: int = 0
    forbidden: int = 0
    timeouts: int = 0
    lost: int = 0
    make_ms: float = 0.0
    grade_ms: float = 0.0
    """The slowest grade."""
    error: str = ""
    examples: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """Why the task is refused; empty if it is not."""
        if self.error:
            return self.error
        if not self.own[1]:
            return "it ships no answer"
        if self.own[0] < self.own[1]:
            return "its scorer refuses some of its own answers"
        if self.nonsense[0]:
            return "its scorer takes nonsense"
        if 2 * self.other[0] > self.other[1]:
            return "its scorer takes the answers of other items"
        if self.hedged[0]:
            return "its scorer takes answers that hedge"
        if self.forbidden:
            return "its scorer does more than arithmetic"
        if self.timeouts or self.lost:
            return "its scorer hangs"
        return ""


def hedges(own: str, other: str) -> list[str]:
    """Answers that state two."""
    return [f"{own} or {other}", f"{other} or {own}", f"{own}\n{other}", f"{other}, {own}"]


def audit(place: Gym, task: str, count: int, seed: int = 0) -> Findings:
    """Ask the scorer of one task about `count` items."""
    found = Findings(task)
    config = json.dumps({"seed": seed, "size": count}, sort_keys=True)
    begun = time.perf_counter()
    try:
        items = place.items(task, config, count)
    except UserError as error:
        found.error = f"it makes no items ({str(error).removeprefix(f'reasoning-gym: {task}: ')[:100]})"
        return found
    found.make_ms = 1000 * (time.perf_counter() - begun) / count
    own = [(i, answer) for i, (_, answer) in enumerate(items) if isinstance(answer, str) and answer.strip()]
    found.own = _asked(found, place, config, own)
    others, hedged = [], []
    loose = [(index, text) for index, answer in own[:3] for text in (f"not {answer}", f"{answer} it is, I think")]
    for index, answer in own:
        other = next((text for i, text in own if i != index and text != answer), None)
        if other is not None:
            others.append((index, other))
            hedged += [(index, text) for text in hedges(answer, other)] if len(hedged) < 20 else []
    found.other = _asked(found, place, config, others)
    found.nonsense = _asked(
        found, place, config, [(i, text) for i in range(min(3, count)) for text in NONSENSE], part=True
    )
    found.hedged = _asked(found, place, config, hedged, part=True)
    found.loose = _asked(found, place, config, loose)
    return found


def _asked(
    found: Findings, place: Gym, config: str, answers: Sequence[tuple[int, str]], part: bool = False
) -> tuple[int, int]:
    full = 0
    for index, answer in answers:
        try:
            reply, seconds = place.score(found.task, config, index, answer)
        except LOST:
            found.lost += 1
            continue
        found.grade_ms = max(found.grade_ms, 1000 * seconds)
        if reply is None:
            found.timeouts += 1
            found.examples.append(f"time-out on {answer[:40]!r}")
            continue
        if "forbidden" in reply:
            found.forbidden += 1
            found.examples.append(f"{answer[:40]!r}: {reply['forbidden']}")
        found.raised += "raised" in reply
        score: Any = reply.get("score", 0.0)
        full += score == 1.0
        if part and score < 1.0:
            found.part = max(found.part, score)
        if part and score == 1.0:
            found.examples.append(f"{answer[:80]!r} scores 1.0")
    return full, len(answers)


def page(rows: Sequence[Findings], version: str, count: int, date: str) -> str:
    """The page of docs: the answer, the refused tasks, what was asked, the table."""
    refused = [row for row in rows if row.reason]
    parts = sum(row.part > 0 for row in rows)
    raising = sum(row.raised > 0 for row in rows)
    most = Findings("", *(max((getattr(row, name) for row in rows), key=lambda pair: pair[1]) for name in _PAIRS))
    lines = [
        "# reasoning-gym: which of its tasks can be trained on",
        "<!-- written by python -m studies.reasoning_gym; do not edit -->",
        "",
        f"**{len(rows) - len(refused)} of the {len(rows)} tasks of reasoning-gym {version} grade what they should.** "
        f"simko refuses the other {len(refused)} by name.",
        f"{parts} tasks give part credit to nonsense or hedges, and {raising} raise on some of them. simko counts only a",
        f"score of 1.0 as right, so both are incorrect. By `python -m studies.reasoning_gym`, {count} items a task, {date}, CPU.",
        "[Other people's worlds](../guides/worlds.md) says how to train on the tasks.",
        "",
        "## Refused by name",
        "",
        "| task | why |",
        "|---|---|",
        *[f"| `{row.task}` | {row.reason} |" for row in refused],
        "",
        "## What was asked",
        "",
        "The study asks each task's own `score_answer` about",
        "",
        f"- **own**: the item's own answer ({most.own[1]} times),",
        f"- **another's**: another item's answer ({most.other[1]}),",
        f"- **nonsense** ({most.nonsense[1]}),",
        f"- **hedged**: answers that state two, as `A or B`, or both in two lines ({most.hedged[1]}),",
        f"- **not A**: the own answer with words around it ({most.loose[1]}). A scorer that takes it reads past words. That",
        "  alone is no reason to refuse its task.",
        "",
        "## All tasks",
        "",
        "A cell of the first five columns counts mistakes: own answers that get no 1.0, and other answers that get it.",
        "An empty cell is 0. `part` is the most that nonsense or a hedge gets below 1.0. Times are of one core: making an",
        "item, and the slowest grade.",
        "",
        "| task | own | another's | nonsense | hedged | `not A` | part | raised | ms to make | ms to grade | |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        mistakes = [row.own[1] - row.own[0], row.other[0], row.nonsense[0], row.hedged[0], row.loose[0]]
        part = f"{row.part:.2f}" if row.part else ""
        cells = [
            *(str(n or "") for n in mistakes),
            part,
            str(row.raised or ""),
            f"{row.make_ms:.1f}",
            f"{row.grade_ms:.0f}",
        ]
        lines.append(f"| `{row.task}` | {' | '.join(cells)} | {'refused' if row.reason else 'ok'} |")
    return re.sub(r"\|  (?=\|)", "| ", "\n".join(lines)) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit all tasks, or those that are named; exit with 1 if the list of refused tasks is not what was found."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("tasks", nargs="*", help="all if left out; then the page is written")
    parser.add_argument("--python", help="interpreter that has reasoning-gym; this one if left out")
    parser.add_argument("--items", type=int, default=10, help="items of each task")
    given = parser.parse_args(arguments)
    place = gym(interpreter(given.python))
    try:
        known = place.tasks()
    except UserError as error:
        parser.exit(2, f"{error}\n")
    rows = []
    for task in given.tasks or known:
        row = audit(place, task, given.items)
        rows.append(row)
        print(f"{row.task:32} {row.reason or 'ok'}", *row.examples[:3], sep="\n    ", flush=True)
    found = {row.task: row.reason for row in rows if row.reason}
    wrong = {task for task in (given.tasks or known) if found.get(task) != REFUSED.get(task)}
    for task in sorted(wrong):
        print(f"gym_refused.py has {REFUSED.get(task)!r} for '{task}', and found is {found.get(task)!r}")
    if not given.tasks:
        today = f"{datetime.now(UTC):%-d %B %Y}"
        PAGE.write_text(page(rows, place.version, given.items, today), encoding="utf-8")
        print(f"wrote {PAGE}")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
