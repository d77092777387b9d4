"""Who does what: answers and rows dealt to ranks by length, so that no card waits long for another.

Pure functions of numbers that all ranks have, so all ranks deal alike without a word. What a rank gets decides the time of a
step and never its result. "Longest first" is LPT (Graham, Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math.
17(2), 1969): its busiest rank has at most 4/3 of the work that the best deal would give it.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simko.types import Group, Task

UNKNOWN_TOKENS = 256.0  # before the first answer; only the ratio of two expectations counts
_MOST_TASKS = 100_000
SLACK = 1.15  # a group is cut if its busiest rank would otherwise have this many times the work


@dataclass(frozen=True, slots=True)
class Piece:
    """The answers `first ... first + count - 1` to the task at index `task` of a step."""

    task: int
    first: int
    count: int


class Lengths:
    """How many tokens an answer to a task may have: the mean of those seen so far in this process.

    Of the same task, else of its level, else of all tasks.
    """

    def __init__(self) -> None:
        self._tasks: defaultdict[str, _Mean] = defaultdict(_Mean)
        self._levels: defaultdict[str, _Mean] = defaultdict(_Mean)
        self._all = _Mean()

    def expected(self, task: Task) -> float:
        """Tokens of one answer to `task`."""
        for mean in (self._tasks.get(task.id), self._levels.get(task.level), self._all):
            if mean and mean.count:
                return mean.value
        return UNKNOWN_TOKENS

    def learn(self, groups: Iterable[Group]) -> None:
        """Count the answers of `groups`."""
        if len(self._tasks) > _MOST_TASKS:  # generated tasks never come again
            self._tasks.clear()
        for group in groups:
            tokens = [len(completion.ids) for completion in group.completions]
            for mean in (self._tasks[group.task.id], self._levels[group.task.level], self._all):
                mean.add(tokens)


@dataclass(slots=True)
class _Mean:
    total: int = 0
    count: int = 0

    @property
    def value(self) -> float:
        return self.total / self.count

    def add(self, numbers: Sequence[int]) -> None:
        self.total += sum(numbers)
        self.count += len(numbers)


def deal(costs: Sequence[float], ranks: int) -> list[list[int]]:
    """The indices of `costs` for each rank: the costliest first, each to the rank with the least work so far.

    Indices ascend inside a rank. A rank may be empty. Of equal costs the lower index comes first, of equal ranks the one
    with fewer indices and then the lower one.
    """
    _check(costs, ranks)
    queue = [(0.0, 0, rank) for rank in range(ranks)]
    shares: list[list[int]] = [[] for _ in range(ranks)]
    for index in sorted(range(len(costs)), key=lambda index: (-costs[index], index)):
        load, count, rank = heapq.heappop(queue)
        shares[rank].append(index)
        heapq.heappush(queue, (load + costs[index], count + 1, rank))
    return [sorted(share) for share in shares]


def deal_rows(costs: Sequence[float], groups: Sequence[int], ranks: int) -> list[list[int]]:
    """The rows of an update for each rank. Row i costs `costs[i]` and belongs to group `groups[i]`.

    Whole groups, because the rows of a group share a packed prompt. Where this gives a rank `SLACK` times the work that it
    need have (few groups, or one very long), the rows are laid side by side, group by group, and cut into equal parts. This
    cuts at most `ranks - 1` groups.
    """
    _check(costs, ranks)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    order = [row for rows in members.values() for row in rows]
    shares = deal([sum(costs[row] for row in rows) for rows in members.values()], ranks)
    rows_of = list(members.values())
    whole = [sorted(row for index in share for row in rows_of[index]) for share in shares]
    cut = [sorted(order[place] for place in share) for share in _cut([costs[row] for row in order], ranks)]
    return whole if _busiest(costs, whole) <= SLACK * _busiest(costs, cut) else cut


def deal_rollout(expected: Sequence[float], n: int, ranks: int) -> list[list[Piece]]:
    """The answers of a rollout for each rank: `n` to each task, `expected[i]` tokens each for task i.

    Whole groups, because the answers to a task share their prompt, and cut groups where `deal_rows` cuts them. A rank begins
    with the longest, in which order an engine with fewer slots than answers ends soonest; equals are in the order of tasks.
    """
    rows = range(len(expected) * n)
    shares = deal_rows([expected[row // n] for row in rows], [row // n for row in rows], ranks)
    return [sorted(_pieces(share, n), key=lambda piece: -expected[piece.task]) for share in shares]


def _pieces(rows: Sequence[int], n: int) -> list[Piece]:
    """Ascending rows as runs of consecutive ones of a task."""
    pieces: list[Piece] = []
    for row in rows:
        task, sample = divmod(row, n)
        last = pieces[-1] if pieces else None
        if last and last.task == task and last.first + last.count == sample:
            pieces[-1] = Piece(task, last.first, last.count + 1)
        else:
            pieces.append(Piece(task, sample, 1))
    return pieces


def _cut(costs: Sequence[float], ranks: int) -> list[list[int]]:
    """Neighbours, cut into parts of about equal cost: an index goes to the part that its middle is in.

    No part is more than one index's cost above the mean.
    """
    total = math.fsum(costs)
    if not total:
        costs, total = [1.0] * len(costs), float(len(costs))
    shares: list[list[int]] = [[] for _ in range(ranks)]
    before = 0.0
    for index, cost in enumerate(costs):
        part = int((before + cost / 2) / total * ranks)
        shares[min(part, ranks - 1)].append(index)
        before += cost
    return shares


def _busiest(costs: Sequence[float], shares: Sequence[Sequence[int]]) -> float:
    return max(sum(costs[index] for index in share) for share in shares)


def _check(costs: Sequence[float], ranks: int) -> None:
    if ranks < 1:
        raise ValueError(f"{ranks} ranks")
    if not all(math.isfinite(cost) and cost >= 0 for cost in costs):
        raise ValueError("a cost is negative or not finite")
