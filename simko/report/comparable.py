"""Which measurements may be drawn together: those of one environment, data, verifier, budget, sampling and set of problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from simko.console import one_line
from simko.errors import UserError
from simko.report.measured import MUST_AGREE, Measured

AGREE = (*MUST_AGREE, "temperature", "top_p", "part")
"""Facts that decide the numbers beside the arm itself. An arm may have its own value of those that its `tuned` fact names."""
TUNABLE = ("temperature", "top_p", "template")
_SHARED = 0.5  # of the larger set of problems: with fewer in common, two arms were asked different things


@dataclass(frozen=True)
class Comparison:
    """Arms that may be drawn together.

    Attributes:
        measured: all arms and seeds, in the order of the arms' first appearance.
        problems: ids with a valid sample in all of them, in the order of the first.
        facts: the facts of `AGREE` that they share; None where nobody knows.
        left_out: for a file, how many problems of the comparison's union it lacks or could not judge.
        notes: lines that a reader must know.
    """

    measured: tuple[Measured, ...]
    problems: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def arms(self) -> list[str]:
        """Names of the arms, in order."""
        return list(dict.fromkeys(entry.arm for entry in self.measured))

    def seeds_of(self, arm: str) -> list[Measured]:
        """The measurements of an arm, in the order of the seeds; None first."""
        entries = [entry for entry in self.measured if entry.arm == arm]
        return sorted(entries, key=lambda entry: (entry.seed is not None, entry.seed or 0))

    @property
    def fewest(self) -> int:
        """The fewest valid samples of any arm, seed and problem: the largest K that all can show."""
        return min(entry.counts[task][0] for entry in self.measured for task in self.problems)


def comparisons(measured: Sequence[Measured]) -> list[Comparison]:
    """Split into comparisons, so that no two measurements of one disagree. A fact that nobody wrote down agrees with any.

    The first comparison holds the first measurement; each later one is of those that could not be drawn with it.

    Raises:
        UserError: there is nothing to compare, or an arm and seed is there twice.
    """
    if not measured:
        raise UserError("compare: nothing to compare; give run folders or results of `simko eval`")
    groups: list[list[Measured]] = []
    for entry in measured:
        group = next((group for group in groups if all(conflict(other, entry) is None for other in group)), None)
        if group is None:
            groups.append([entry])
        else:
            group.append(entry)
    return [_comparison(group) for group in groups]


def one_comparison(measured: Sequence[Measured]) -> Comparison:
    """The comparison of all of them. Raises `UserError` with two files, the field and both values if they disagree."""
    found = comparisons(measured)
    if len(found) > 1:
        raise UserError(f"compare: {why_apart(found)}; compare them apart")
    return found[0]


def why_apart(found: Sequence[Comparison]) -> str:
    """The first disagreement between two comparisons: both files, the field and both values."""
    for one in found[0].measured:
        for other in found[1].measured:
            if (reason := conflict(one, other)) is not None:
                name, left, right = reason
                return f"{one.place} and {other.place} differ in {name}: {_shown(left)} and {_shown(right)}"
    raise ValueError("the two comparisons agree")


def conflict(one: Measured, other: Measured) -> tuple[str, Any, Any] | None:
    """The first field in which two measurements cannot be drawn together, with both values; None if they can."""
    own = {*_tuned(one), *_tuned(other)}
    for name in AGREE:
        left, right = one.facts.get(name), other.facts.get(name)
        if None not in (left, right) and left != right and name not in own:
            return name, left, right
    judged = [{task for task, (samples, _) in side.counts.items() if samples} for side in (one, other)]
    shared = len(judged[0] & judged[1])
    if not shared or shared < _SHARED * max(map(len, judged)):
        seeds = [side.facts.get("problem_seed") for side in (one, other)]
        if None not in seeds and seeds[0] != seeds[1]:
            return "problem_seed", seeds[0], seeds[1]
        left, right = (f"{len(side)} problems, {shared} of them shared" for side in judged)
        return "problems", left, right
    return None


def _tuned(entry: Measured) -> list[str]:
    tuned = entry.facts.get("tuned") or ()
    return [name for name in TUNABLE if name in tuned]


def _comparison(group: Sequence[Measured]) -> Comparison:
    names: dict[tuple[str, int | None], Measured] = {}
    for entry in group:
        if (other := names.setdefault((entry.arm, entry.seed), entry)) is not entry:
            raise UserError(
                f"compare: arm {_shown(entry.arm)}, seed {entry.seed} is in {other.place} and in {entry.place}; give one"
            )
    order = {arm: i for i, arm in enumerate(dict.fromkeys(entry.arm for entry in group))}
    measured = tuple(sorted(group, key=lambda entry: order[entry.arm]))
    every = dict.fromkeys(task for entry in measured for task in entry.counts)
    problems = [task for task in every if all(entry.counts.get(task, (0, 0))[0] for entry in measured)]
    if len(problems) < _SHARED * len(every):
        raise UserError(
            f"compare: {len(problems)} of {len(every)} problems have a valid sample in every arm and seed; the fewest are in "
            f"{min(measured, key=lambda entry: len(entry.counts)).place}: leave it out"
        )
    lacking = {entry.place + f" ({entry.arm})": _lacking(entry, every) for entry in measured}
    facts = {name: _shared_fact(name, measured) for name in AGREE}
    left_out = {place: count for place, count in lacking.items() if count}
    return Comparison(
        measured, tuple(problems), facts, left_out, tuple(_notes(measured, facts, len(every), len(problems)))
    )


def _shared_fact(name: str, measured: Sequence[Measured]) -> Any:
    """The value that all have; of arms with a value of their own only if there is no other."""
    ordered = sorted(measured, key=lambda entry: name in _tuned(entry))
    return next((value for entry in ordered if (value := entry.facts.get(name)) is not None), None)


def _lacking(entry: Measured, every: dict[str, None]) -> int:
    return sum(not entry.counts.get(task, (0, 0))[0] for task in every)


def _notes(measured: Sequence[Measured], facts: dict[str, Any], every: int, used: int) -> list[str]:
    notes = []
    if used < every:
        notes.append(
            f"{every - used} of {every} problems are in no curve: an arm lacks them, or its verifier failed on them all"
        )
    arms = {entry.arm: [other for other in measured if other.arm == entry.arm] for entry in measured}
    sizes = {arm: {int(n) for entry in entries if (n := entry.facts.get("n"))} for arm, entries in arms.items()}
    if len(set().union(*sizes.values())) > 1:
        told = ", ".join(f"{one_line(arm)} {'/'.join(map(str, sorted(n)))}" for arm, n in sizes.items() if n)
        notes.append(f"samples a problem differ ({told}): all curves end at the fewest")
    for arm, entries in arms.items():
        missing = [
            name for name in AGREE if facts[name] is not None and any(e.facts.get(name) is None for e in entries)
        ]
        if missing:
            notes.append(f"{one_line(arm)}: not known: {', '.join(missing)}")
        if any(entry.foreign for entry in entries):
            notes.append(
                f"{one_line(arm)}: counts by others ({entries[0].source}); our verifier has not seen the answers"
            )
    if own := [one_line(arm) for arm, entries in arms.items() if _tuned(entries[0])]:
        notes.append(f"temperature or prompt of their own, chosen on tuning problems: {', '.join(own)}")
    models = {str(entry.facts["model"]) for entry in measured if entry.facts.get("model")}
    if len(models) > 1:
        notes.append(f"arms are of {len(models)} models ({', '.join(sorted(map(one_line, models)))})")
    return notes


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)
