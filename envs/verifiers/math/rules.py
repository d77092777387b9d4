r"""The rules by which a gold answer and an answer are equal, in order: the first that does not say None decides.

Each rule looks at two readings, the gold answer's first. `RULES` at the end is the order, with the reasons for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

from simko.envs.verifiers.math import large
from simko.envs.verifiers.math.intervals import condition, is_plain_pair
from simko.envs.verifiers.math.readings import Reading, quick_equal, read
from simko.envs.verifiers.math.shown import MODULUS, computed
from simko.envs.verifiers.reading import allowlist
from simko.envs.verifiers.reading.angles import has_angles, of_angles
from simko.envs.verifiers.reading.numbers import (
    approximates,
    equal,
    has_finite_decimal,
    parse_number,
    with_decimal_comma,
)
from simko.envs.verifiers.reading.quantities import is_of_one_name, least_names, values_stated
from simko.envs.verifiers.reading.roundings import Rounded, rounded
from simko.envs.verifiers.reading.shapes import (
    MAX_ITEMS,
    Shape,
    as_list,
    as_matrix,
    in_order_of_names,
    is_name,
    reads_as_interval,
    same_ratio,
    sides,
    split,
    unnamed_point,
    with_dots,
)
from simko.envs.verifiers.reading.text import key, same_string
from simko.envs.verifiers.reading.units import same_unit, split_unit

MAX_ROUNDINGS = 4
_UNORDERED = ("list", "set")
_HALVES_OF_DAY = frozenset(("am", "pm"))


class Comparer(Protocol):
    """What a rule may ask of the comparison that it is part of."""

    def equal(self, gold: str, answer: str) -> bool:
        """Whether two parts of the answers are equal, by all rules."""

    def ask(self, gold: str, answer: str, relation: bool = False) -> bool:
        """Whether two formulas are equal, or two relations: what the worker says."""


Rule = Callable[[Reading, Reading, Comparer], bool | None]


def same_text(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """The same string; two empty ones are not equal."""
    return key(gold.text) != "" if same_string(gold.text, answer.text) else None


def degree_sign_left_out(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    r"""`2\sin 30` for `2\sin 30^\circ`."""
    if not has_angles(gold.text) or "^\\circ" in answer.text:
        return None
    return True if same_string(gold.text.replace("^\\circ", ""), answer.text) else None


def degrees_and_radians(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    r"""`90^\circ`, or `\frac{\pi}{2} = 90^\circ`, and `\frac{\pi}{2}`; a multiple of pi in degrees is none."""
    units = gold.stated_unit, answer.stated_unit
    if units not in (("deg", ""), ("", "deg"), ("deg", "rad"), ("rad", "deg")):
        return None
    parts = sides(answer.text)
    if len(parts) == 2 and units == ("", "deg") and "=" not in gold.text:
        return True if all(comparer.equal(gold.text, part) for part in parts) else None
    in_radians = of_angles(gold.bare, gold.stated_unit, answer.bare, answer.stated_unit)
    if in_radians is None:
        return False if units == ("", "deg") and "\\pi" in gold.bare and "\\pi" in answer.bare else None
    return comparer.equal(*in_radians)


def time_of_day(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """`4:30` for `4:30 p.m.`: with hours and minutes, an answer must state the half of the day that the gold answer states."""
    halves = _HALVES_OF_DAY.intersection(gold.stated_unit.split())
    return False if halves and ":" in gold.text and not halves.intersection(answer.stated_unit.split()) else None


def units_differ(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """Two known units, and not the same: 5 cm, 5 m."""
    return None if same_unit(gold.unit, answer.unit) else False


def minutes_of_arc(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """`42'` for 42 may be minutes, feet or a derivative."""
    return False if answer.stated_unit == "arcmin" and not gold.stated_unit else None


def units_taken_off(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """What is left without units, where at least one side has one."""
    return comparer.equal(gold.bare, answer.bare) if gold.stated_unit or answer.stated_unit else None


def exact_numbers(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """Two numbers by their exact values; a decimal may stand for a value that has no finite one."""
    if gold.number is None or answer.number is None:
        return None
    return equal(gold.number, answer.number) or approximates(gold.number, answer.bare)


def ratio_and_fraction(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """`3:2` and `3/2`."""
    return True if same_ratio(gold.bare, answer.bare) else None


def decimal_comma(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """`3,5` for 3.5."""
    return True if gold.number is not None and with_decimal_comma(gold.bare, answer.bare) else None


def value_and_its_rounding(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    r"""`\frac{1}{3} \approx 0.33`: an exact value that equals the gold answer, then decimals that it rounds to."""
    parts = split(answer.bare, ("\\approx", "\\sim", "\\cong")) or []
    if not 2 <= len(parts) <= MAX_ROUNDINGS or "\\approx" in gold.bare:
        return None
    exact, *roundings = parts
    decimals = [rounded(split_unit(rounding)[0]) for rounding in roundings]
    if None in decimals:
        return None
    if not comparer.equal(gold.bare, exact):
        return False
    last_side = split_unit(sides(exact)[-1])[0]
    return all(_rounds(last_side, decimal, comparer) for decimal in decimals if decimal is not None)


def value_equals_its_rounding(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    r"""`\frac{1}{3} = 0.33`: the same with a sign of equality, if the value has no finite decimal."""
    *before, last = sides(answer.bare)
    decimal = rounded(last)
    if not before or decimal is None or not decimal.has_point or "=" in gold.bare:
        return None
    exact = values_stated(before)
    if is_name(exact[-1]) or (parse_number(exact[-1]) is not None and "." in exact[-1]):
        return None
    value = _exact_value(read(exact[-1]))
    if value is not None and has_finite_decimal(value):
        return None
    return True if comparer.equal(gold.bare, " = ".join(exact)) and _rounds(exact[-1], decimal, comparer) else None


def conditions(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """Conditions on one number as intervals: `x > 5`; beside a gold pair that may be a point only another condition."""
    ours = condition(gold.bare, comparer.ask) if gold.is_condition else None
    theirs = condition(answer.bare, comparer.ask) if answer.is_condition else None
    if ours is not None and theirs is not None:
        is_other_name = ours[0] and theirs[0] and key(ours[0]) != key(theirs[0])
        return False if is_other_name else comparer.equal(ours[1], theirs[1])
    if ours is not None and not answer.is_condition:
        return comparer.equal(ours[1], answer.bare)
    if theirs is not None and not gold.is_condition and not is_plain_pair(gold.bare):
        return comparer.equal(gold.bare, theirs[1])
    return None


def in_parentheses(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """`(x)` is `x`."""
    if len(gold.shape.items) == 1 and gold.shape.brackets == "()":
        return comparer.equal(gold.shape.items[0], answer.bare)
    if len(answer.shape.items) == 1 and answer.shape.brackets == "()":
        return comparer.equal(gold.bare, answer.shape.items[0])
    return None


def named_point(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """`P(1, 2)` for `(1, 2)`."""
    if gold.shape.kind != "group" or answer.shape.kind != "scalar":
        return None
    point = unnamed_point(answer.bare)
    return None if point is None else comparer.equal(gold.bare, point)


def congruence(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    r"""`2^{10} \equiv 2 \pmod{7}`, or with `=`, for 2: a remainder that is computed from whole numbers."""
    match = MODULUS.fullmatch(answer.bare)
    parts = (split(match["sides"], ("\\equiv", "=")) if match else None) or []
    if match is None or len(parts) < 2 or gold.number is None:
        return None
    modulus, value = int(match["modulus"]), gold.number.value
    if not 0 <= value < modulus or parse_number(parts[-1]) != gold.number:
        return None
    return True if all(large.remainder(part, modulus) == value for part in parts[:-1]) else None


def terms_with_dots(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    r"""`1 + 2 + \ldots + n`: sums with dots, term by term in order; dots are equal to dots alone."""
    if "\\ldots" not in gold.bare or "\\ldots" not in answer.bare or "=" in gold.bare + answer.bare:
        return None
    ours, theirs = split(gold.bare, ("+",)) or [], split(answer.bare, ("+",)) or []
    if not 1 < len(ours) == len(theirs) <= MAX_ITEMS:
        return None
    return all(same_string(x, y) or comparer.equal(x, y) for x, y in zip(ours, theirs, strict=True))


def shapes(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """Lists, sets, tuples, unions and matrices, item by item; a scalar is equal to none of them."""
    a, b = gold.shape, answer.shape
    if a.kind in _UNORDERED and b.kind == "scalar":
        b = as_list(answer.bare) or b
    if a.kind == b.kind == "scalar":
        return None
    if "scalar" in (a.kind, b.kind):
        has_sign = "=" in gold.bare or "=" in answer.bare
        several = any(
            s.kind == "list" and len(sides(r.bare)) > 2 for s, r in ((a, gold), (b, answer))
        )  # x = 1, x = 2 is not one equation
        return None if has_sign and not several else False
    if "matrix" in (a.kind, b.kind):
        a, b = as_matrix(a), as_matrix(b)
    if len(a.items) != len(b.items) or a.columns != b.columns:
        return False
    kinds = (a.kind, b.kind)
    if kinds in (("group", "group"), ("matrix", "matrix")):
        return a.brackets == b.brackets and _in_order(a, b, comparer)
    if kinds == ("group", "list"):
        b = replace(b, items=in_order_of_names(b.items))
        return a.brackets == "()" and _in_order(a, b, comparer)
    if kinds != ("union", "union") and with_dots(a):
        return _in_order(a, b, comparer) or _in_order(a, replace(b, items=b.items[::-1]), comparer)
    if kinds == ("union", "union") or (a.kind in _UNORDERED and b.kind in _UNORDERED):
        return _in_any_order(a, b, comparer)
    if kinds != ("list", "group") or b.brackets != "()" or a.brackets or reads_as_interval(b):
        return False
    return _in_order(a, b, comparer)


def equations(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """Values behind a name, side by side, or two equations that say the same."""
    if "=" not in gold.bare and "=" not in answer.bare:
        return None
    both_scalar = gold.shape.kind == answer.shape.kind == "scalar"
    ours_text, theirs_text = (gold.shape.items[0], answer.shape.items[0]) if both_scalar else (gold.bare, answer.bare)
    ours, theirs = sides(ours_text), sides(theirs_text)
    name = ours[0] if len(ours) > 1 and is_name(ours[0]) else ""
    other = theirs[0] if len(theirs) > 1 and is_name(theirs[0]) else ""
    if (len(ours) == 1 or name) and not (name and other and key(name) != key(other)):
        values = ours[1:] if name else ours
        stated = values_stated(theirs, allowlist.letters(values[-1]), least_names(gold.bare, gold.value))
        names = theirs[: -len(stated)]
        if gold.value == 0 and any(any(map(str.isdigit, side)) and not is_name(side) for side in names):
            stated = theirs  # 2x - y = 0 is a line
        shown = [*map(computed, stated[:-1]), stated[-1]]
        if all(value and comparer.equal(values[-1], value) for value in shown):
            return True
        if not (name and len(ours) == len(theirs) == 2):
            return False
    return _same_equation(ours_text, theirs_text, comparer)


def inequalities(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """Two inequalities that say the same; an inequality and a value are different."""
    if not gold.is_inequality and not answer.is_inequality:
        return None
    return gold.is_inequality and answer.is_inequality and comparer.ask(gold.bare, answer.bare, relation=True)


def exact_values(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """Sums and products of numbers, computed; powers and factorials where they are equal: a decimal may stand for one."""
    if gold.value is not None and answer.value is not None:
        return gold.value == answer.value
    ours, theirs = _exact_value(gold), _exact_value(answer)
    return True if ours is not None and ours == theirs else None


def formulas(gold: Reading, answer: Reading, comparer: Comparer) -> bool | None:
    """What is left: formulas on the allow-list, by sympy and math-verify."""
    return comparer.ask(gold.shape.items[0], answer.shape.items[0])


def _exact_value(reading: Reading) -> Fraction | None:
    if reading.number is not None:
        return reading.number.value / 100 if reading.number.percent else reading.number.value
    return large.value(reading.bare) if reading.value is None else reading.value


def _rounds(exact: str, decimal: Rounded, comparer: Comparer) -> bool:
    """Whether a decimal is a value rounded to one of its places."""
    value = _exact_value(read(exact))
    if value is not None:
        return decimal.stands_for(value)
    half = "0" if decimal.cut else r"\frac{1}{2}"
    for place in decimal.places:
        # The sign of multiplication matters: latex2sympy reads `100 (x)` with a fraction for x as a mixed number.
        scaled = rf"({exact}) \cdot {place.denominator}" if place <= 1 else rf"\frac{{{exact}}}{{{place.numerator}}}"
        if comparer.ask(rf"\lfloor {scaled} + {half} \rfloor", str((decimal.value / place).numerator)):
            return True
    return False


def _in_order(a: Shape, b: Shape, comparer: Comparer) -> bool:
    return all(_same_item(x, y, comparer) for x, y in zip(a.items, b.items, strict=True))


def _in_any_order(a: Shape, b: Shape, comparer: Comparer) -> bool:
    left = list(b.items)
    for item in a.items:
        match = next((o for o in left if quick_equal(item, o)), None)
        if match is None:
            match = next((o for o in left if _same_item(item, o, comparer)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _same_item(gold: str, answer: str, comparer: Comparer) -> bool:
    """Whether two items are equal. Among several, `2x = 1` is one equation of a system, and does not state 1."""
    if "=" not in gold and is_of_one_name(answer):
        return False
    return comparer.equal(gold, answer)


def _same_equation(gold: str, answer: str, comparer: Comparer) -> bool:
    """Whether two equations in the same variables say the same: `y = 2x`, `x = y/2`."""
    names = allowlist.letters(gold)
    if len(sides(gold)) != 2 or len(sides(answer)) != 2 or not names or names != allowlist.letters(answer):
        return False
    return comparer.ask(gold, answer, relation=True)


RULES: tuple[Rule, ...] = (
    same_text,  # first: cheap, and right whatever the text means
    degree_sign_left_out,
    # Units before values: 5 cm is not 5 m. Angles and times before them, since their units do not compare by name alone.
    degrees_and_radians,
    time_of_day,
    units_differ,
    minutes_of_arc,
    units_taken_off,
    # From here on neither side has a unit. Exact numbers before shapes: 1,234 is a number and not a list.
    exact_numbers,
    ratio_and_fraction,
    decimal_comma,
    # Roundings and congruences before equations, whose sides must all be equal.
    value_and_its_rounding,
    value_equals_its_rounding,
    congruence,
    # Conditions before shapes, since an interval is one, and before inequalities, which compare as relations alone.
    conditions,
    in_parentheses,
    named_point,
    shapes,
    # Only scalars are left, but for equations with a list: x = 1, 2.
    terms_with_dots,
    equations,
    inequalities,
    exact_values,
    formulas,  # last: it decides always, and takes the worker's time
)
"""The rules in order."""
