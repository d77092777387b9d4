r"""Gold answers of every kind, drawn from a seed. `same` and `changed` write each anew from its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

UNITS = ("cm", "m", "km", "kg", "g", "hours", "minutes", "meters", "feet", "inches", "miles", "days", "years", "pounds")
OTHER_UNIT = {
    "cm": "m", "m": "km", "km": "m", "kg": "g", "g": "kg", "hours": "minutes", "minutes": "hours", "meters": "feet",
    "feet": "meters", "inches": "feet", "miles": "km", "days": "hours", "years": "months", "pounds": "kg",
}  # fmt: skip
WORDS = (
    "Evelyn",
    "Thursday",
    "parabola",
    "even",
    "odd",
    "north",
    "circle",
    "blue",
    "acute",
    "Tokyo",
    "hexagon",
    "infinite",
)
_SQUAREFREE = (2, 3, 5, 6, 7, 10, 11, 13, 14, 15, 17, 19, 21, 22, 23)


@dataclass(frozen=True)
class Gold:
    """A gold answer: `text` as a data set prints it, and its `parts` under the names that its kind defines."""

    kind: str
    text: str
    parts: dict[str, Any] = field(default_factory=dict)


def has_decimal(value: Fraction) -> bool:
    """Whether the fraction is a finite decimal of at most 39 places, so that `decimal` can write it."""
    return 10**39 % value.denominator == 0


def decimal(value: Fraction) -> str:
    """The fraction as a plain decimal without trailing zeros. Raises `ValueError` unless `has_decimal(value)`."""
    for places in range(40):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
            text = digits if places == 0 else f"{digits[:-places]}.{digits[-places:]}"
            return ("-" if value < 0 else "") + text
    raise ValueError(f"{value} has no finite decimal")


def _nonzero(rng: Random, bound: int) -> int:
    return rng.choice((-1, 1)) * rng.randint(1, bound)


def integer(rng: Random) -> Gold:
    """An integer of one to seven digits, one in four negative; parts: n."""
    n = rng.randint(2, 10 ** rng.randint(1, 7))
    n = -n if rng.random() < 0.25 else n
    return Gold("integer", str(n), {"n": n})


def decimals(rng: Random) -> Gold:
    """A decimal of one to four places; parts: value."""
    places = rng.randint(1, 4)
    n = rng.randint(1, 10 ** (places + 2))
    value = Fraction(n - n % 10 + rng.randint(1, 9), 10**places) * rng.choice((1, 1, 1, -1))
    return Gold("decimal", decimal(value), {"value": value})


def tiny(rng: Random) -> Gold:
    """A number from 1e-6 to 1e-30 in scientific notation; parts: digits, exponent."""
    digits, exponent = rng.randint(2, 9), rng.randint(6, 30)
    return Gold("tiny", f"{digits} \\times 10^{{-{exponent}}}", {"digits": digits, "exponent": exponent})


def fraction(rng: Random) -> Gold:
    """A fraction in lowest terms, never an integer; parts: value."""
    value = Fraction(rng.randint(1, 60), rng.randint(2, 40))
    while value.denominator == 1:
        value = Fraction(rng.randint(1, 60), rng.randint(2, 40))
    value *= rng.choice((1, 1, -1))
    sign = "-" if value < 0 else ""
    return Gold("fraction", f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}", {"value": value})


def surd(rng: Random) -> Gold:
    r"""A surd `a \sqrt{b}`; parts: a, b."""
    a, b = rng.randint(2, 12), rng.choice(_SQUAREFREE)
    return Gold("surd", f"{a}\\sqrt{{{b}}}", {"a": a, "b": b})


def pi(rng: Random) -> Gold:
    r"""A multiple of pi, `\frac{a\pi}{b}` in lowest terms; parts: a, b."""
    value = Fraction(rng.randint(2, 30), rng.randint(2, 12))
    while value.denominator == 1:
        value = Fraction(rng.randint(2, 30), rng.randint(2, 12))
    a, b = value.numerator, value.denominator
    return Gold("pi", f"\\frac{{{a}\\pi}}{{{b}}}", {"a": a, "b": b})


def percent(rng: Random) -> Gold:
    """A percentage; parts: n."""
    n = rng.randint(2, 99)
    return Gold("percent", f"{n}\\%", {"n": n})


def degrees(rng: Random) -> Gold:
    """An angle in degrees; parts: n."""
    n = rng.randint(5, 175)
    return Gold("degrees", f"{n}^\\circ", {"n": n})


def money(rng: Random) -> Gold:
    """A sum in dollars and cents; parts: value."""
    value = Fraction(rng.randint(101, 99_999), 100)
    return Gold("money", f"\\${float(value):.2f}", {"value": value})


def quantity(rng: Random) -> Gold:
    """A number with a unit; parts: n, unit."""
    n, unit = rng.randint(2, 500), rng.choice(UNITS)
    return Gold("quantity", f"{n}\\text{{ {unit}}}", {"n": n, "unit": unit})


def polynomial(rng: Random) -> Gold:
    """The polynomial `(x + p)(x + q)`, expanded, with p + q and pq not 0; parts: p, q, variable."""
    p, q = _nonzero(rng, 9), _nonzero(rng, 9)
    while p + q == 0 or abs(p + q) == 1 or abs(p * q) == 1:
        p, q = _nonzero(rng, 9), _nonzero(rng, 9)
    x = rng.choice("xyztnk")
    return Gold("polynomial", f"{x}^2{p + q:+d}{x}{p * q:+d}", {"p": p, "q": q, "variable": x})


def rational(rng: Random) -> Gold:
    r"""A quotient `\frac{a x + b}{c}` with nothing to cancel; parts: a, b, c, variable."""
    a, b, c = rng.choice((2, 3, 5)), rng.choice((1, 7, 11)), rng.choice((4, 9, 13))
    x = rng.choice("xyztnk")
    return Gold("rational", f"\\frac{{{a}{x}+{b}}}{{{c}}}", {"a": a, "b": b, "c": c, "variable": x})


def point(rng: Random) -> Gold:
    """An ordered pair or triple of different integers; parts: items."""
    items = rng.sample(range(-20, 21), rng.choice((2, 2, 3)))
    return Gold("tuple", f"({', '.join(map(str, items))})", {"items": items})


def interval(rng: Random) -> Gold:
    """An interval with a closed side, so that it cannot be read as a point; parts: low, high, opened, closed."""
    low = rng.randint(-20, 18)
    high = rng.randint(low + 1, 20)
    opened, closed = rng.choice((("[", "]"), ("[", ")"), ("(", "]")))
    return Gold(
        "interval", f"{opened}{low}, {high}{closed}", {"low": low, "high": high, "opened": opened, "closed": closed}
    )


def ray(rng: Random) -> Gold:
    """An interval with an infinite end; parts: bound, closed, right."""
    bound, closed, right = rng.randint(-20, 20), rng.random() < 0.5, rng.random() < 0.5
    text = f"{'[' if closed else '('}{bound}, \\infty)" if right else f"(-\\infty, {bound}{']' if closed else ')'}"
    return Gold("ray", text, {"bound": bound, "closed": closed, "right": right})


def finite_set(rng: Random) -> Gold:
    """A finite set of integers; parts: items."""
    items = sorted(rng.sample(range(-30, 31), rng.randint(2, 4)))
    return Gold("set", f"\\{{{', '.join(map(str, items))}\\}}", {"items": items})


def roots(rng: Random) -> Gold:
    """Several answers as a bare list; parts: items."""
    items = sorted(rng.sample(range(-30, 31), rng.randint(2, 3)))
    return Gold("list", ", ".join(map(str, items)), {"items": items})


def matrix(rng: Random) -> Gold:
    """A matrix of two rows and two or three columns, not symmetric; parts: rows."""
    columns = rng.choice((2, 2, 3))
    cells = rng.sample(range(-9, 10), 2 * columns)
    rows = [cells[:columns], cells[columns:]]
    body = " \\\\ ".join(" & ".join(map(str, row)) for row in rows)
    return Gold("matrix", f"\\begin{{pmatrix}} {body} \\end{{pmatrix}}", {"rows": rows})


def equation(rng: Random) -> Gold:
    """An equation `y = m x + c`; parts: m, c."""
    m, c = rng.choice((-1, 1)) * rng.randint(2, 9), _nonzero(rng, 9)
    return Gold("equation", f"y = {m}x {'+' if c > 0 else '-'} {abs(c)}", {"m": m, "c": c})


def inequality(rng: Random) -> Gold:
    """An inequality such as `x < n`; parts: sign, n."""
    sign, n = rng.choice(("<", ">", "\\le", "\\ge")), rng.randint(-30, 30)
    return Gold("inequality", f"x {sign} {n}", {"sign": sign, "n": n})


def based(rng: Random) -> Gold:
    """A number in another base; parts: digits, base."""
    base = rng.randint(2, 9)
    digits = str(rng.randint(1, base - 1)) + "".join(str(rng.randrange(base)) for _ in range(rng.randint(2, 5)))
    return Gold("base", f"{digits}_{base}", {"digits": digits, "base": base})


def word(rng: Random) -> Gold:
    r"""A word in `\text{}`; parts: word."""
    chosen = rng.choice(WORDS)
    return Gold("word", f"\\text{{{chosen}}}", {"word": chosen})


def yes_or_no(rng: Random) -> Gold:
    """Yes or no; parts: word."""
    chosen = rng.choice(("Yes", "No"))
    return Gold("yes or no", chosen, {"word": chosen})


def letter(rng: Random) -> Gold:
    """One of five choices; parts: letter."""
    chosen = rng.choice("ABCDE")
    return Gold("letter", f"({chosen})", {"letter": chosen})


def power(rng: Random) -> Gold:
    r"""A quotient with powers of the size of a year, `\frac{2^{n}+1}{3 \cdot 2^{m}}`; parts: n, m."""
    n = rng.randint(1000, 2024)
    m = n + rng.randint(1, 9)
    return Gold("power", f"\\frac{{2^{{{n}}}+1}}{{3 \\cdot 2^{{{m}}}}}", {"n": n, "m": m})


def binomial(rng: Random) -> Gold:
    r"""A binomial coefficient `\binom{n}{3}` of the size of a year; parts: n."""
    n = rng.randint(1001, 2024)
    return Gold("binomial", f"\\binom{{{n}}}{{3}}", {"n": n})


def progression(rng: Random) -> Gold:
    r"""The list `a, a + d, \ldots, b` of a progression; parts: first, second, last."""
    first, step = rng.randint(1, 9), rng.randint(2, 9)
    second, last = first + step, first + step * rng.randint(10, 99)
    return Gold("progression", f"{first}, {second}, \\ldots, {last}", {"first": first, "second": second, "last": last})


KINDS: dict[str, Callable[[Random], Gold]] = {
    "integer": integer, "decimal": decimals, "tiny": tiny, "fraction": fraction, "surd": surd, "pi": pi,
    "percent": percent, "degrees": degrees, "money": money, "quantity": quantity, "polynomial": polynomial,
    "rational": rational, "tuple": point, "interval": interval, "ray": ray, "set": finite_set, "list": roots,
    "matrix": matrix, "equation": equation, "inequality": inequality, "base": based, "word": word,
    "yes or no": yes_or_no, "letter": letter, "power": power, "binomial": binomial, "progression": progression,
}  # fmt: skip
"""Kind of gold answer to the function that draws one."""
