"""SynLogic (Liu et al. 2025): logic puzzles that are graded by their rules. `level` is a puzzle's key.

The rows come from `data` (a file or a folder), else from the folder `SIMKO_DATA`, else from the Hub
(`MiniMaxAI/SynLogic`, config `easy` or `hard`). A file has one of two forms:
  - the Hub's nested columns (`data_source`, `prompt`, `extra_info.game_data_str`): the file is the split asked for;
  - the normalised columns (`problem`, `subject`, `extra.game_data_str`): the content of the problems decides the split,
    and one in five is for evaluation.

A row whose puzzle has no rule checker is refused with the puzzle's name; `keep_good_rows` leaves it out and counts it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from simko.envs.data.chat import asked
from simko.envs.data.loading import Row, dig, load_rows, present
from simko.envs.data.rows import Pair, RowSource, Sieve, text_of
from simko.envs.split import is_eval
from simko.envs.verifiers.synlogic import require_checker
from simko.errors import UserError
from simko.types import Task

HUB = "MiniMaxAI/SynLogic"
PARTS = {"train": "train", "eval": "validation"}
PUBLISHED = {("easy", "train"): 15837, ("easy", "eval"): 270, ("hard", "train"): 32840, ("hard", "eval"): 350}
STATE = ("extra_info.game_data_str", "extra.game_data_str", "game_data_str")
ALIASES = {"game_of_24": "mathador"}
"""A puzzle's name in the data, to the key of its checker."""
ANYTHING = "```python\n[[1, 1], [1, 1]]\n```"
"""An answer that makes a checker read its state. It is used if no solution is stored."""
MANY = frozenset(
    [
        "boolean_expressions",
        "calcudoko",
        "dyck_language_errors",
        "dyck_language_reasoning_errors",
        "futoshiki",
        "mathador",
        "web_of_lies",
    ]
)
"""Keys with short answers, or with few rules: the answer of one puzzle may well be right for another."""
READS_QUESTION = frozenset({"minesweeper"})
"""Keys whose checkers read the problem text."""
UNUSED = frozenset(
    """trace_id gpt_response buggy_table original_table bug_description queries query_result thoughts possessions story
    initial_collection final_collection""".split()  # noqa: SIM905
)
"""Parts of the state that no checker reads. They are left out of the gold answer, which every rollout record holds."""


class SynLogic(RowSource):
    """The puzzles of one split, or of one key in it.

    Raises `UserError` for a row that cannot be read, a puzzle without a checker, a key without rows, and if there is no
    data.
    """

    def __init__(
        self,
        split: str = "train",
        level: str | None = None,
        data: str | Path | None = None,
        keep_good_rows: bool = False,
        config: str = "easy",
    ) -> None:
        if split not in (*PARTS, "all"):
            raise UserError(f"synlogic: split is '{split}'; use 'train' or 'eval' ('all' takes every row of a file)")
        if config not in ("easy", "hard"):
            raise UserError(f"synlogic: config is '{config}'; use 'easy' or 'hard'")
        part = PARTS.get(split, "train")
        hub = HUB.replace("/", "_")
        stems = [f"{hub}_{config}_{part}", f"{hub}_{part}", f"synlogic_{part}", "synlogic_generated", "synlogic"]
        sieve = Sieve(keep_good_rows)
        where, rows = load_rows("synlogic", HUB, (config,), part, stems, data, sieve)
        self.rows = len(rows)
        """Rows that were read."""
        self.published = PUBLISHED.get((config, split)) if where == HUB else None
        tasks, places = [], []
        for number, row in rows:
            place = f"{where}:{number}"
            try:
                task = to_task(row, part, number, place)
            except UserError as error:
                sieve.refuse(str(error))
                continue
            if split == "all" or task.extra["split_by"] == "file" or is_eval(task.problem) == (split == "eval"):
                tasks.append(task)
                places.append(place)
        keys = sorted({task.level for task in tasks})
        if level is not None:
            chosen = [(t, p) for t, p in zip(tasks, places, strict=True) if t.level == level]
            tasks, places = [t for t, _ in chosen], [p for _, p in chosen]
        if not tasks:
            mend = f"it has: {', '.join(keys)}" if keys else "give another file"
            raise UserError(f"{where}: no row of {level or 'any puzzle'} in split '{split}'; {mend}")
        super().__init__("synlogic", split, tasks, places, sieve)

    def check_golds(self, verifier: str, grade: Callable[[str, str], Any]) -> None:
        """Let the checkers read every state, and refuse a state that they cannot use.

        An accepted response that breaks the rules is refused as well. A stored solution that breaks them is only counted
        in `notes`: the puzzle may have another solution.
        """
        if verifier != "synlogic":
            return
        good, unsolved = [], []
        for task in self._tasks:
            verdict = grade(self.answer(task) or ANYTHING, task.gold)
            if verdict.outcome == "error":
                self._sieve.refuse(
                    f"{self._places[task.id]}: the state of this {task.level} lacks what its checker needs"
                )
            elif not verdict.correct and "accepted_response" in task.extra:
                self._sieve.refuse(
                    f"{self._places[task.id]}: the accepted_response of this {task.level} breaks its rules"
                )
            else:
                good.append(task)
                if not verdict.correct:
                    unsolved.append(task.id)
        if unsolved:
            self.notes.append(
                f"synlogic: {len(unsolved)} puzzles have a stored solution that breaks their rules, as '{unsolved[0]}'"
            )
        if len(good) < len(self._tasks):
            if not good:
                raise UserError("synlogic: no row has a state that its checker can use; give another file")
            self._set(good)

    def answer(self, task: Task) -> str:
        """The response that upstream's verifier accepted, else the stored solution written as an answer."""
        return str(task.extra.get("accepted_response") or stored_answer(task.level, json.loads(task.gold)["game"]))

    def pairs(self) -> Iterator[Pair]:
        """The accepted response of each puzzle, alone and after some thinking, and the response of the next puzzle."""
        by_key: dict[str, list[Task]] = {}
        for task in self._tasks:
            by_key.setdefault(task.level, []).append(task)
        for tasks in by_key.values():
            for task, other in zip(tasks, [*tasks[1:], tasks[0]], strict=True):
                response = self.answer(task)
                yield Pair(task, response, True, "accepted_response")
                yield Pair(task, f"<think>Or [[1]]?</think>\n<answer>{response}</answer>", True, "in answer tags")
                if self.answer(other) != response and task.level not in MANY:
                    yield Pair(task, self.answer(other), False, "answer of another puzzle")


