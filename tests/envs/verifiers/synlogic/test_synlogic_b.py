"""The rule checkers from minesweeper to web of lies: puzzles of our own, then the shared rows where they are at hand."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timing import cpu_seconds, timed

from simko.envs.verifiers.synlogic import get_checker, synlogic
from simko.envs.verifiers.synlogic.filled_grids import visible
from simko.envs.verifiers.synlogic.minesweeper import must_be_mines
from simko.envs.verifiers.synlogic.stars import last_stars


def game(answer: Any = "", question: str = "", **metadata: Any) -> dict[str, Any]:
    return {"question": question, "answer": answer, "metadata": metadata}


SUDOKU = [[(3 * (r % 3) + r // 3 + c) % 9 + 1 for c in range(9)] for r in range(9)]
GAMES: dict[str, dict[str, Any]] = {
    "minesweeper": game(
        revealed_grid=[["X", "X", "X"], ["2", "2", "X"], ["0", "0", "X"]], current_mines=[[0, 0], [0, 1]]
    ),
    "number_wall": game(grid=[["X", "X", "X"], ["X", 3, "X"], ["X", "X", "X"]]),
    "numbrix": game(grid=[[1, "X", "X"], ["X", "X", "X"], ["X", "X", 9]]),
    "object_counting": game("347"),
    "object_properties": game("37"),
    "operation": game("55803.57142857143"),
    "skyscraper_puzzle": game(n=3, top=[3, 2, 1], bottom=[1, 2, 2], left=[3, 2, 1], right=[1, 2, 2]),
    "space_reasoning": game("lounge chair"),
    "space_reasoning_tree": game("cactus, green tea, clay"),
    "star_placement_puzzle": game(
        region_grid=[list("AAABB"), list("CCABB"), list("CCABD"), list("CEEDD"), list("EEEED")], k=1
    ),
    "sudoku": game(
        original_sudoku=[["X" if (r, c) in ((0, 0), (4, 4)) else SUDOKU[r][c] for c in range(9)] for r in range(9)]
    ),
    "survo": game(original_matrix=[[0, 2, 3], [0, 0, 7], [4, 6, 10]], candidate_numbers=[1, 3, 4]),
    "time_sequence": game([55, 2]),
    "web_of_lies": game("yes, no, yes"),
}
STARS = "{'A': [(1, 3)], 'B': [(2, 5)], 'C': [(3, 2)], 'D': [(4, 4)], 'E': [(5, 1)]}"


def check(key: str, text: str, state: dict[str, Any] | None = None) -> bool | None:
    return get_checker(key)(text, state or GAMES[key])


def fenced(answer: Any) -> str:
    return f"First I think of [[0, 0]].\n```python\n{answer}\n```\nThat is it."


def test_numbrix_any_path_that_keeps_the_clues() -> None:
    assert check("numbrix", fenced([[1, 2, 3], [6, 5, 4], [7, 8, 9]])) is True
    assert check("numbrix", str([[1, 6, 7], [2, 5, 8], [3, 4, 9]])) is True
    assert check("numbrix", str([[1, 2, 3], [6, 5, 4], [9, 8, 7]])) is False  # a clue moved
    assert check("numbrix", str([[1, 2, 4], [6, 5, 3], [7, 8, 9]])) is False  # 3 and 4 swapped
    assert check("numbrix", str([[1, 2, 3], [6, 5, 4], [7, 7, 9]])) is False
    assert check("numbrix", str([[1, 2, 3], [6, 5, 4]])) is False
    assert check("numbrix", "There is no such path.") is None


def test_skyscrapers_by_what_is_seen() -> None:
    assert [visible(line) for line in ([1, 2, 3], [3, 2, 1], [2, 1, 3], [1, 3, 2])] == [3, 1, 2, 2]
    assert check("skyscraper_puzzle", fenced([[1, 2, 3], [2, 3, 1], [3, 1, 2]])) is True
    assert check("skyscraper_puzzle", fenced([[2, 1, 3], [1, 3, 2], [3, 2, 1]])) is False  # Latin, other views
    assert check("skyscraper_puzzle", fenced([[1, 2, 3], [2, 3, 3], [3, 1, 2]])) is False
    for side in ("top", "bottom", "left", "right"):  # every side counts
        clues = GAMES["skyscraper_puzzle"]["metadata"]
        wrong = game(**{**clues, side: [4 - clue for clue in clues[side]]})
        assert check("skyscraper_puzzle", fenced([[1, 2, 3], [2, 3, 1], [3, 1, 2]]), wrong) is False


def test_sudoku_keeps_givens_and_every_unit() -> None:
    solved = tuple(map(tuple, SUDOKU))
    assert check("sudoku", fenced(solved)) is True
    assert check("sudoku", str(solved[::-1])) is False  # a valid one, of another puzzle
    blank = game(original_sudoku=[["X"] * 9 for _ in range(9)])
    assert check("sudoku", str(solved[::-1]), blank) is True
    cyclic = [[(r + c) % 9 + 1 for c in range(9)] for r in range(9)]  # Latin, but its boxes are not
    assert check("sudoku", str(cyclic), blank) is False


def test_survo_sums_and_candidates() -> None:
    assert check("survo", str([[1, 2, 3], [3, 4, 7], [4, 6, 10]])) is True
    assert check("survo", str([[1, 2, 3], [4, 3, 7], [4, 6, 10]])) is False  # a column
    other = game(original_matrix=[[0, 0, 5], [0, 0, 5], [5, 5, 10]], candidate_numbers=[1, 4, 4, 1])
    assert check("survo", str([[1, 4, 5], [4, 1, 5], [5, 5, 10]]), other) is True
    assert check("survo", str([[4, 1, 5], [1, 4, 5], [5, 5, 10]]), other) is True  # a second solution
    assert check("survo", str([[2, 3, 5], [3, 2, 5], [5, 5, 10]]), other) is False  # sums right, numbers not given


def test_number_wall_any_island_of_the_size() -> None:
    for shape in (["AXA", "X3A", "AAA"], ["AAA", "X3X", "AAA"], ["AXX", "A3A", "AAA"]):
        grid = [[3 if cell == "3" else cell for cell in row] for row in shape]
        assert check("number_wall", fenced(grid)) is True
    refused = {
        "too small": ["AAA", "A3X", "AAA"],
        "an island without a number": ["XAA", "A3X", "AXA"],
        "a wall block": ["XAA", "3AA", "XAA"],
        "another number": ["A2A", "X3A", "AAA"],
        "the number gone": ["AXA", "XXA", "AAA"],
    }
    for why, shape in refused.items():
        grid = [[int(cell) if cell.isdigit() else cell for cell in row] for row in shape]
        assert check("number_wall", fenced(grid)) is False, why
    corners = game(grid=[[1, "X"], ["X", 1]])
    assert check("number_wall", "[[1, 'A'], ['A', 1]]", corners) is False  # two islands that touch at a corner
    assert check("number_wall", "[[1, 1]]", game(grid=[[1, 1]])) is False  # two numbers on one island
    block = game(grid=[["X", "X", "X"], ["X", "X", 1]])
    assert check("number_wall", "[['A', 'A', 'A'], ['A', 'A', 1]]", block) is False  # a wall block and nothing else
    apart = game(grid=[[1, "X", 1]])
    assert check("number_wall", "[[1, 'A', 1]]", apart) is True


def test_minesweeper_the_stored_cells_or_all_that_must_be_mines() -> None:
    grid = GAMES["minesweeper"]["metadata"]["revealed_grid"]
    assert must_be_mines(grid) == {(0, 0), (0, 1)}
    for answer in ("[(0, 0), (0, 1)]", "[[0, 1], [0, 0]]", r"\boxed{[(0,0), (0,1)]}", "(0, 0), (0, 1)"):
        assert check("minesweeper", answer) is True, answer
    for answer in ("[(0, 0)]", "[(0, 0), (0, 1), (0, 2)]", "[(1, 0), (0, 1)]", "[(0, 0), (0, 1), (0, 1)]", "[(9, 9)]"):
        assert check("minesweeper", answer) is False, answer
    assert check("minesweeper", "There are two of them.") is None
    # the 0 clears one cell of the 1 in the corner, so the other is a mine: more than one number at a time shows
    more = [["X", "1", "0"], ["X", "X", "1"], ["3", "X", "X"]]
    stored = {cell for cell in must_be_mines(more) if cell != (1, 0)}
    full, part = sorted(must_be_mines(more)), sorted(stored)
    assert len(full) == len(part) + 1
    state = game(revealed_grid=more, current_mines=part)
    assert check("minesweeper", str(full), state) is True
    assert check("minesweeper", str(part), state) is True
    state["question"] = "Using only one-step deductive logic, determine which cells must be mines."
    assert check("minesweeper", str(full), state) is False


@given(st.lists(st.booleans(), min_size=12, max_size=12), st.integers(0, 4095))
def test_must_be_mines_agrees_with_all_arrangements(mines: list[bool], shown: int) -> None:
    cells = list(itertools.product(range(3), range(4)))

    def counts(placed: set[tuple[int, int]], cell: tuple[int, int]) -> int:
        return sum(max(abs(cell[0] - r), abs(cell[1] - c)) == 1 for r, c in placed)

    real = {cell for cell, mine in zip(cells, mines, strict=True) if mine}
    grid = [["X"] * 4 for _ in range(3)]
    covered = []
    for i, (r, c) in enumerate(cells):
        if (r, c) not in real and shown >> i & 1:
            grid[r][c] = str(counts(real, (r, c)))
        else:
            covered.append((r, c))
    numbers = [(r, c) for r, c in cells if grid[r][c] != "X"]
    must = set(covered)
    for subset in range(1 << len(covered)):
        placed = {cell for i, cell in enumerate(covered) if subset >> i & 1}
        if must <= placed or not all(counts(placed, n) == int(grid[n[0]][n[1]]) for n in numbers):
            continue
        must &= placed
        if not must:
            break
    assert must_be_mines(grid) == must


def test_stars_by_row_column_region_and_distance() -> None:
    assert check("star_placement_puzzle", f"```python\n{STARS}\n```") is True
    assert check("star_placement_puzzle", STARS.replace("(", "[").replace(")", "]").replace("'", '"')) is True
    assert check("star_placement_puzzle", f"answer = {STARS}") is True
    wrong = {
        "a region without one": STARS.replace("'E': [(5, 1)]", "'E': []"),
        "two regions swapped": STARS.replace("'A'", "'Z'").replace("'B'", "'A'").replace("'Z'", "'B'"),
        "counted from 0": "{'A': [(0, 2)], 'B': [(1, 4)], 'C': [(2, 1)], 'D': [(3, 4)], 'E': [(4, 0)]}",
        "two in a column": STARS.replace("(4, 4)", "(4, 5)"),
        "a region twice": STARS.replace("{", "{'E': [], "),
        "out of the grid": STARS.replace("(5, 1)", "(5, 6)"),
    }
    for why, answer in wrong.items():
        assert not check("star_placement_puzzle", answer), why
    near = game(region_grid=[list("AB"), list("AB")], k=1)
    assert check("star_placement_puzzle", "{'A': [(1, 1)], 'B': [(2, 2)]}", near) is False  # diagonal neighbours
    assert last_stars("{'A': (1, 2)}") == [("A", 1, 2)]
    assert check("star_placement_puzzle", "no dictionary { here }") is None


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("object_counting", [r"\boxed{347}", "347", "答案是 347。", "**答案：** 347个", r"\boxed{347\text{ items}}"],
         ["346", r"\boxed{-347}", r"\boxed{347} \boxed{348}", r"\boxed{347\%}", "答案是 347。答案是 348。\n答案是 34"]),
        ("object_properties", [r"\boxed{37}", "The answer is 37.", r"\boxed{37.0}"], [r"\boxed{unknown}", r"\boxed{38}"]),
        ("operation", ["55803.57142857143", r"\boxed{\frac{390625}{7}}", r"\boxed{390625/7}", r"\boxed{55803.571}",
                       r"\boxed{\frac{390625}{7} \approx 55803.57}", r"\boxed{x = 55{,}803.57143}"],
         [r"\boxed{55803.58}", r"\boxed{55804}", r"\boxed{-55803.57142857143}", r"\boxed{1 = 55803.57142857143}"]),
        ("space_reasoning", [r"\boxed{lounge chair}", r"\boxed{\text{Lounge Chair}}", "The answer is lounge chair."],
         [r"\boxed{chair}", r"\boxed{unknown}", r"\boxed{lounge chair, pot}"]),
        ("space_reasoning_tree", [r"\boxed{cactus, green tea, clay}", r"\boxed{clay，cactus，green tea}",
                                  r"\boxed{cactus, green tea, and clay}"],
         [r"\boxed{cactus, clay}", r"\boxed{cactus, clay, clay, green tea}", r"\boxed{cactus, clay, green tea, pot}"]),
        ("time_sequence", ["[55, 2]", "55 minutes from [10, 11] on.\n[55，2]", r"\boxed{[55, 2]}", r"\boxed{55, 2}"],
         ["[2, 55]", "[55, 1]", "[55, 2] or rather [60, 2]", r"\boxed{55}", "[55, 2, 1]"]),
        ("web_of_lies", ["yes, no, yes", "The answer is **yes, no, yes**.", "答案是 **是,否,是**。", r"\boxed{Yes, No, Yes}"],
         ["yes, no", "yes, no, yes, yes", "The answer is **yes, yes, yes**.", "答案是 **否, 否, 是**。", "yes, no, maybe"]),
    ],
)  # fmt: skip
def test_one_defined_answer(key: str, right: list[str], wrong: list[str]) -> None:
    for answer in right:
        assert check(key, answer) is True, answer
    for answer in wrong:
        assert check(key, answer) is False, answer
    assert (
        check(key, "I went through all of it again and again, step by step, and could not come to any result.") is None
    )
    assert check(key, "") is None


def test_operation_by_value_not_by_closeness_to_zero() -> None:
    tiny = game("4.29382399415887e-23")
    assert check("operation", r"\boxed{4.29382 \times 10^{-23}}", tiny) is True
    for answer in ("0", r"\boxed{0.000000}", r"\boxed{4.29383 \times 10^{-23}}", r"\boxed{4.29382 \times 10^{-22}}"):
        assert check("operation", answer, tiny) is False, answer
    assert check("operation", r"\boxed{16.0000001}", game("16")) is False
    assert check("operation", r"\boxed{1 - 7 ☆ 8 = 16}", game("16")) is True


def test_unknown_and_no_meeting() -> None:
    assert check("object_properties", r"\boxed{Unknown}", game("unknown")) is True
    assert check("object_properties", r"\boxed{3}", game("unknown")) is False
    for answer in ("[0, 0]", "0", r"\boxed{0}"):
        assert check("time_sequence", answer, game([0, 0])) is True
    assert check("time_sequence", "[30, 1]", game([0, 0])) is False


@pytest.mark.parametrize("key", sorted(GAMES))
@given(text=st.text(max_size=300) | st.text(alphabet="[](){},'\"0123X yesno答案是：\\boxed*`=-.\n", max_size=300))
def test_no_text_raises_or_passes(key: str, text: str) -> None:
    assert check(key, text) in (None, False)


HOSTILE = [
    "[" * 90_000, "{" * 90_000, "[[" + "1, " * 30_000, "[[1, 2], " * 10_000, "{'A': [" * 10_000, r"\boxed{" * 10_000,
    "答案是" * 30_000, "答案：\n" * 20_000, "**yes**" * 10_000, r"\boxed{" + "9" * 90_000 + "}", "9" * 4_000 + "." + "9" * 4_000,
    r"\boxed{1" + "+1" * 40_000 + "}", r"\boxed{" + "(" * 900 + "1" + ")" * 900 + "}", r"\boxed{1e999999999}",
    "(1, 2), " * 10_000, "[(1, 2), " * 900 + "]" * 900, "'" * 90_000, "\\" * 90_000, "```" * 30_000, "\x00" * 90_000,
    "[1 " + " " * 90_000 + ", 2]", "[[9" + "9" * 5_000 + "]]", "<answer>" * 10_000, "{'A': [(1, 2)], " * 6_000, "٣, ²",
    "[[², ³]]", "[²,³]", "{'A': [(²,٣)]}", "yes, " * 20_000, "a, " * 30_000 + r"\boxed{" + "a, " * 600 + "}", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("key", sorted(GAMES))
def test_hostile_text_is_refused_in_time(key: str) -> None:
    for text in HOSTILE:
        verdict, seconds = timed(partial(check, key, text))
        assert not verdict, text[:40]
        assert seconds < 1.0, text[:40]


def test_the_search_for_mines_ends() -> None:
    size = 12
    grid = [["X" if (r + c) % 2 else "2" for c in range(size)] for r in range(size)]
    answer = [(r, c) for r in range(size) for c in range(size) if grid[r][c] == "X"]
    puzzle = game(revealed_grid=grid, current_mines=answer[:1])
    assert check("minesweeper", str(answer), puzzle) is False
    assert cpu_seconds(partial(check, "minesweeper", str(answer), puzzle), times=1) < 1.0


ROOT = Path(__file__).resolve().parents[4]
DATA = Path(os.environ.get("SIMKO_DATA") or ROOT.parent / "shared" / "data") / "synlogic_generated.jsonl.gz"
shared = pytest.mark.skipif(
    not DATA.is_file(), reason="needs synlogic_generated.jsonl.gz in SIMKO_DATA or ../shared/data"
)


def rows(key: str) -> list[tuple[str, str, dict[str, Any]]]:
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        matches = [row for row in map(json.loads, lines) if row["subject"] == key]
    return [
        (row["answer"], row["extra"]["accepted_response"], json.loads(row["extra"]["game_data_str"])) for row in matches
    ]


def same_in_both_languages(key: str, answer: str) -> str:
    return answer.replace("是", "yes").replace("否", "no") if key == "web_of_lies" else answer


@shared
@pytest.mark.parametrize("key", sorted(GAMES))
def test_shared_rows_and_answers_of_other_rows(key: str) -> None:
    puzzles = rows(key)
    assert len(puzzles) >= 10
    for answer, accepted, state in puzzles:
        assert check(key, accepted, state) is True
        gold = json.dumps({"key": key, "game": state})
        assert synlogic(f"<think>{accepted}?</think>{accepted}", gold).outcome == "correct"
        for other, response, _ in puzzles:
            if same_in_both_languages(key, other) != same_in_both_languages(key, answer):
                assert check(key, response, state) is False


def swapped(grid: list[list[Any]]) -> Iterator[list[list[Any]]]:
    """The grid with two different cells of a row swapped, or two of a column."""
    size = len(grid)
    for r, c in itertools.product(range(size), range(size - 1)):
        for (a, b), (d, e) in (((r, c), (r, c + 1)), ((c, r), (c + 1, r))):
            if grid[a][b] != grid[d][e]:
                other = [list(row) for row in grid]
                other[a][b], other[d][e] = other[d][e], other[a][b]
                yield other


@shared
@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("numbrix", "solution"),
        ("skyscraper_puzzle", "solved_grid"),
        ("sudoku", "complete_sudoku"),
        ("survo", "filled_matrix"),
    ],
)
def test_shared_grids_with_two_cells_swapped_or_a_row_dropped(key: str, field: str) -> None:
    for _, _, state in rows(key):
        grid = state["metadata"][field]
        assert check(key, fenced(grid), state) is True
        assert check(key, fenced(grid[:-1]), state) is False
        assert check(key, fenced([row[:-1] for row in grid]), state) is False
        assert not any(check(key, str(other), state) for other in swapped(grid))
