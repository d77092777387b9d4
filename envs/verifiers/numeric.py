r"""A number: exact by default, within a stated relative tolerance as `numeric:1e-6`.

The final answer must *state* a number (`numbers.parse_number`): a sum left standing, such as the problem itself, is not an
answer. It may stand at the end of an equation, `3 + 5 = 8`, where every part of the equation has that value. A name on
the left (`x = 8`), a currency sign and a unit are dropped, but not two known ones that differ.
"""

from __future__ import annotations

import re
from fractions import Fraction

from simko.envs.verifiers.answer.extract import MAX_WHOLE, final_answer, is_bare
from simko.envs.verifiers.reading.numbers import Number, equal, evaluate, parse_number
from simko.envs.verifiers.reading.shapes import is_name, sides
from simko.envs.verifiers.reading.text import clean
from simko.envs.verifiers.reading.units import same_unit, split_unit
from simko.types import Verdict

_STYLED = re.compile(r"^\\text\s?\{([^{}]{1,60})\}$")


def stated(text: str) -> Number | None:
    """The number that `text` states; None where it states none, or an equation that does not hold."""
    *before, last = sides(clean(text))
    last = _STYLED.sub(r"\1", split_unit(last)[0])
    value = parse_number(last[1:-1] if (last[:1], last[-1:]) in (("(", ")"), ("{", "}")) else last)
    if value is None:
        return None
    if before and is_name(before[0]):
        before = before[1:]
    return value if all(evaluate(side) == value.value for side in before) else None


def numeric(response: str, gold: str, tolerance: float = 0.0) -> Verdict:
    """Grade a number. Correct where `|answer - gold| <= tolerance * |gold|`; a gold that is no number is an `error`."""
    wanted = stated(gold)
    if wanted is None:
        return Verdict("error", 0.0)

    def same(a: str, b: str) -> bool:
        x, y = stated(a), stated(b)
        return a == b if x is None or y is None else equal(x, y)

    def whole(text: str) -> bool:
        return is_bare(text) or (len(text) <= MAX_WHOLE and stated(text) is not None)

    found = final_answer(response, same=same, whole=whole)
    if found.text is None:
        return Verdict("incorrect" if found.conflict else "no_answer", 0.0, found.shown)
    value = stated(found.text)
    correct = (
        value is not None
        and same_unit(_unit(gold), _unit(found.text))
        and (equal(wanted, value) or _near(wanted, value, Fraction(tolerance)))
    )
    return Verdict("correct" if correct else "incorrect", float(correct), found.shown)


def _near(gold: Number, value: Number, tolerance: Fraction) -> bool:
    return gold.percent == value.percent and abs(gold.value - value.value) <= tolerance * abs(gold.value)


def _unit(text: str) -> str:
    return split_unit(sides(clean(text))[-1])[1]