def to_task(row: Row, part: str, number: int, place: str) -> Task:
    """One row as a task. Raises `UserError` with the row, and the column or the puzzle."""
    path = present(row, STATE)
    if path is None:
        has = ", ".join(map(str, row))[:200]
        raise UserError(f"{place}: no column '{STATE[0]}' (it has: {has}); is this {HUB}?")
    game = _state(dig(row, path), path, place)
    from_hub = path == STATE[0]
    key = text_of(row.get("data_source" if from_hub else "subject"))
    if key is None:
        raise UserError(
            f"{place}: no text in '{'data_source' if from_hub else 'subject'}'; it must be the puzzle's key"
        )
    key = key.rsplit("/", 1)[-1]
    key = ALIASES.get(key, key)
    try:
        require_checker(key)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
    column = "prompt" if from_hub else "problem"
    try:
        question = asked(row.get(column), row)
    except ValueError as error:
        raise UserError(f"{place}: no text in '{column}' that is one question: {error}") from error
    if question is None:
        raise UserError(f"{place}: no text in '{column}'; it must be the puzzle as it is put")
    extra = {"split_by": "file" if from_hub else "content"}
    if accepted := text_of(dig(row, "extra.accepted_response")):
        extra["accepted_response"] = accepted
    gold = json.dumps({"key": key, "game": _trimmed(key, game)}, ensure_ascii=False)
    id = text_of(row.get("id")) or f"synlogic-{part}-{number}"
    return Task(id, question.problem, gold, key, extra, question.system)


def stored_answer(key: str, game: Mapping[str, Any]) -> str:
    """The solution in the state, written as an answer. Empty if the state has none."""
    state = game.get("metadata") or {}
    if key == "mathador" and (ways := state.get("solutions")):
        return _left_to_right(str(ways[0]))
    places = [state.get(name) for name in ("solution", "solved_grid", "current_mines", "owns_after")]
    value = next((value for value in (*places, game.get("answer")) if value not in (None, "")), "")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if key == "star_placement_puzzle":
        return _regions(text)
    return {"math_path": f"[[{text}]]", "space_reasoning_tree": f"\\boxed{{{text}}}"}.get(key, text) if text else ""


def _regions(text: str) -> str:
    """`[[A(1,1)B(5,4)]]` as `{'A': [(1, 1)], 'B': [(5, 4)]}`."""
    stars: dict[str, list[tuple[int, int]]] = {}
    for name, row, column in re.findall(r"([A-Z]\w{0,3}?)?\((\d+),\s?(\d+)\)", text):
        name = name or next(reversed(stars), "")
        stars.setdefault(name, []).append((int(row), int(column)))
    return str(stars)


def _left_to_right(way: str) -> str:
    """`nums: (5, 7, 2), ops: ('+', '*')` as `(5 + 7) * 2`."""
    numbers, operators = re.findall(r"\d+", way), re.findall(r"'([-+*/])'", way)
    text = numbers[0]
    for operator, number in zip(operators, numbers[1:], strict=False):
        text = f"({text}) {operator} {number}"
    return text


def _state(value: Any, path: str, place: str) -> dict[str, Any]:
    try:
        game = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: column '{path}' is not JSON; it must be the puzzle's state") from error
    if not isinstance(game, dict) or not isinstance(game.get("metadata", {}), dict):
        raise UserError(f"{place}: column '{path}' is {str(value)[:40]!r}; it must be a JSON object with metadata")
    return game


def _trimmed(key: str, game: Mapping[str, Any]) -> dict[str, Any]:
    unused = UNUSED if key in READS_QUESTION else UNUSED | {"question"}
    trimmed = {name: value for name, value in game.items() if name not in unused}
    trimmed["metadata"] = {name: v for name, v in (game.get("metadata") or {}).items() if name not in UNUSED}
    return trimmed
