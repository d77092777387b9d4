"""The verifier `synlogic`: puzzles graded by their rules. Any solution that satisfies the rules is correct.

The gold answer is JSON text `{"key": <puzzle key>, "game": <the puzzle's state>}`. The state is what SynLogic's
generators write into `game_data_str` (`question`, `answer`, `metadata`). `CHECKERS` maps a key to its checker, which is
imported when it is first used. Puzzles are never graded by text: a key without a checker is refused by name when the
rows are loaded (`require_checker`), and has the outcome `error` here.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from simko.envs.verifiers.synlogic.common import answer_part
from simko.errors import UserError, nearest
from simko.types import Verdict

Checker = Callable[[str, dict[str, Any]], "bool | None"]
"""`check(text, game)`: whether the text solves the puzzle, or None if it holds no answer of the form asked for.

`text` is the answer part of a response, `game` the puzzle's state."""

_HERE = "simko.envs.verifiers.synlogic"

CHECKERS: dict[str, str] = {
    "arrow_maze": f"{_HERE}.arrow_maze:check",
    "boolean_expressions": f"{_HERE}.boolean_expressions:check",
    "buggy_tables": f"{_HERE}.buggy_tables:check",
    "calcudoko": f"{_HERE}.calcudoko:check",
    "campsite": f"{_HERE}.campsite:check",
    "cryptarithm": f"{_HERE}.cryptarithm:check",
    "dyck_language": f"{_HERE}.dyck:complete",
    "dyck_language_errors": f"{_HERE}.dyck:errors",
    "dyck_language_reasoning_errors": f"{_HERE}.dyck:reasoning_errors",
    "futoshiki": f"{_HERE}.futoshiki:check",
    "goods_exchange": f"{_HERE}.goods_exchange:check",
    "kukurasu": f"{_HERE}.kukurasu:check",
    "math_path": f"{_HERE}.math_path:check",
    "mathador": f"{_HERE}.mathador:check",
    "minesweeper": f"{_HERE}.minesweeper:minesweeper",
    "number_wall": f"{_HERE}.number_wall:number_wall",
    "numbrix": f"{_HERE}.filled_grids:numbrix",
    "object_counting": f"{_HERE}.stated:object_counting",
    "object_properties": f"{_HERE}.stated:object_properties",
    "operation": f"{_HERE}.stated:operation",
    "skyscraper_puzzle": f"{_HERE}.filled_grids:skyscraper_puzzle",
    "space_reasoning": f"{_HERE}.stated:space_reasoning",
    "space_reasoning_tree": f"{_HERE}.stated:space_reasoning_tree",
    "star_placement_puzzle": f"{_HERE}.stars:star_placement_puzzle",
    "sudoku": f"{_HERE}.filled_grids:sudoku",
    "survo": f"{_HERE}.filled_grids:survo",
    "time_sequence": f"{_HERE}.stated:time_sequence",
    "web_of_lies": f"{_HERE}.stated:web_of_lies",
}
"""Puzzle key to `"module:function"`."""

MAX_SHOWN = 200


@lru_cache(maxsize=64)
def get_checker(key: str) -> Checker:
    """The checker of a puzzle key. Raises `UserError` with the key if it has no checker."""
    module, function = require_checker(key).split(":")
    checker: Checker = getattr(importlib.import_module(module), function)
    return checker


def require_checker(key: str) -> str:
    """The entry point of a key's checker. Raises `UserError` with the key if it has no checker."""
    if key not in CHECKERS:
        raise UserError(
            f"synlogic: no rule checker for the puzzle '{key}'{nearest(key, CHECKERS)}; such rows are never graded by text"
        )
    return CHECKERS[key]


def synlogic(response: str, gold: str) -> Verdict:
    """Grade by the rules of the puzzle in `gold`."""
    puzzle = json.loads(gold)
    text = answer_part(response)
    shown = text.strip()[-MAX_SHOWN:] or None
    correct = get_checker(puzzle["key"])(text, puzzle["game"])
    if correct is None:
        return Verdict("no_answer", 0.0, shown)
    return Verdict("correct" if correct else "incorrect", float(correct), shown)
