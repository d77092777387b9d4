r"""Exact arithmetic for the fast path: quotients of polynomials over the rationals, with roots, `i` and `\pi`.

A polynomial is a dict from monomials to `Fraction`s; a monomial is a sorted tuple of (generator, exponent). Generators are
variables, `\pi`, `e`, `i` with i^2 = -1, and `√p` for primes p, which is p itself with an exponent between 0 and 1. Products
of different roots of primes and `i` are linearly independent over the rationals, and `\pi` is transcendental: a polynomial
of these is zero if and only if it is empty. Variables may have such exponents, too. Whatever else there is (a function of
something, a root of a sum) is a generator that is known by its argument, of which only equal ones are known to be equal.
Sizes are capped; beyond them there is no answer.
"""

from __future__ import annotations

from fractions import Fraction

Monomial = tuple[tuple[str, int | Fraction], ...]
Polynomial = dict[Monomial, Fraction]

MAX_TERMS = 200
MAX_WORK = 20_000  # terms made for one formula
MAX_EXPONENT = 64
MAX_BITS = 1_024  # of one coefficient
MAX_RADICAND = 10**8
MAX_NAME = 1_000  # characters of an opaque generator

_ONE = Fraction(1)
ONE: Polynomial = {(): _ONE}
_OPAQUE = "\x00"  # the first character of generators that are known by their argument


class TooMuchError(Exception):
    """It is too large, or not of this kind."""


class UndefinedError(TooMuchError):
    """It has no value: a quotient by zero, or zero to the power zero."""


class Quotient:
    """`above / below`, two polynomials; `below` is not zero."""

    __slots__ = ("above", "below")

    def __init__(self, above: Polynomial, below: Polynomial = ONE) -> None:
        if not below:
            raise UndefinedError
        if below is not ONE and len(below) == 1 and () in below:
            above, below = {m: c / below[()] for m, c in above.items()}, ONE
        self.above, self.below = above, below

    @property
    def rational(self) -> Fraction | None:
        """The rational number that it is; None where it is none."""
        if self.below is not ONE or len(self.above) > 1 or (self.above and () not in self.above):
            return None
        return self.above.get((), Fraction(0))

    def generators(self) -> set[str]:
        """The generators in it."""
        return {name for part in (self.above, self.below) for monomial in part for name, _ in monomial}


def is_opaque(generator: str) -> bool:
    """Whether nothing is known of a generator but its argument."""
    return generator.startswith(_OPAQUE)


def is_root(generator: str) -> bool:
    """Whether it is a power of a prime, `i`, `e` or pi: a number."""
    return generator in ("e", "i", "\\pi") or generator[0] == "√"


def difference(a: Quotient, b: Quotient) -> Polynomial:
    """A polynomial that is zero if and only if `a` and `b` are equal (where no generator is opaque). Raises `TooMuchError`."""
    work = Arithmetic()
    return work.sum(work.product(a.above, b.below), work.product(b.above, a.below), -1)


def ratio(a: Polynomial, b: Polynomial) -> Fraction | None:
    """The rational number `a / b`; None where it is none."""
    if not a or not b or a.keys() != b.keys():
        return None
    first = next(iter(a))
    value = a[first] / b[first]
    return value if all(a[m] == value * b[m] for m in a) else None


def substitute(polynomial: Polynomial, values: dict[str, Fraction]) -> Fraction:
    """The value at a point that gives every generator a value."""
    total = Fraction(0)
    for monomial, coefficient in polynomial.items():
        for name, exponent in monomial:
            coefficient *= values[name] ** int(exponent)
        total += coefficient
    return total


