r"""The verifier `numeric`: a number, compared exactly, or as `numeric:1e-6` within that relative tolerance.

The final answer must *state* a number (`numbers.parse_number`). A sum that is not worked out, such as the problem
itself, is not an answer. The number may be the end of an equation, `3 + 5 = 8`, if every part of it has that value. A
name on the left (`x = 8`, `m + n = 8`, `2x = 8`), a currency sign and a unit are ignored; two known units that differ are wrong.
"""

from __future__ import annotations

import re
from fractions import Fraction

from simko.envs.verifiers.answer.extract import MAX_WHOLE, final_answer, is_bare
from simko.envs.verifiers.math import shown
from simko.envs.verifiers.reading.numbers import Number, equal, parse_number
from simko.envs.verifiers.reading.quantities import least_names, values_stated
from simko.envs.verifiers.reading.shapes import sides
from simko.envs.verifiers.reading.text import clean
from simko.envs.verifiers.reading.units import same_unit, split_unit
from simko.types import Verdict

_STYLED = re.compile(r"^\\text\s?\{([^{}]{1,60})\}$")


def stated(text: str, least: int = 2) -> Number | None:
    """The number that `text` states. None if it does not state one, or states an equation that is false.

    An expression on the left has at least `least` names: two in a gold answer, since `2x = 4` is an equation there.
    """
    *before, last = values_stated(sides(clean(text)), least=least)
    last = _STYLED.sub(r"\1", split_unit(last)[0])
    value = parse_number(last[1:-1] if (last[:1], last[-1:]) in (("(", ")"), ("{", "}")) else last)
    if value is None:
        return None
    worth = (value.value, value.value / 100) if value.percent else (value.value,)  # 3/10 * 100 = 30%, 10% * 3 = 30%
    return value if all(shown.value(side) in worth for side in before) else None


def numeric(response: str, gold: str, tolerance: float = 0.0) -> Verdict:
    """Grade a number. It is correct if `|answer - gold| <= tolerance * |gold|`. A gold without a number is an `error`."""
    target = stated(gold)
    if target is None:
        return Verdict("error", 0.0)
    least = least_names(gold, target.value)

    def same(a: str, b: str) -> bool:
        x, y = stated(a, least), stated(b, least)
        return a == b if x is None or y is None else equal(x, y)

    def whole(text: str) -> bool:
        return is_bare(text) or (len(text) <= MAX_WHOLE and stated(text, least) is not None)

    answer = final_answer(response, same=same, whole=whole)
    if answer.text is None:
        return Verdict("incorrect" if answer.conflict else "no_answer", 0.0, answer.shown)
    value = stated(answer.text, least)
    correct = (
        value is not None
        and same_unit(_unit(gold), _unit(answer.text))
        and (equal(target, value) or _near(target, value, Fraction(tolerance)))
    )
    return Verdict("correct" if correct else "incorrect", float(correct), answer.shown)


def _near(gold: Number, value: Number, tolerance: Fraction) -> bool:
    return gold.percent == value.percent and abs(gold.value - value.value) <= tolerance * abs(gold.value)


def _unit(text: str) -> str:
    return split_unit(sides(clean(text))[-1])[1]
