r"""Exact arithmetic for the fast path: quotients of polynomials over the rationals, with square roots, `i` and `\pi`.

A polynomial is a dict from monomials to `Fraction`s; a monomial is a sorted tuple of (generator, exponent). Generators are
variables, `\pi`, `e`, `i` with i^2 = -1, and `√p` with the square p for primes p. Products of different `√p` and `i` are
linearly independent over the rationals, and `\pi` is transcendental: a polynomial of these is zero if and only if it is
empty. Whatever else there is (a function of something, a root of a variable) is a generator that is known by its
argument, of which only equal ones are known to be equal. Sizes are capped; beyond them there is no answer.
"""

from __future__ import annotations

from fractions import Fraction

from simko.envs.verifiers.formula import Node

Monomial = tuple[tuple[str, int], ...]
Polynomial = dict[Monomial, Fraction]

MAX_TERMS = 200
MAX_WORK = 20_000  # terms made for one formula
MAX_EXPONENT = 64
MAX_BITS = 1_024  # of one coefficient
MAX_RADICAND = 10**8
MAX_NAME = 1_000  # characters of an opaque generator

ONE: Polynomial = {(): Fraction(1)}
_OPAQUE = "\x00"  # the first character of generators that are known by their argument


class TooMuchError(Exception):
    """It is too large, or undefined, or not of this kind."""


class Quotient:
    """`above / below`, two polynomials; `below` is not zero."""

    __slots__ = ("above", "below")

    def __init__(self, above: Polynomial, below: Polynomial = ONE) -> None:
        if not below:
            raise TooMuchError
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


def quotient(node: Node) -> Quotient:
    """The value of a tree. Raises `TooMuchError`."""
    return _Arithmetic().value(node)


def difference(a: Quotient, b: Quotient) -> Polynomial:
    """A polynomial that is zero if and only if `a` and `b` are equal (where no generator is opaque). Raises `TooMuchError`."""
    work = _Arithmetic()
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
            coefficient *= values[name] ** exponent
        total += coefficient
    return total


class _Arithmetic:
    """Sums and products of one formula, which share `MAX_WORK`."""

    def __init__(self) -> None:
        self.left = MAX_WORK

    def value(self, node: Node) -> Quotient:
        kind, parts = node.kind, node.parts
        if kind == "number":
            return self.constant(node.value)
        if kind in ("letter", "pi"):
            return Quotient({((node.name or "\\pi", 1),): Fraction(1)})
        values = [self.value(part) for part in parts]
        if kind == "sum":
            total = values[0]
            for value in values[1:]:
                total = self.add(total, value)
            return total
        if kind == "product":
            total = values[0]
            for value in values[1:]:
                total = self.multiply(total, value)
            return total
        if kind == "quotient":
            return self.multiply(values[0], Quotient(values[1].below, values[1].above))
        if kind == "power":
            return self.power(*values)
        if kind == "sqrt":
            return self.square_root(values[0])
        return self.opaque(f"{kind}{node.value}", values)

    def constant(self, value: Fraction) -> Quotient:
        return Quotient(self.checked({(): value} if value else {}))

    def add(self, a: Quotient, b: Quotient) -> Quotient:
        if a.below == b.below:
            return Quotient(self.sum(a.above, b.above), a.below)
        above = self.sum(self.product(a.above, b.below), self.product(b.above, a.below))
        return Quotient(above, self.product(a.below, b.below))

    def multiply(self, a: Quotient, b: Quotient) -> Quotient:
        return Quotient(self.product(a.above, b.above), self.product(a.below, b.below))

    def power(self, base: Quotient, exponent: Quotient) -> Quotient:
        rational = exponent.rational
        if rational is None or (rational.denominator != 1 and rational != Fraction(1, 2)):
            return self.opaque("power", [base, exponent])
        if rational.denominator == 2:
            return self.square_root(base)
        n, value = int(rational), base.rational
        if n <= 0 and not base.above:
            raise TooMuchError
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

    def square_root(self, value: Quotient) -> Quotient:
        rational = value.rational
        if rational is None:
            return self.opaque("sqrt", [value])
        if not rational:
            return Quotient({})
        radicand = abs(rational.numerator) * rational.denominator
        if radicand > MAX_RADICAND:
            raise TooMuchError
        outside, names, divisor = Fraction(1, rational.denominator), ["i"] * (rational < 0), 2
        while divisor * divisor <= radicand:
            count = 0
            while radicand % divisor == 0:
                radicand //= divisor
                count += 1
            outside *= divisor ** (count // 2)
            names += [f"√{divisor}"] * (count % 2)
            divisor += 1 + (divisor > 2)
        names += [f"√{radicand}"] * (radicand > 1)
        return Quotient({tuple(sorted((name, 1) for name in names)): outside})

    def opaque(self, kind: str, arguments: list[Quotient]) -> Quotient:
        if any(argument.below is not ONE for argument in arguments):
            raise TooMuchError
        name = f"{_OPAQUE}{kind}:" + ";".join(repr(sorted(argument.above.items())) for argument in arguments)
        if len(name) > MAX_NAME:
            raise TooMuchError
        return Quotient({((name, 1),): Fraction(1)})

    def sum(self, a: Polynomial, b: Polynomial, sign: int = 1) -> Polynomial:
        self.spend(len(b))
        total = dict(a)
        for monomial, coefficient in b.items():
            _put(total, monomial, sign * coefficient)
        return self.checked(total)

    def product(self, a: Polynomial, b: Polynomial) -> Polynomial:
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
        self.left -= terms
        if self.left < 0:
            raise TooMuchError

    def checked(self, polynomial: Polynomial) -> Polynomial:
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


def _joined(a: Monomial, b: Monomial) -> tuple[Monomial, int]:
    """The product of two monomials, and the number that comes out of it where roots are squared."""
    if not a or not b:
        return a or b, 1
    exponents = dict(a)
    factor = 1
    for name, exponent in b:
        exponents[name] = exponents.get(name, 0) + exponent
    for name in [n for n, e in exponents.items() if e > 1 and (n == "i" or n[0] == "√")]:
        factor *= (-1 if name == "i" else int(name[1:])) ** (exponents[name] // 2)
        exponents[name] %= 2
        if not exponents[name]:
            del exponents[name]
    return tuple(sorted(exponents.items())), factor
