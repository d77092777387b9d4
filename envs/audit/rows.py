"""The audit of an environment on all its rows: `simko env audit` prints one line for each set.

It grades three things, and then runs both environment checkers:
  - every gold answer against itself: all must be correct;
  - every gold answer against the next row with a different one: all must be refused. The rules of a puzzle may accept
    another row's solution, so there `PAIRS_RIGHT` of them must be refused;
  - the pairs of `TaskSource.pairs()`, responses whose verdict is known without the verifier (worked solutions, other
    people's extractions, accepted forms): `PAIRS_RIGHT` of each kind must be graded as expected.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from simko.envs import registry
from simko.envs.audit import contract as checker
from simko.envs.audit import probe
from simko.envs.data.rows import ANSWERS, Pair
from simko.envs.token_env import TokenEnv
from simko.envs.verifiers import warm_up
from simko.errors import UserError
from simko.types import Task, Verdict

PAIRS_RIGHT = 0.99
GENERATED = 100  # tasks that are audited of an endless source
SHOWN = 60  # characters of a text in a finding


@dataclass
class Audit:
    """The findings on one split of one environment. Counts are pairs: (as expected, graded)."""

    id: str
    split: str
    rows: int = 0
    """Rows that were read, or tasks that were generated."""
    published: int | None = None
    tasks: int = 0
    by_rule: bool = False
    """Whether the rules of a puzzle grade: then another row's solution may solve this row too."""
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    gold: tuple[int, int] = (0, 0)
    other_gold: tuple[int, int] = (0, 0)
    pairs: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Counts by the kind of pair."""
    checks: tuple[int, int] = (0, 0)
    findings: list[str] = field(default_factory=list)
    """Everything that is not as expected, a line each."""
    unavailable: str | None = None
    """Why nothing could be audited: there is no data."""
    seconds: float = 0.0

    @property
    def pairs_total(self) -> tuple[int, int]:
        """The counts of all kinds of pairs together."""
        return sum(a for a, _ in self.pairs.values()), sum(b for _, b in self.pairs.values())

    @property
    def passed(self) -> bool:
        """Whether nothing failed. A set without data has not failed."""
        whole = all(a == b for a, b in (self.gold, self.checks))
        refused, others = self.other_gold
        enough = refused >= PAIRS_RIGHT * others if self.by_rule else refused == others
        return whole and enough and all(right >= PAIRS_RIGHT * total for right, total in self.pairs.values())


def audit(
    id: str, data: str | None = None, checks: bool = True, source_options: dict[str, Any] | None = None
) -> list[Audit]:
    """Audit the splits that an environment has.

    If there is no data, the list has one entry that says so in `unavailable`. Raises `UserError` for an unknown id.
    """
    registry.resolve(id, {})
    entries = [_audit_split(id, split, data, checks, source_options) for split in ("train", "eval")]
    audited = [entry for entry in entries if entry.unavailable is None]
    if audited:
        return audited
    missing = entries[0] if "has no split" not in str(entries[0].unavailable) else entries[1]
    missing.split = "-"
    return [missing]


def _audit_split(id: str, split: str, data: str | None, checks: bool, source_options: dict[str, Any] | None) -> Audit:
    entry, begun = Audit(id, split), time.perf_counter()
    try:
        env = registry.make(id, split=split, data=data, source_options=source_options)
    except UserError as error:
        entry.unavailable = str(error)
        return entry
    warm_up(env.verifier_name)
    source: Any = env.source
    tasks = probe.sample(env, GENERATED) if env.source.size is None else env.source.tasks(None, seed=0)
    entry.tasks = len(tasks)
    entry.by_rule = env.verifier_name.split(":")[0] not in ANSWERS
    entry.rows = getattr(source, "rows", entry.tasks)
    entry.published = getattr(source, "published", None)
    entry.left_out = tuple(getattr(source, "left_out", ()))
    entry.notes = tuple(getattr(source, "notes", ()))
    if (told := probe.several_golds(env)) and told not in entry.notes:
        entry.notes = (*entry.notes, told)
    entry.gold = _count(entry, _golds(env, tasks))
    entry.other_gold = _count(entry, _other_golds(env, tasks))
    _pairs(entry, env)
    if checks:
        results = checker.check(id, data, split=split, source_options=source_options)
        entry.checks = sum(r.passed for r in results), len(results)
        entry.findings += [f"check '{r.name}': {r.detail}" for r in results if not r.passed]
    entry.seconds = time.perf_counter() - begun
    return entry


Graded = Iterator[tuple[bool, str]]  # (graded as expected, the finding if not)


def _golds(env: TokenEnv, tasks: list[Task]) -> Graded:
    for task in tasks:
        answer = probe.answer(env, task)
        if answer is None:
            continue
        verdict = env.grade(answer, task)
        yield verdict.correct, f"gold of {task.id}: {_short(answer)} grades {verdict.outcome}"


def _other_golds(env: TokenEnv, tasks: list[Task]) -> Graded:
    """Grade each task with the answer of the nearest later task that has a different gold answer."""
    for i, task in enumerate(tasks):
        ring = (tasks[(i + step) % len(tasks)] for step in range(1, min(len(tasks), 40)))
        other = next((o for o in ring if _differs(env, task, o)), None)
        if other is None:
            continue
        answer = str(probe.answer(env, other))
        verdict = env.grade(answer, task)
        yield (
            not verdict.correct,
            f"gold of {other.id}, {_short(answer)}, grades correct on {task.id} ({_short(task.gold)})",
        )


def _differs(env: TokenEnv, task: Task, other: Task) -> bool:
    """Whether the gold answers differ as texts, as responses and as numbers, and one does not list the other."""
    ours, theirs = probe.answer(env, task), probe.answer(env, other)
    if ours is None or theirs is None:
        return False
    if _squeezed(task.gold) == _squeezed(other.gold) or _squeezed(ours) == _squeezed(theirs):
        return False
    if probe.is_listed(theirs, task):
        return False
    values = [_value(t.gold) for t in (task, other)]
    return None in values or values[0] != values[1]


def _pairs(entry: Audit, env: TokenEnv) -> None:
    offered: Callable[[], Iterable[Any]] | None = getattr(env.source, "pairs", None)
    if offered is None:
        return
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for pair in offered():
        task, response, correct, kind, reason = Pair(*pair)
        verdict: Verdict = env.grade(response, task)
        as_expected = verdict.valid and verdict.correct == correct
        total[kind] += 1
        right[kind] += as_expected
        if not as_expected:
            expected = "correct" if correct else "refused"
            entry.findings.append(
                f"{kind} of {task.id}: {_short(response)} should be {expected}, grades {verdict.outcome} "
                f"(gold {_short(task.gold)})" + (f"; {reason}" if reason else "")
            )
    entry.pairs = {kind: (right[kind], total[kind]) for kind in total}


def _count(entry: Audit, graded: Graded) -> tuple[int, int]:
    right = total = 0
    for as_expected, finding in graded:
        total += 1
        right += as_expected
        if not as_expected:
            entry.findings.append(finding)
    return right, total


def _value(gold: str) -> Any:
    from simko.envs.verifiers.reading.numbers import parse_number
    from simko.envs.verifiers.reading.shapes import sides
    from simko.envs.verifiers.reading.text import clean
    from simko.envs.verifiers.reading.units import split_unit

    number = parse_number(split_unit(sides(clean(gold))[-1])[0])  # x = 5 has the value of 5
    return None if number is None else number.value


def _squeezed(text: str) -> str:
    return "".join(text.split()).casefold()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= SHOWN else "..." + line[-SHOWN:])
