r"""Conditions on one real number as intervals: `1 < x \le 2`, `x < 3 \text{ or } x > 5`, `2x < 6`, `|x| < 3`.

Two bounds are put in order by their exact values, else by the worker (`Equal`). A condition whose bounds have no known
order is not read as an interval. Conditions with commas between them hold together, or each for itself if they contradict
each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from simko.envs.verifiers.reading.allowlist import letters, tokenize
from simko.envs.verifiers.reading.formula import Node, parse
from simko.envs.verifiers.reading.numbers import evaluate, parse_number
from simko.envs.verifiers.reading.shapes import MAX_ITEMS, is_name, split

Equal = Callable[[str, str], bool]
"""Whether two formulas are equal: what the worker is asked."""

_ORDER = re.compile(r"<|>|\\[lg]e(?![A-Za-z])")
_TURNED = {"<": "<", "\\le": "<=", ">": ">", "\\ge": ">="}
_FLIP = str.maketrans("<>", "><")
_OR = re.compile(r"\\text\s?\{\s?,?\s?or\s?\}|(?<![A-Za-z\\])or(?![A-Za-z])")
_AND = re.compile(r",?\s*(?:\\text\s?\{\s?,?\s?and\s?\}|(?<![A-Za-z\\])and(?![A-Za-z]))")
_NOT_EQUAL = re.compile(r"([^<>=]{1,60}?)\\ne(?![A-Za-z])([^<>=]{1,60})")
_BARS = re.compile(r"\|([^|]{1,60})\|\s?(<|>|\\[lg]e(?![A-Za-z]))([^|<>=]{1,60})")
_SPAN = re.compile(r"([(\[])([^()\[\],;]{1,60})[,;]([^()\[\],;]{1,60})([)\]])")
_REALS_WITHOUT = re.compile(
    r"(?:[a-z]\s?\\in\s?)?\\mathbb\s?\{?R\}?\s?(?:\\setminus|\\backslash|\\smallsetminus|-)\s?(.{2,200})"
)
_LOWEST, _HIGHEST = "-\\infty", "\\infty"


@dataclass(frozen=True, slots=True)
class Span:
    """All numbers between two bounds, which are texts. With `closed_low` the lower bound belongs to it."""

    low: str
    closed_low: bool
    high: str
    closed_high: bool

    def text(self) -> str:
        r"""As `(1, 2]`."""
        return f"{'[' if self.closed_low else '('}{self.low}, {self.high}{']' if self.closed_high else ')'}"


class _UnclearError(Exception):
    """The order of two bounds is not known, or the text is not a condition on one number."""


def condition(text: str, equal: Equal) -> tuple[str, str] | None:
    """The name of the number that a condition is about (empty if it has no name), and its interval or union of intervals."""
    try:
        name, spans = _any_of(text.strip(), equal)
    except _UnclearError:
        return None
    return name, " \\cup ".join(span.text() for span in spans) if spans else "\\emptyset"


def is_plain_pair(text: str) -> bool:
    """Whether an interval may also be a point: `(0, 1)`, but not `[0, 1)`, `(0, \\infty)` or a union."""
    return not re.search(r"[\[\]]|\\infty|\\cup|\\in(?![A-Za-z])", text)


def _any_of(text: str, equal: Equal) -> tuple[str, list[Span]]:
    if match := _REALS_WITHOUT.fullmatch(text):
        return "", _complement(_spans(match[1].strip()), equal)
    if "\\cap" in text:
        raise _UnclearError
    pieces = _OR.split(text)
    if len(pieces) > MAX_ITEMS:
        raise _UnclearError
    names, spans = set(), []
    for piece in pieces:
        name, more = _all_of(piece.strip().strip(","), equal)
        names.add(name)
        spans += more
    if len(names) != 1:
        raise _UnclearError
    return names.pop(), spans


def _all_of(text: str, equal: Equal) -> tuple[str, list[Span]]:
    """Conditions joined by `and` or commas."""
    parts = [split(part, (",", ";")) for part in _AND.split(text)]
    if any(part is None or not all(part) for part in parts) or sum(len(part or ()) for part in parts) > MAX_ITEMS:
        raise _UnclearError
    single = [_one(item, equal) for part in parts for item in part or ()]
    if len({name for name, _ in single}) != 1:
        raise _UnclearError
    together = single[0][1]
    for _, spans in single[1:]:
        together = [both for a in together for b in spans if (both := _intersection(a, b, equal)) is not None]
    if not together and len(parts) == 1:
        together = [span for _, spans in single for span in spans]
    return single[0][0], together


def _one(text: str, equal: Equal) -> tuple[str, list[Span]]:
    if match := _NOT_EQUAL.fullmatch(text):
        name, point = match[1].strip(), match[2].strip()
        if not is_name(name):
            name, point = point, name
        if not is_name(name) or is_name(point):
            raise _UnclearError
        return name, _complement([Span(point, True, point, True)], equal)
    if match := _BARS.fullmatch(text):
        inside, sign, bound = match[1], match[2], match[3]
        below = sign in ("<", "\\le")
        turned = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}[sign]
        (name, a), (_, b) = _relation(f"{inside} {sign} {bound}"), _relation(f"{inside} {turned} -({bound})")
        if _order("0", bound.strip(), equal) >= 0:
            raise _UnclearError
        return name, [both for x in a for y in b if (both := _intersection(x, y, equal)) is not None] if below else [
            *b,
            *a,
        ]
    return _relation(text)


def _relation(text: str) -> tuple[str, list[Span]]:
    """An inequality with one sign, or a chain of two with a name in the middle."""
    signs = [_TURNED[sign] for sign in _ORDER.findall(text)]
    terms = [term.strip() for term in _ORDER.split(text)]
    if not all(terms) or any("=" in term or "\\ne" in term or "|" in term for term in terms):
        raise _UnclearError
    if len(signs) == 1:
        if is_name(terms[0]) == is_name(terms[1]):
            return _solved(terms[0], signs[0], terms[1])
        name, bound, sign = (*terms, signs[0]) if is_name(terms[0]) else (*terms[::-1], signs[0].translate(_FLIP))
        return name, [_ray(sign, bound)]
    if len(signs) == 2 and is_name(terms[1]) and signs[0][0] == signs[1][0]:
        if signs[0][0] == ">":
            terms, signs = terms[::-1], signs[::-1]
        return terms[1], [Span(terms[0], "=" in signs[0], terms[2], "=" in signs[1])]
    raise _UnclearError


def _ray(sign: str, bound: str) -> Span:
    if sign.startswith("<"):
        return Span(_LOWEST, False, bound, "=" in sign)
    return Span(bound, "=" in sign, _HIGHEST, False)


def _solved(left: str, sign: str, right: str) -> tuple[str, list[Span]]:
    """An inequality between two formulas that are linear in one variable: `2(x-1) < 5`."""
    names = letters(left) | letters(right)
    if len(names) != 1:
        raise _UnclearError
    name = next(iter(names))
    (slope, constant), (other_slope, other_constant) = _line(left, name), _line(right, name)
    slope, constant = slope - other_slope, constant - other_constant
    if slope == 0:
        raise _UnclearError
    bound = -constant / slope
    return name, [_ray(sign.translate(_FLIP) if slope < 0 else sign, _written(bound))]


def _line(text: str, name: str) -> tuple[Fraction, Fraction]:
    """The slope and the constant of a formula that is linear in a variable: `2(x+1) - 3`."""
    if (value := _value(text)) is not None:
        return Fraction(0), value
    tokens = tokenize(text)
    tree = parse(tokens) if tokens else None
    if tree is None:
        raise _UnclearError
    return _linear(tree, name)


def _linear(node: Node, name: str) -> tuple[Fraction, Fraction]:
    if node.kind == "number":
        return Fraction(0), Fraction(node.text)
    if node.kind == "name" and node.text == name:
        return Fraction(1), Fraction(0)
    if node.kind not in ("+", "-", "*", "/"):
        raise _UnclearError
    parts = [_linear(part, name) for part in node.parts]
    if node.kind == "+":
        return sum((slope for slope, _ in parts), Fraction(0)), sum((constant for _, constant in parts), Fraction(0))
    if node.kind == "-":
        return -parts[0][0], -parts[0][1]
    (slope, constant), (other_slope, other) = parts
    if node.kind == "*" and slope == 0:
        slope, constant, other_slope, other = other_slope, other, slope, constant
    if other_slope != 0 or (node.kind == "/" and other == 0):
        raise _UnclearError
    factor = other if node.kind == "*" else 1 / other
    return slope * factor, constant * factor


def _value(text: str) -> Fraction | None:
    number = parse_number(text)
    if number is None:
        return evaluate(text)
    return None if number.percent else number.value


def _written(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _spans(text: str) -> list[Span]:
    r"""The spans of a union of intervals, or of the points of a set."""
    if match := re.fullmatch(r"\\\{(.{1,200})\\\}", text):
        points = split(match[1], (",", ";"))
        if points is None or not all(points) or len(points) > MAX_ITEMS:
            raise _UnclearError
        return [Span(point, True, point, True) for point in points]
    spans = []
    for piece in split(text.strip("()") if "," not in text else text, ("\\cup",)) or [""]:
        match = _SPAN.fullmatch(piece)
        if match is None:
            raise _UnclearError
        spans.append(Span(match[2].strip(), match[1] == "[", match[3].strip(), match[4] == "]"))
    return spans


def _complement(spans: list[Span], equal: Equal) -> list[Span]:
    """The numbers in none of the spans, which do not touch each other."""
    ordered: list[Span] = []
    for span in spans:
        at = next((i for i, other in enumerate(ordered) if _order(span.low, other.low, equal) < 0), len(ordered))
        ordered.insert(at, span)
    if any(_order(a.high, b.low, equal) >= 0 for a, b in pairwise(ordered)):
        raise _UnclearError
    low, closed = _LOWEST, False
    rest = []
    for span in ordered:
        if span.low != _LOWEST:
            rest.append(Span(low, closed, span.low, not span.closed_low))
        low, closed = span.high, not span.closed_high
    if low != _HIGHEST:
        rest.append(Span(low, closed, _HIGHEST, False))
    return rest


def _intersection(a: Span, b: Span, equal: Equal) -> Span | None:
    """The numbers in both spans; None if there are none."""
    lower, upper = _order(a.low, b.low, equal), _order(a.high, b.high, equal)
    low, closed_low = (a.low, a.closed_low) if lower > 0 else (b.low, b.closed_low)
    high, closed_high = (a.high, a.closed_high) if upper < 0 else (b.high, b.closed_high)
    closed_low = a.closed_low and b.closed_low if lower == 0 else closed_low
    closed_high = a.closed_high and b.closed_high if upper == 0 else closed_high
    width = _order(low, high, equal)
    return (
        Span(low, closed_low, high, closed_high) if width < 0 or (width == 0 and closed_low and closed_high) else None
    )


def _order(a: str, b: str, equal: Equal) -> int:
    """-1, 0 or 1 as the value of `a` is below, equal to or above that of `b`."""
    if a == b:
        return 0
    if _LOWEST in (a, b) or _HIGHEST in (a, b):
        return -1 if a == _LOWEST or b == _HIGHEST else 1
    x, y = _value(a), _value(b)
    if x is not None and y is not None:
        return (x > y) - (x < y)
    if letters(a) | letters(b):
        raise _UnclearError
    if equal(a, b):
        return 0
    if equal(f"|({b}) - ({a})|", f"({b}) - ({a})"):  # b - a is positive
        return -1
    if equal(f"|({a}) - ({b})|", f"({a}) - ({b})"):
        return 1
    raise _UnclearError
