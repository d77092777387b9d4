"""Several accepted answers: a gold answer may be JSON text, `{"answer": "4", "accepted": ["four"]}`.

It is the form that `math_row` reads, too. `numeric`, `exact` and `choice` grade a response with each of the answers, and
`math` hands such a gold to `math_row`, where all comparisons share one second.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from simko.types import Verdict

TAKE_SEVERAL = ("math", "math_row", "numeric", "exact", "choice")
"""Verifiers whose gold answer may be a list of accepted answers."""
MAX_ACCEPTED = 9  # with the answer itself: `math_row` compares with at most eight others


def accepted_answers(gold: str) -> list[str]:
    """Every answer that a gold accepts, the first one first. A gold that is no such JSON accepts itself."""
    if not gold.startswith('{"answer":'):
        return [gold]
    try:
        parts: Any = json.loads(gold)
        answer, others = parts["answer"], parts["accepted"]
    except (ValueError, KeyError, RecursionError):
        return [gold]
    sound = isinstance(answer, str) and isinstance(others, list) and all(isinstance(other, str) for other in others)
    return [answer, *others] if sound else [gold]


def any_of(check: Callable[..., Verdict], response: str, gold: str, **options: Any) -> Verdict:
    """The verdict of the first accepted answer that the response equals, else that of the first one."""
    verdicts = (check(response, answer, **options) for answer in accepted_answers(gold))
    first = next(verdicts)
    return first if first.correct else next((verdict for verdict in verdicts if verdict.correct), first)


def row_if_several(
    check: Callable[[str, str], Verdict], row: Callable[[str, str], Verdict], response: str, gold: str
) -> Verdict:
    """The verdict of `row` on a gold of several answers, and of `check` on any other."""
    return (row if len(accepted_answers(gold)) > 1 else check)(response, gold)
