"""Grade the stored rollouts of a run again: which rewards change, and which gradients would have had another sign."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from simko import algorithms
from simko.algorithms.compose import Algorithm
from simko.envs import registry
from simko.envs.verifiers import get_verifier, warm_up
from simko.errors import UserError
from simko.group_view import GroupView
from simko.run.folder import RunFolder
from simko.run.records import groups_of
from simko.types import Verdict


@dataclass(frozen=True)
class Change:
    """A completion whose verdict has changed. Pairs are (as stored, now); `sign` is of its advantage: -1, 0 or 1."""

    step: int
    task: str
    sample: int
    gold: str
    extracted: str | None
    outcome: tuple[str, str]
    reward: tuple[float, float]
    sign: tuple[int, int]


@dataclass
class Rescore:
    """The result of grading a run again with `verifier`. Pairs are (as stored, now)."""

    run: str
    verifier: str
    stored_verifier: str
    completions: int = 0
    groups: int = 0
    rewards_changed: int = 0
    signs_changed: int = 0
    groups_changed: int = 0
    mean_reward: tuple[float, float] = (0.0, 0.0)
    outcomes: dict[str, int] = field(default_factory=dict)
    """How many completions changed in which way, as `incorrect -> correct`."""
    changes: list[Change] = field(default_factory=list)


def rescore(run: RunFolder, verifier: str | None = None) -> Rescore:
    """Grade every stored completion with `verifier`; None is the run's own. Writes nothing.

    Raises:
        UserError: the run has no rollouts, or the verifier is unknown.
    """
    stored = run.config.verifier or _of_environment(run.config.env)
    name = verifier or stored
    check = get_verifier(name)
    warm_up(name)
    method = algorithms.of(run.config)
    report = Rescore(str(run.path), name, stored)
    outcomes: Counter[str] = Counter()
    total = [0.0, 0.0]
    graded: dict[tuple[str, str], Any] = {}  # equal answers are graded once
    for step in run.records.recorded_steps():
        for rows in groups_of(run.records.rollouts(step)):
            verdicts = []
            for row in rows:
                key = row["text"], row["gold"]
                if key not in graded:
                    graded[key] = check(*key)
                verdicts.append(graded[key])
            before = [_stored(row) for row in rows]
            after = [replace(verdict, extracted=None, seconds=0.0) for verdict in verdicts]
            signs = list(zip(_signs(method, before), _signs(method, after), strict=True))
            report.groups += 1
            report.groups_changed += any(a != b for a, b in signs)
            for row, old, new, sign, verdict in zip(rows, before, after, signs, verdicts, strict=True):
                report.completions += 1
                total[0], total[1] = total[0] + old.reward, total[1] + new.reward
                report.signs_changed += sign[0] != sign[1]
                report.rewards_changed += (old.reward, old.parts) != (new.reward, new.parts)
                if old != new:
                    outcomes[f"{old.outcome} -> {new.outcome}"] += 1
                if old != new or sign[0] != sign[1]:
                    report.changes.append(
                        Change(
                            step, row["task"], row["sample"], row["gold"], verdict.extracted,
                            (old.outcome, new.outcome), (old.reward, new.reward), sign,
                        )
                    )  # fmt: skip
    if not report.completions:
        raise UserError(f"{run.path} has no rollouts to grade; train it first")
    report.outcomes = dict(outcomes.most_common())
    report.mean_reward = total[0] / report.completions, total[1] / report.completions
    return report


def _of_environment(id: str) -> str:
    """The verifier that an environment was registered with."""
    verifiers = {info.id: info.verifier for info in registry.specs()}
    name = registry.resolve(id, {})[0]
    if name not in verifiers:
        raise UserError(f"the run's environment '{id}' names no verifier; give --verifier")
    return verifiers[name]


def _signs(method: Algorithm, verdicts: list[Verdict]) -> list[int]:
    """The sign of each advantage. It is 0 if the verifier failed, and for all of a group that training leaves out."""
    valid = [i for i, verdict in enumerate(verdicts) if verdict.valid]
    signs = [0] * len(verdicts)
    if len(valid) >= method.min_valid:
        rewards, correct = [verdicts[i].reward for i in valid], [verdicts[i].correct for i in valid]
        parts = [verdicts[i].parts for i in valid] if any(verdicts[i].parts for i in valid) else ()
        # records hold no log-probs and lengths: methods that read them are judged as if all answers were alike
        view = GroupView(rewards, correct, [0.0] * len(valid), [1] * len(valid), parts=parts)
        advantages = method.advantages(view)
        for i, advantage in zip(valid, advantages, strict=True):
            signs[i] = (advantage > 0) - (advantage < 0)
    return signs


def _stored(row: dict[str, Any]) -> Verdict:
    """The verdict in a row of rollouts. A reward that was not finite is null there, and 0 here."""
    parts = {name: math.nan if value is None else value for name, value in row.get("parts", {}).items()}
    return Verdict(row["outcome"], float(row["reward"] or 0.0), parts=parts)
