r"""Maths, where a row may say more than its answer: other accepted answers, a tolerance.

The gold answer is text as for `math`, or JSON text: `{"answer": "4.2", "accepted": ["4.20"], "tolerance": "0.1"}`. A
response is correct where it equals the answer or one of the accepted ones by the policy of `math`, or where it states a
number at most `tolerance` (absolute) away from the answer, in the same unit.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

from simko.envs.verifiers.answer.extract import final_answer
from simko.envs.verifiers.math.equal import math
from simko.envs.verifiers.math.readings import quick_equal
from simko.envs.verifiers.reading.numbers import Number, parse_number
from simko.envs.verifiers.reading.quantities import least_names, values_stated
from simko.envs.verifiers.reading.shapes import sides
from simko.envs.verifiers.reading.text import MAX_ANSWER, clean
from simko.envs.verifiers.reading.units import same_unit, split_unit
from simko.envs.verifiers.worker.allowance import Allowance
from simko.types import Verdict

MAX_ACCEPTED = 8


def math_row(response: str, gold: str) -> Verdict:
    """Grade a response. A JSON gold without an `answer`, or with an improper tolerance, is an `error`."""
    parts = _parts(gold)
    if parts is None:
        return Verdict("error", 0.0)
    answer, accepted, tolerance = parts
    allowance = Allowance()
    verdict = math(response, answer, allowance)
    if verdict.correct:
        return verdict
    for other in accepted:
        alternative = math(response, other, allowance)
        if alternative.correct:
            return alternative
        if verdict.valid and not alternative.valid:
            verdict = alternative  # undecided: not known to be wrong
    if tolerance is not None and _near(response, answer, tolerance):
        return Verdict("correct", 1.0, verdict.extracted)
    return verdict


def _parts(gold: str) -> tuple[str, list[str], Fraction | None] | None:
    if not gold.lstrip().startswith('{"'):
        return gold, [], None
    try:
        row: Any = json.loads(gold)
        answer, accepted, tolerance = row["answer"], row.get("accepted", []), row.get("tolerance")
        if not isinstance(answer, str) or not all(isinstance(item, str) for item in accepted):
            return None
        distance = None if tolerance is None else Fraction(str(tolerance))
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError):
        return None
    return None if distance is not None and distance < 0 else (answer, accepted[:MAX_ACCEPTED], distance)


def _near(response: str, answer: str, tolerance: Fraction) -> bool:
    final = final_answer(response, same=quick_equal)
    if final.text is None or len(final.text) > MAX_ANSWER:
        return False
    ours = _stated(answer, 2)
    theirs = None if ours is None else _stated(final.text, least_names(answer, ours[0].value))
    if ours is None or theirs is None or not same_unit(ours[1], theirs[1]):
        return False
    return abs(ours[0].value - theirs[0].value) <= tolerance


def _stated(text: str, least: int) -> tuple[Number, str] | None:
    """The number that a text states, with its unit, without what stands on the left: expressions of `least` names or more."""
    parts = values_stated(sides(clean(text)), least=least)
    if len(parts) > 1:
        return None
    value, unit = split_unit(parts[0])
    number = parse_number(value)
    return None if number is None else (number, unit)
