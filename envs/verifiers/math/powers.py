"""Powers and roots in exact arithmetic: those of rationals, of variables, and powers with variables in the exponent."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from simko.envs.verifiers.math.polynomial import ONE, Arithmetic, Monomial, Polynomial, Quotient, TooMuchError

MAX_RADICAND = 10**8
MAX_DEGREE = 24  # of a root
HALF = Fraction(1, 2)

_ANGLES = {Fraction(0), Fraction(1, 12), Fraction(1, 6), Fraction(1, 5), Fraction(1, 4), Fraction(1, 3), Fraction(2, 5),
           Fraction(5, 12), HALF}  # fmt: skip
"""The angles, in units of pi, from 0 to 1/2, whose cosines have no roots within roots."""


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


def factors(value: Fraction) -> dict[int, int]:
    """The prime factors of a positive rational with their exponents, negative ones included."""
    return _primes(value.numerator) | {p: -n for p, n in _primes(value.denominator).items()}


class Powers(Arithmetic):
    """Powers, on top of sums and products."""

    def of_power(self, base: Quotient, exponent: Quotient) -> Quotient:
        """A base to any exponent."""
        rational = exponent.rational
        if rational is None:
            return self.exponential(base, exponent)
        if rational.denominator == 1:
            return self.times(base, int(rational))
        if rational.denominator > 2 and (base.rational or 0) < 0:
            raise TooMuchError
        return self.times(self.root(base, rational.denominator), rational.numerator)

    def root(self, value: Quotient, degree: int) -> Quotient:
        """A root, taken out of each factor where that holds whatever the signs of the variables."""
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
        """The root of a sum whose first coefficient is made one."""
        scale = abs(value.above[min(value.above)])
        rest = Quotient({monomial: coefficient / scale for monomial, coefficient in value.above.items()})
        return self.multiply(self.rational_power(scale, Fraction(1, degree)), self.opaque(f"root{degree}", [rest]))

    def rational_power(self, base: Fraction, exponent: Fraction) -> Quotient:
        """A positive rational to a rational exponent."""
        factor, names = Fraction(1), []
        for prime, count in factors(base).items():
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
            bases = {str(prime): count for prime, count in factors(base.rational).items()}
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
        """A base to one term of an exponent."""
        if not monomial:
            number = self.constant(int(base)) if base.isdigit() else self.generator(base)
            return self.of_power(number, self.constant(coefficient))
        if base == "e" and monomial == (("\\pi", 1), ("i", 1)):
            turned = self.multiply(self.generator("i"), self.cosine(coefficient - HALF))
            return self.add(self.cosine(coefficient), turned)
        return self.generator(f"\x00power:{base};{monomial!r}", coefficient)

    def negative(self, value: Quotient) -> Quotient:
        """`-value`."""
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
