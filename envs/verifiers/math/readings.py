"""One reading of an answer: its text without the unit, the unit, its number and its shape, each found once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

from simko.envs.verifiers.reading.numbers import Number, equal, evaluate, parse_number
from simko.envs.verifiers.reading.shapes import Shape, is_inequality, shape
from simko.envs.verifiers.reading.text import clean, same_string
from simko.envs.verifiers.reading.units import same_unit, split_unit


@dataclass(frozen=True)
class Reading:
    """A cleaned answer, read as far as a rule asks: what was read once is kept."""

    text: str

    @cached_property
    def _split(self) -> tuple[str, str]:
        return split_unit(self.text)

    @property
    def bare(self) -> str:
        """The text without its unit."""
        return self._split[0]

    @property
    def unit(self) -> str:
        """The unit by its short name, empty without one; of a number with a percent sign `percent`."""
        return self._split[1] or ("percent" if self.number is not None and self.number.percent else "")

    @property
    def stated_unit(self) -> str:
        """The unit by its short name, empty without one; a percent sign is part of the number."""
        return self._split[1]

    @cached_property
    def number(self) -> Number | None:
        """The number that the bare text is; None if it is not one number."""
        return parse_number(self.bare)

    @cached_property
    def value(self) -> Fraction | None:
        """The exact value of the bare text if it is a sum or product of numbers."""
        return evaluate(self.bare)

    @cached_property
    def shape(self) -> Shape:
        """The outermost shape of the bare text."""
        return shape(self.bare)

    @cached_property
    def is_inequality(self) -> bool:
        """Whether a sign of order, or an inequality sign, occurs."""
        return is_inequality(self.bare)

    @property
    def is_condition(self) -> bool:
        """Whether it may state a condition on a number: `x > 5`, `x` in the reals."""
        return self.is_inequality or "\\mathbb" in self.bare


@lru_cache(maxsize=4096)
def read(text: str) -> Reading:
    """The reading of a cleaned text."""
    return Reading(text)


@lru_cache(maxsize=4096)
def cleaned(answer: str) -> str:
    """An answer in the one spelling that the rules know."""
    return clean(answer)


def quick_equal(a: str, b: str) -> bool:
    """Whether two answers are equal as strings or as numbers, which needs no worker."""
    x, y = read(cleaned(a)), read(cleaned(b))
    if same_string(x.text, y.text):
        return True
    if x.number is None or y.number is None:
        return False
    return same_unit(x.stated_unit, y.stated_unit) and equal(x.number, y.number)
