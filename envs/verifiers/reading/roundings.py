r"""Decimals as roundings: which places `0.577`, `1.27 \times 10^{30}`, `33.3\%` and `12,000` may have been rounded to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_EXPONENT = 2_000
_DECIMAL = re.compile(
    r"(?P<sign>-?)\s?(?P<whole>\d{1,3}(?:,\d{3}){1,10}|\d{0,40})(?:\.(?P<decimals>\d{0,30}))?(?P<cut>\s?\\ldots)?"
    r"(?:\s?(?:\\times|\\cdot)\s?10\s?\^\s?\{(?P<exponent>-?\d{1,4})\})?\s?(?P<percent>%?)"
)


@dataclass(frozen=True, slots=True)
class Rounded:
    r"""A decimal. `places`: the units that it may be rounded to, such as 1/100, the smallest first.

    `cut`: dots follow, so it is cut off after its last place. `has_point`: it is written with a decimal point.
    """

    value: Fraction
    places: tuple[Fraction, ...]
    cut: bool
    has_point: bool

    def stands_for(self, exact: Fraction) -> bool:
        """Whether a value is rounded, or cut off, to this decimal."""
        if self.cut:
            return self.value * exact >= 0 and 0 <= abs(exact) - abs(self.value) < self.places[0]
        return any(abs(exact - self.value) * 2 <= place for place in self.places)


def rounded(text: str) -> Rounded | None:
    """The decimal that a cleaned text is, without a unit; None if it is none."""
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        return None
    whole, decimals = match["whole"].replace(",", ""), match["decimals"] or ""
    exponent = int(match["exponent"] or 0) - 2 * bool(match["percent"])
    if not whole + decimals or abs(exponent) > MAX_EXPONENT:
        return None
    place = Fraction(10) ** (exponent - len(decimals))
    value = int(f"{match['sign']}{whole}{decimals}") * place
    places = [place]
    if match["decimals"] is None and value and not match["exponent"]:
        places.append(place * 10 ** (len(whole) - len(whole.rstrip("0"))))  # 12000 of 12345
    return Rounded(value, tuple(places), match["cut"] is not None, match["decimals"] is not None)
