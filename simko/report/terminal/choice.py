"""Which group of a recorded step is shown: the one that was asked for, or the one whose answers disagree most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RecordedGroup:
    """The answers to one problem in one step, as the run recorded them."""

    rows: Sequence[Row]

    @property
    def task(self) -> str:
        """The id of the problem."""
        return str(self.rows[0]["task"])

    @property
    def problem(self) -> str:
        """Its text."""
        return str(self.rows[0]["problem"])

    @property
    def correct(self) -> int:
        """How many answers were verified correct."""
        return sum(row["outcome"] == "correct" for row in self.rows)

    @property
    def mixed(self) -> float:
        """How much the answers disagree: the product of the shares of right and of other answers, at most 1/4."""
        share = self.correct / len(self.rows)
        return share * (1 - share)


def most_mixed(groups: Sequence[RecordedGroup]) -> list[RecordedGroup]:
    """The groups, the most mixed first; equals in their order."""
    return sorted(groups, key=lambda group: -group.mixed)


def matching(groups: Sequence[RecordedGroup], wanted: str) -> list[RecordedGroup]:
    """Groups whose id is `wanted`; else those whose id begins with it; else those that hold it in problem, gold or answers.

    Upper and lower case are one in the search.
    """
    if same := [group for group in groups if group.task == wanted]:
        return same
    if beginning := [group for group in groups if group.task.startswith(wanted)]:
        return beginning
    text = wanted.casefold()
    in_problem = [group for group in groups if text in group.problem.casefold()]
    return in_problem or [group for group in groups if any(_holds(row, text) for row in group.rows)]


def _holds(row: Row, text: str) -> bool:
    return any(text in str(row[name] or "").casefold() for name in ("gold", "extracted", "text"))


@dataclass(frozen=True)
class Alike:
    """Answers of a group that are the same: `samples` are their numbers, and `row` is the first."""

    row: Row
    samples: tuple[int, ...]


def without_doubles(rows: Sequence[Row]) -> list[Alike]:
    """The answers in their order, equal ones once."""
    alike: dict[Any, list[Row]] = {}
    for row in rows:
        alike.setdefault((row["text"], row["outcome"], row["reward"], str(row.get("ids"))), []).append(row)
    return [Alike(same[0], tuple(int(row["sample"]) for row in same)) for same in alike.values()]
