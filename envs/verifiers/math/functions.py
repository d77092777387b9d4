r"""The exact value of a tree: logarithms, trigonometric functions, factorials, on top of powers and roots.

Laws that hold wherever both sides have a value are applied (`e^{x+y} = e^x e^y`, `\ln(ab) = \ln a + \ln b`); laws that need
the sign of a variable (`\sqrt{x^2} = x`) are not. What no law reaches is a generator that is known by its argument.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, comb, factorial, floor

from simko.envs.verifiers.math.formula import Node
from simko.envs.verifiers.math.polynomial import ONE, Quotient, TooMuchError, UndefinedError
from simko.envs.verifiers.math.powers import HALF, Powers, factors

MAX_SHIFT = 20  # n! and (n + 20)! are known to be related


def quotient(node: Node) -> Quotient:
    """The value of a tree. Raises `TooMuchError`."""
    return _Functions().value(node)


class _Functions(Powers):
    """The value of trees, by kind."""

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
        for prime, count in factors(coefficient).items():
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


def _turned(value: Quotient) -> Quotient:
    """The value, or its negative, whichever has a positive first coefficient."""
    if value.above[min(value.above)] > 0:
        return value
    return Quotient({monomial: -coefficient for monomial, coefficient in value.above.items()}, value.below)
