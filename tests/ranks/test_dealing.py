"""Dealing: every index once, near the best deal, equal on all ranks, and lengths that are learnt."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simko.ranks.dealing import SLACK, UNKNOWN_TOKENS, Lengths, Piece, deal, deal_rollout, deal_rows
from simko.types import Completion, Group, Task, Verdict

COSTS = st.lists(st.floats(0, 1e6), max_size=40)
RANKS = st.integers(1, 6)


def loads(costs: list[float], shares: list[list[int]]) -> list[float]:
    return [math.fsum(costs[index] for index in share) for share in shares]


@given(COSTS, RANKS)
def test_every_index_is_dealt_once_and_in_order(costs: list[float], ranks: int) -> None:
    shares = deal(costs, ranks)
    assert len(shares) == ranks
    assert sorted(index for share in shares for index in share) == list(range(len(costs)))
    assert all(share == sorted(share) for share in shares)
    assert all(shares) or len(costs) < ranks or 0 in costs


@given(st.lists(st.integers(0, 50), min_size=1, max_size=7), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_the_busiest_rank_has_at_most_four_thirds_of_the_best_deal(costs: list[int], ranks: int) -> None:
    deals = product(range(ranks), repeat=len(costs))
    best = min(
        max(sum(cost for cost, rank in zip(costs, ranks_of, strict=True) if rank == r) for r in range(ranks))
        for ranks_of in deals
    )
    assert 3 * max(loads(costs, deal(costs, ranks))) <= 4 * best + 1e-9


@given(st.lists(st.integers(0, 1000), max_size=20), RANKS, st.randoms())
def test_another_order_of_the_costs_gives_ranks_the_same_work(costs: list[int], ranks: int, random: object) -> None:
    order = list(range(len(costs)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = [costs[index] for index in order]
    assert sorted(loads(costs, deal(costs, ranks))) == sorted(loads(shuffled, deal(shuffled, ranks)))


def test_the_longest_is_dealt_first_and_equals_by_index() -> None:
    assert deal([1, 9, 4, 4, 2], 2) == [[0, 1], [2, 3, 4]]
    assert deal([5, 5, 5, 5], 3) == [[0, 3], [1], [2]]
    assert deal([0, 0, 0], 2) == [[0, 2], [1]]  # no work at all is dealt by number
    assert deal([], 2) == [[], []]


@pytest.mark.parametrize("costs", [[-1.0], [math.nan], [math.inf]])
def test_a_cost_that_is_no_amount_of_work_is_refused(costs: list[float]) -> None:
    with pytest.raises(ValueError, match="negative or not finite"):
        deal(costs, 2)
    with pytest.raises(ValueError, match="0 ranks"):
        deal([1.0], 0)


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 5)), max_size=30), RANKS)
def test_every_row_is_dealt_once(rows: list[tuple[float, int]], ranks: int) -> None:
    costs, groups = [cost for cost, _ in rows], [group for _, group in rows]
    shares = deal_rows(costs, groups, ranks)
    assert sorted(index for share in shares for index in share) == list(range(len(rows)))
    assert all(share == sorted(share) for share in shares)


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 5)), min_size=1, max_size=30), RANKS)
def test_rows_are_balanced_to_within_one_row_and_the_slack(rows: list[tuple[int, int]], ranks: int) -> None:
    costs, groups = [float(cost) for cost, _ in rows], [group for _, group in rows]
    busiest = max(loads(costs, deal_rows(costs, groups, ranks)))
    assert busiest <= SLACK * (sum(costs) / ranks + max(costs)) + 1e-6


def test_a_group_stays_together_until_that_leaves_a_rank_idle() -> None:
    assert deal_rows([3, 3, 3, 3], [7, 2, 7, 2], 2) == [[0, 2], [1, 3]]
    assert deal_rows([3, 3, 3, 3], [7, 7, 7, 7], 2) == [[0, 1], [2, 3]]
    assert deal_rows([1, 1, 1, 1], [0, 0, 0, 1], 4) == [[0], [1], [2], [3]]
    assert deal_rows([], [], 2) == [[], []]


@given(st.lists(st.floats(0, 1000), max_size=12), st.integers(1, 9), RANKS)
def test_every_answer_of_a_rollout_is_dealt_once(expected: list[float], n: int, ranks: int) -> None:
    shares = deal_rollout(expected, n, ranks)
    answers = Counter((piece.task, piece.first + k) for share in shares for piece in share for k in range(piece.count))
    assert answers == Counter(product(range(len(expected)), range(n)))
    cuts = sum(map(len, shares)) - len(expected)
    assert 0 <= cuts <= ranks - 1
    assert all(piece.count for share in shares for piece in share)


def test_whole_groups_are_dealt_by_their_expected_length() -> None:
    assert deal_rollout([2, 1, 9, 1, 3], 4, 1) == [[Piece(task, 0, 4) for task in (2, 4, 0, 1, 3)]]  # the longest first
    assert deal_rollout([100, 100, 100, 300], 8, 2) == [[Piece(3, 0, 8)], [Piece(i, 0, 8) for i in range(3)]]


def test_a_group_is_cut_where_there_are_fewer_groups_than_ranks_or_one_is_very_long() -> None:
    assert deal_rollout([10], 8, 3) == [[Piece(0, 0, 3)], [Piece(0, 3, 2)], [Piece(0, 5, 3)]]
    assert deal_rollout([10, 30], 4, 2) == [[Piece(1, 0, 1), Piece(0, 0, 4)], [Piece(1, 1, 3)]]


def task(name: str, level: str = "") -> Task:
    return Task(name, "p", "g", level)


def group(of: Task, *tokens: int) -> Group:
    verdict = Verdict("correct", 1.0)
    ids = [np.zeros(count, np.int64) for count in tokens]
    nothing = np.zeros(0, np.int64)
    return Group(
        of,
        tuple(Completion(nothing, i, np.zeros(len(i), np.float32), i == 0, "", "stop", verdict) for i in ids),
    )


def test_a_length_is_of_the_task_else_of_its_level_else_of_all() -> None:
    lengths = Lengths()
    assert lengths.expected(task("new")) == UNKNOWN_TOKENS
    lengths.learn([group(task("a", "easy"), 10, 20), group(task("b", "hard"), 90)])
    lengths.learn([group(task("a", "easy"), 60), group(task("c", "easy"))])
    assert lengths.expected(task("a", "easy")) == 30
    assert lengths.expected(task("c", "easy")) == 30  # its group had no answer
    assert lengths.expected(task("new", "hard")) == 90
    assert lengths.expected(task("new", "unheard of")) == 45
