"""Grade the stored rollouts of a run again: which rewards change, and which completions would have been pushed the other way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from simko import algorithms
from simko.envs import registry
from simko.envs.verifiers import get_verifier, warm_up
from simko.errors import UserError
from simko.run.folder import RunFolder

MAX_EXAMPLES = 20


@dataclass(frozen=True)
class Change:
    """One completion whose verdict is another one now. `sign` is that of its advantage in the group: -1, 0 or 1."""

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
    """What grading again with `verifier` says of a run. Pairs are (as stored, now)."""

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
    """`incorrect -> correct` to how many."""
    changes: list[Change] = field(default_factory=list)


def rescore(run: RunFolder, verifier: str | None = None) -> Rescore:
    """Grade every stored completion with `verifier`, the run's own where None. Writes nothing.

    Raises `UserError` where the run has no rollouts, or the verifier is unknown.
    """
    stored = run.config.verifier or _of_environment(run.config.env)
    name = verifier or stored
    check = get_verifier(name)
    warm_up(name)
    method = algorithms.get(run.config.algorithm, **run.config.method)
    found = Rescore(str(run.path), name, stored)
    outcomes: Counter[str] = Counter()
    total = [0.0, 0.0]
    known: dict[tuple[str, str], Any] = {}  # equal answers are graded once
    for step in run.recorded_steps():
        for rows in _groups(run.rollouts(step)):
            verdicts = []
            for row in rows:
                key = row["text"], row["gold"]
                if key not in known:
                    known[key] = check(*key)
                verdicts.append(known[key])
            before = [(row["outcome"], _number(row["reward"])) for row in rows]
            after = [(verdict.outcome, verdict.reward) for verdict in verdicts]
            signs = list(zip(_signs(method, before), _signs(method, after), strict=True))
            found.groups += 1
            found.groups_changed += any(a != b for a, b in signs)
            for row, old, new, sign, verdict in zip(rows, before, after, signs, verdicts, strict=True):
                found.completions += 1
                total[0], total[1] = total[0] + old[1], total[1] + new[1]
                found.signs_changed += sign[0] != sign[1]
                found.rewards_changed += old[1] != new[1]
                if old != new:
                    outcomes[f"{old[0]} -> {new[0]}"] += 1
                if old != new or sign[0] != sign[1]:
                    found.changes.append(
                        Change(
                            step, row["task"], row["sample"], row["gold"], verdict.extracted,
                            (old[0], new[0]), (old[1], new[1]), sign,
                        )
                    )  # fmt: skip
    if not found.completions:
        raise UserError(f"{run.path} has no rollouts to grade; train it first")
    found.outcomes = dict(outcomes.most_common())
    found.mean_reward = total[0] / found.completions, total[1] / found.completions
    return found


def _of_environment(id: str) -> str:
    """The verifier that an environment was registered with."""
    known = {info.id: info.verifier for info in registry.specs()}
    name = registry.resolve(id, {})[0]
    if name not in known:
        raise UserError(f"the run's environment '{id}' names no verifier; give --verifier")
    return known[name]


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The rows of one step, cut where the samples begin again."""
    group: list[dict[str, Any]] = []
    for row in rows:
        if group and (row["sample"] == 0 or row["task"] != group[-1]["task"]):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _signs(method: Any, verdicts: list[tuple[str, float]]) -> list[int]:
    """The sign of each advantage; 0 for what the verifier failed on, and for all of a group that is left out."""
    valid = [i for i, (outcome, _) in enumerate(verdicts) if outcome not in ("timeout", "error")]
    signs = [0] * len(verdicts)
    if len(valid) >= 2:
        given = method.advantages([verdicts[i][1] for i in valid], [verdicts[i][0] == "correct" for i in valid])
        for i, advantage in zip(valid, given, strict=True):
            signs[i] = (advantage > 1e-12) - (advantage < -1e-12)
    return signs


def _number(reward: Any) -> float:
    return float(reward) if isinstance(reward, int | float) else 0.0
