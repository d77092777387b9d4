"""Mathador (the 24 game): reach a number with the given ones, each once, with the allowed operators.

Arithmetic is exact. Upstream's own verifier subtracts the result from itself, so it accepts any expression of the given
numbers; this one computes the value.
"""

from __future__ import annotations

from typing import Any

from simko.envs.verifiers.expression import evaluate, is_expression, split_target
from simko.envs.verifiers.synlogic.common import marked_or_last_line


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the last fenced block, box or line is an expression of the numbers that gives the result."""
    answer = marked_or_last_line(text, is_expression)
    if answer is None:
        return None
    state = game["metadata"]
    operators, target = state["operators"], state["result"]
    written, claimed = split_target(answer)
    if any(char in "+-*/" and char not in operators for char in written):
        return False
    try:
        value, used = evaluate(written)
    except (ValueError, ZeroDivisionError):
        return False
    return value == target and used == sorted(state["numbers"]) and claimed in (None, str(target))
