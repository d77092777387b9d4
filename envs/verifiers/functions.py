r"""The exact value of a tree: powers, roots, logarithms, trigonometric functions of known angles, factorials.

Laws that hold wherever both sides have a value are applied (`e^{x+y} = e^x e^y`, `\ln(ab) = \ln a + \ln b`); laws that need
the sign of a variable (`\sqrt{x^2} = x`) are not. What no law reaches is a generator that is known by its argument.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, comb, factorial, floor

from simko.envs.verifiers.formula import Node
from simko.envs.verifiers.polynomial import (
    ONE,
    Arithmetic,
    Monomial,
    Polynomial,
    Quotient,
    TooMuchError,
    UndefinedError,
)

MAX_RADICAND = 10**8
MAX_SHIFT = 20  # n! and (n + 20)! are known to be related
MAX_DEGREE = 24  # of a root
HALF = Fraction(1, 2)

_ANGLES = {Fraction(0), Fraction(1, 12), Fraction(1, 6), Fraction(1, 5), Fraction(1, 4), Fraction(1, 3), Fraction(2, 5),
           Fraction(5, 12), HALF}  # fmt: skip
"""The angles, in units of pi, from 0 to 1/2, whose cosines have no roots within roots."""


def quotient(node: Node) -> Quotient:
    """The value of a tree. Raises `TooMuchError`."""
    return _Functions().value(node)


def _cosine(angle: Fraction) -> Polynomial:
    r"""The cosine of one of `_ANGLES`."""
    two, three, five = ("√2", HALF), ("√3", HALF), ("√5", HALF)
    quarter = Fraction(1, 4)
    known: dict[Fraction, Polynomial] = {
        Fraction(0): {(): Fraction(1)},
        Fraction(1, 12): {(two, three): quarter, (two,): quarter},
        Fraction(1, 6): {(three,): HALF},
        Fraction(1, 5): {(five,): quarter, (): quarter},
        Fraction(1, 4): {(two,): HALF},
        Fraction(1, 3): {(): HALF},
        Fraction(2, 5): {(five,): quarter, (): -quarter},
        Fraction(5, 12): {(two, three): quarter, (two,): -quarter},
    }
    return known.get(angle, {})


def _primes(n: int) -> dict[int, int]:
    """The prime factors of a positive integer with their exponents."""
    if n > MAX_RADICAND:
        raise TooMuchError
    found: dict[int, int] = {}
    divisor = 2
    while divisor * divisor <= n:
        while n % divisor == 0:
            n //= divisor
            found[divisor] = found.get(divisor, 0) + 1
        divisor += 1 + (divisor > 2)
    if n > 1:
        found[n] = found.get(n, 0) + 1
    return found


def _factors(value: Fraction) -> dict[int, int]:
    """The prime factors of a positive rational with their exponents, negative ones included."""
    return _primes(value.numerator) | {p: -n for p, n in _primes(value.denominator).items()}


class _Functions(Arithmetic):
    """The value of trees, on top of sums and products."""

    def value(self, node: Node) -> Quotient:
        kind = node.kind
        if kind == "number":
            return self.constant(node.value)
        if kind in ("letter", "pi"):
            return self.generator(node.name or "\\pi")
        values = [self.value(part) for part in node.parts]
        if kind == "root":
            return self.root(values[0], int(node.value))
        known: Callable[..., Quotient] | None = getattr(self, f"of_{kind}", None)
        return self.opaque(f"{kind}{node.value}", values) if known is None else known(*values)

    def of_sum(self, *values: Quotient) -> Quotient:
        total = values[0]
        for value in values[1:]:
            total = self.add(total, value)
        return total

    def of_product(self, *values: Quotient) -> Quotient:
        total = values[0]
        for value in values[1:]:
            total = self.multiply(total, value)
        return total

    def of_quotient(self, above: Quotient, below: Quotient) -> Quotient:
        return self.divide(above, below)

    def of_sqrt(self, value: Quotient) -> Quotient:
        return self.root(value, 2)

    def of_power(self, base: Quotient, exponent: Quotient) -> Quotient:
        rational = exponent.rational
        if rational is None:
            return self.exponential(base, exponent)
        if rational.denominator == 1:
            return self.times(base, int(rational))
        if rational.denominator > 2 and (base.rational or 0) < 0:
            raise TooMuchError
        return self.times(self.root(base, rational.denominator), rational.numerator)

    def root(self, value: Quotient, degree: int) -> Quotient:
        if degree > MAX_DEGREE:
            raise TooMuchError
        if value.below is not ONE:
            return self.divide(self.root(Quotient(value.above), degree), self.root(Quotient(value.below), degree))
        if not value.above:
            return value
        if len(value.above) > 1:
            return self.root_of_sum(value, degree)
        ((monomial, coefficient),) = value.above.items()
        if not all(
            _is_positive(name) or (_is_variable(name) and (degree % 2 or exponent % 2 == 1))
            for name, exponent in monomial
        ):
            return self.opaque(f"root{degree}", [value])
        if coefficient < 0 and (degree != 2 or monomial) and degree % 2 == 0:
            return self.opaque(f"root{degree}", [value])
        total = self.rational_power(abs(coefficient), Fraction(1, degree))
        if coefficient < 0:
            total = self.multiply(total, self.generator("i") if degree == 2 else self.constant(-1))
        for name, exponent in monomial:
            total = self.multiply(total, self.generator(name, Fraction(exponent) / degree))
        return total

    def root_of_sum(self, value: Quotient, degree: int) -> Quotient:
        scale = abs(value.above[min(value.above)])
        rest = Quotient({monomial: coefficient / scale for monomial, coefficient in value.above.items()})
        return self.multiply(self.rational_power(scale, Fraction(1, degree)), self.opaque(f"root{degree}", [rest]))

    def rational_power(self, base: Fraction, exponent: Fraction) -> Quotient:
        """A positive rational to a rational exponent."""
        factor, names = Fraction(1), []
        for prime, count in _factors(base).items():
            total = count * exponent
            factor *= Fraction(prime) ** floor(total)
            if total % 1:
                names.append((f"√{prime}", total % 1))
        return Quotient({tuple(sorted(names)): factor})

    def exponential(self, base: Quotient, exponent: Quotient) -> Quotient:
        """A power with variables in its exponent: one factor for each term of it and each prime factor of the base."""
        if exponent.below is not ONE or base.below is not ONE:
            return self.opaque("power", [base, exponent])
        if base.rational is not None and base.rational > 0:
            bases = {str(prime): count for prime, count in _factors(base.rational).items()}
        elif (name := _only_variable(base)) is not None:
            bases = {name: 1}
        else:
            return self.opaque("power", [base, exponent])
        total = Quotient(ONE)
        for name, count in bases.items():
            for monomial, coefficient in exponent.above.items():
                total = self.multiply(total, self.term(name, monomial, coefficient * count))
        return total

    def term(self, base: str, monomial: Monomial, coefficient: Fraction) -> Quotient:
        if not monomial:
            number = self.constant(int(base)) if base.isdigit() else self.generator(base)
            return self.of_power(number, self.constant(coefficient))
        if base == "e" and monomial == (("\\pi", 1), ("i", 1)):
            turned = self.multiply(self.generator("i"), self.cosine(coefficient - HALF))
            return self.add(self.cosine(coefficient), turned)
        return self.generator(f"\x00power:{base};{monomial!r}", coefficient)

    def of_exp(self, exponent: Quotient) -> Quotient:
        return self.of_power(self.generator("e"), exponent)

    def of_ln(self, value: Quotient) -> Quotient:
        if not value.above:
            raise UndefinedError
        if value.below is not ONE:
            return self.add(self.of_ln(Quotient(value.above)), self.negative(self.of_ln(Quotient(value.below))))
        ((monomial, coefficient), *others) = value.above.items()
        if others or coefficient < 0 or any(exponent % 2 == 0 and name != "e" for name, exponent in monomial):
            return self.opaque("ln", [value])
        total = self.constant(0)
        for prime, count in _factors(coefficient).items():
            total = self.add(total, self.multiply(self.constant(count), self.generator(f"\x00ln:{prime}")))
        for name, exponent in monomial:
            one = self.logarithm_of(name)
            total = self.add(total, self.multiply(self.constant(Fraction(exponent)), one))
        return total

    def logarithm_of(self, generator: str) -> Quotient:
        if generator == "e":
            return self.constant(1)
        if generator == "i" or generator[0] == "\x00":
            raise TooMuchError
        return self.generator(f"\x00ln:{generator.removeprefix('√')}")

    def of_log(self, value: Quotient) -> Quotient:
        return self.multiply(self.generator("\x00log"), self.of_ln(value))  # to a base that the text does not say

    def negative(self, value: Quotient) -> Quotient:
        return self.multiply(self.constant(-1), value)

    def cosine(self, angle: Fraction) -> Quotient:
        r"""The cosine of a rational multiple of pi."""
        angle %= 2
        angle = min(angle, 2 - angle)
        below = min(angle, 1 - angle)
        if below not in _ANGLES:
            return self.opaque("cos", [Quotient({(("\\pi", 1),): angle})])
        found = Quotient(_cosine(below))
        return found if below == angle else self.negative(found)

    def of_cos(self, value: Quotient) -> Quotient:
        angle = _angle(value)
        return self.even(self.multiply(self.generator("i"), value)) if angle is None else self.cosine(angle)

    def of_sin(self, value: Quotient) -> Quotient:
        angle = _angle(value)
        if angle is not None:
            return self.cosine(angle - HALF)
        return self.divide(self.odd(self.multiply(self.generator("i"), value)), self.generator("i"))

    def of_cosh(self, value: Quotient) -> Quotient:
        return self.even(value)

    def of_sinh(self, value: Quotient) -> Quotient:
        return self.odd(value)

    def of_tanh(self, value: Quotient) -> Quotient:
        return self.divide(self.odd(value), self.even(value))

    def even(self, exponent: Quotient) -> Quotient:
        """Half the sum of `e^x` and `e^-x`: identities between angles are then identities between polynomials."""
        power = self.exponential(self.generator("e"), exponent)
        return self.multiply(self.constant(HALF), self.add(power, self.divide(Quotient(ONE), power)))

    def odd(self, exponent: Quotient) -> Quotient:
        """Half the difference of `e^x` and `e^-x`."""
        power = self.exponential(self.generator("e"), exponent)
        return self.multiply(self.constant(HALF), self.add(power, self.negative(self.divide(Quotient(ONE), power))))

    def of_tan(self, value: Quotient) -> Quotient:
        return self.divide(self.of_sin(value), self.of_cos(value))

    def of_cot(self, value: Quotient) -> Quotient:
        return self.divide(self.of_cos(value), self.of_sin(value))

    def of_sec(self, value: Quotient) -> Quotient:
        return self.divide(Quotient(ONE), self.of_cos(value))

    def of_csc(self, value: Quotient) -> Quotient:
        return self.divide(Quotient(ONE), self.of_sin(value))

    def of_abs(self, value: Quotient) -> Quotient:
        return self.opaque("abs", [_turned(value)]) if value.rational is None else self.constant(abs(value.rational))

    def of_floor(self, value: Quotient) -> Quotient:
        return self.opaque("floor", [value]) if value.rational is None else self.constant(floor(value.rational))

    def of_ceil(self, value: Quotient) -> Quotient:
        return self.opaque("ceil", [value]) if value.rational is None else self.constant(ceil(value.rational))

    def of_factorial(self, value: Quotient) -> Quotient:
        """That of `n + k` by that of `n`."""
        if value.below is not ONE:
            raise TooMuchError
        shift = value.above.get((), Fraction(0))
        if value.rational is not None:
            if shift.denominator != 1 or not 0 <= shift <= 170:
                raise TooMuchError
            return self.constant(factorial(int(shift)))
        if shift.denominator != 1 or abs(shift) > MAX_SHIFT:
            raise TooMuchError
        start = self.add(value, self.constant(-shift))
        total = self.opaque("factorial", [start])
        for k in range(1, int(shift) + 1):
            total = self.multiply(total, self.add(start, self.constant(k)))
        for k in range(int(-shift)):
            total = self.divide(total, self.add(start, self.constant(-k)))
        return total

    def of_binom(self, above: Quotient, below: Quotient) -> Quotient:
        n, k = above.rational, below.rational
        if n is not None and k is not None:
            if n.denominator != 1 or k.denominator != 1 or not 0 <= k <= n <= 1000:
                raise TooMuchError
            return self.constant(comb(int(n), int(k)))
        rest = self.add(above, self.negative(below))
        count = k if k is not None else rest.rational
        if count is None or count.denominator != 1 or not 0 <= count <= MAX_SHIFT:
            return self.divide(
                self.of_factorial(above), self.multiply(self.of_factorial(below), self.of_factorial(rest))
            )
        total = Quotient(ONE)
        for j in range(int(count)):
            total = self.multiply(total, self.add(above, self.constant(-j)))
        return self.divide(total, self.constant(factorial(int(count))))


def _angle(value: Quotient) -> Fraction | None:
    """The rational number of which an angle is the multiple of pi; None where there is none."""
    if not value.above:
        return Fraction(0)
    return value.above[(("\\pi", 1),)] if value.below is ONE and list(value.above) == [(("\\pi", 1),)] else None


def _is_variable(generator: str) -> bool:
    """Whether it is a variable, `e` or pi."""
    return generator != "i" and generator[0] not in "√\x00"


def _is_positive(generator: str) -> bool:
    """Whether all its powers are positive, whatever its variables are."""
    is_power = generator.startswith("\x00power:") and (generator[7] == "e" or generator[7].isdigit())
    return generator[0] == "√" or (is_power and "'i'" not in generator)


def _only_variable(value: Quotient) -> str | None:
    """The name of the variable that a value is; None where it is anything else."""
    if len(value.above) != 1:
        return None
    ((monomial, coefficient),) = value.above.items()
    is_one = coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1 and _is_variable(monomial[0][0])
    return monomial[0][0] if is_one else None


def _turned(value: Quotient) -> Quotient:
    """The value, or its negative, whichever has a positive first coefficient."""
    if value.above[min(value.above)] > 0:
        return value
    return Quotient({monomial: -coefficient for monomial, coefficient in value.above.items()}, value.below)
