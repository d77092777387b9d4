"""What goes wrong in an environment or a step without ending the run: counted by kind. Too much of it ends the run."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simko.errors import UserError
from simko.types import Group

IN_A_ROW = 5
"""A run stops after so many steps in a row from which nothing could be learned."""
_DESCRIPTIONS = {
    "fault_verifier_timeout": "answers the verifier took too long over (masked)",
    "fault_verifier_error": "answers the verifier failed on (masked)",
    "fault_every_verdict": "steps in which the verifier failed on every answer",
    "fault_grade_raised": "answers on which the environment's own grade raised (masked)",
    "fault_grade_rubbish": "answers for which the environment gave no verdict (masked)",
    "fault_context_cut": "answers cut off where the model's context ended, before max_new_tokens",
    "fault_engine_nonfinite": "steps skipped: logits not finite",
    "updates_skipped": "updates skipped: gradients not finite",
    "nonfinite_rows": "answers with a log-prob that was not finite (masked)",
    "nonfinite_rewards": "answers with a reward that was not finite (masked)",
    "nonfinite_metrics": "metrics that were not finite (null in metrics.jsonl)",
    "oom_halvings": "times that memory ran out and the micro-batch was halved",
}


class NothingLearnedError(UserError):
    """A run was not begun, or ended, because nothing could be learned."""


class Faults:
    """Counts by kind, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, kind: str) -> None:
        """One more."""
        self.add(kind, 1)

    def add(self, kind: str, count: int) -> None:
        """So many more."""
        with self._lock:
            self._counts[kind] += count

    def take(self, groups: Sequence[Group] = (), max_new_tokens: int = 0) -> dict[str, float]:
        """`fault_*` metrics since the last call, and those that the answers of `groups` show; only kinds that occurred."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        for group in groups:
            counts.update(f"verifier_{c.verdict.outcome}" for c in group.completions if not c.verdict.valid)
        if groups and not any(group.valid for group in groups):
            counts["every_verdict"] += 1
        cut = sum(c.finish == "length" and len(c.ids) < max_new_tokens for group in groups for c in group.completions)
        counts.update({"context_cut": cut} if cut else {})
        return {f"fault_{kind}": float(count) for kind, count in sorted(counts.items())}


class Streak:
    """How many steps in a row taught nothing. It begins with `lines`, those of metrics.jsonl so far."""

    def __init__(self, lines: Iterable[Mapping[str, Any]] = ()) -> None:
        self._length = 0
        for line in lines:
            self._follow(line)

    def step(self, metrics: Mapping[str, Any]) -> None:
        """Take a step's metrics. Raises `NothingLearnedError` with the reason after `IN_A_ROW` bad steps."""
        reason = self._follow(metrics)
        if reason and self._length >= IN_A_ROW:
            raise NothingLearnedError(f"stopped: {self._length} steps in a row were skipped: {reason}")

    def _follow(self, metrics: Mapping[str, Any]) -> str | None:
        reason = _why_nothing(metrics)
        if reason:
            self._length += 1
        elif metrics.get("updates"):
            self._length = 0
        return reason


def summary(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """What went wrong in a run, from its metrics: a line for each kind that occurred."""
    totals: Counter[str] = Counter()
    for line in lines:
        totals.update({k: v for k, v in line.items() if v and (k in _DESCRIPTIONS or k.startswith("fault_"))})
    return [f"{totals[kind]:.0f} {_DESCRIPTIONS.get(kind, kind.removeprefix('fault_'))}" for kind in sorted(totals)]


def _why_nothing(metrics: Mapping[str, Any]) -> str | None:
    if metrics.get("updates"):
        return None
    if metrics.get("updates_skipped"):
        return "gradients were not finite; start another run with a lower --learning-rate or --max-grad-norm"
    if metrics.get("fault_engine_nonfinite"):
        return "the model's logits were not finite; try another --device or --quantization, or an earlier checkpoint"
    if metrics.get("fault_every_verdict"):
        return "the verifier failed on every answer; look at one with `simko sample`"
    return None