class Arithmetic:
    """Sums and products of one formula, which share `MAX_WORK`."""

    def __init__(self) -> None:
        self.left = MAX_WORK

    def constant(self, value: Fraction | int) -> Quotient:
        """A rational number."""
        return Quotient(self.checked({(): Fraction(value)} if value else {}))

    def generator(self, name: str, exponent: int | Fraction = 1) -> Quotient:
        """A power of a generator, whose exponent may be negative."""
        if exponent == 0:
            return Quotient(ONE)
        power: Polynomial = {((name, exponent if exponent > 0 else -exponent),): Fraction(1)}
        return Quotient(power) if exponent > 0 else Quotient(ONE, power)

    def add(self, a: Quotient, b: Quotient) -> Quotient:
        """`a + b`."""
        if a.below == b.below:
            return Quotient(self.sum(a.above, b.above), a.below)
        above = self.sum(self.product(a.above, b.below), self.product(b.above, a.below))
        return Quotient(above, self.product(a.below, b.below))

    def multiply(self, a: Quotient, b: Quotient) -> Quotient:
        """`a b`."""
        return Quotient(self.product(a.above, b.above), self.product(a.below, b.below))

    def divide(self, a: Quotient, b: Quotient) -> Quotient:
        """`a / b`. Raises `UndefinedError` where `b` is zero."""
        return self.multiply(a, Quotient(b.below, b.above))

    def times(self, base: Quotient, n: int) -> Quotient:
        """`base` multiplied with itself `n` times; the reciprocal of that where `n` is negative."""
        value = base.rational
        if n <= 0 and not base.above:
            raise UndefinedError
        if value is not None:
            if abs(n) * max(value.numerator.bit_length(), value.denominator.bit_length()) > 2 * MAX_BITS:
                raise TooMuchError
            return self.constant(value**n)
        if abs(n) > MAX_EXPONENT:
            raise TooMuchError
        result = Quotient(ONE)
        for _ in range(abs(n)):
            result = self.multiply(result, base)
        return result if n >= 0 else Quotient(result.below, result.above)

    def opaque(self, kind: str, arguments: list[Quotient]) -> Quotient:
        """A generator that is known by its arguments."""
        if any(argument.below is not ONE for argument in arguments):
            raise TooMuchError
        name = f"{_OPAQUE}{kind}:" + ";".join(repr(sorted(argument.above.items())) for argument in arguments)
        if len(name) > MAX_NAME:
            raise TooMuchError
        return Quotient({((name, 1),): Fraction(1)})

    def sum(self, a: Polynomial, b: Polynomial, sign: int = 1) -> Polynomial:
        """`a + sign b`."""
        self.spend(len(b))
        total = dict(a)
        for monomial, coefficient in b.items():
            _put(total, monomial, sign * coefficient)
        return self.checked(total)

    def product(self, a: Polynomial, b: Polynomial) -> Polynomial:
        """`a b`."""
        if a is ONE or b is ONE:
            return b if a is ONE else a
        self.spend(len(a) * len(b))
        total: Polynomial = {}
        for left, x in a.items():
            for right, y in b.items():
                monomial, factor = _joined(left, right)
                _put(total, monomial, x * y * factor)
        return self.checked(total)

    def spend(self, terms: int) -> None:
        """Count work. Raises `TooMuchError`."""
        self.left -= terms
        if self.left < 0:
            raise TooMuchError

    def checked(self, polynomial: Polynomial) -> Polynomial:
        """The same polynomial. Raises `TooMuchError` where it is too large."""
        if len(polynomial) > MAX_TERMS:
            raise TooMuchError
        for monomial, value in polynomial.items():
            if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
                raise TooMuchError
            if any(exponent > MAX_EXPONENT for _, exponent in monomial):
                raise TooMuchError
        return polynomial


def _put(polynomial: Polynomial, monomial: Monomial, coefficient: Fraction) -> None:
    value = polynomial.get(monomial, Fraction(0)) + coefficient
    if value:
        polynomial[monomial] = value
    else:
        polynomial.pop(monomial, None)


def _joined(a: Monomial, b: Monomial) -> tuple[Monomial, Fraction]:
    """The product of two monomials, and the number that comes out of it where powers of `i` and of roots are whole."""
    if not a or not b:
        return a or b, _ONE
    exponents = dict(a)
    for name, exponent in b:
        exponents[name] = exponents.get(name, 0) + exponent
    factor = _ONE
    for name, _ in b:
        total = exponents.get(name, 0)
        if name == "i" and total > 1:
            factor *= (-1) ** (int(total) // 2)
            exponents[name] = total % 2
        elif name[0] == "√" and total >= 1:
            factor *= int(name[1:]) ** int(total)
            exponents[name] = total % 1
        if not exponents[name]:
            del exponents[name]
    return tuple(sorted(exponents.items())), factor
