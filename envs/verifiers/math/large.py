r"""Powers, factorials and binomials of the size of a year: `2^{2^{10}}` beside `2^{1024}`, `\binom{2024}{3}` beside a product.

The allow-list keeps such formulas from sympy. Where they are built from numbers, letters and square roots, two of them are
compared by their residues modulo four primes between 2^60 and 2^61. The primes, and the values of the letters, are drawn
anew for each pair, from its own text: so no answer can be made to fit them, and the same pair always gets the same verdict.

Equal formulas have equal residues, where both have a value. Formulas that differ have equal residues with a probability below
1e-23. Their difference, a number of at most `MAX_BITS` = 2^32 bits, has at most 2^32 / 60 prime factors of this size, and 16
times as many if four roots make it an algebraic number (its norm). 1.4e16 of the primes are 3 modulo 4, and a sixteenth of
these has all four roots. This makes 1.3e-6 for each of the four primes. A letter adds at most `MAX_BITS` / 2^60 (Schwartz and
Zippel), since degrees are bounded like bits.

Exponents, and what stands before `!`, are computed exactly, and may have `MAX_ARGUMENT` bits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from random import Random

from simko.envs.verifiers.reading import allowlist
from simko.envs.verifiers.reading.formula import Node, parse

MAX_CHARS = 1_000  # of a formula, and digits of a number in it
MAX_BITS = 1 << 32  # of a value; also its degree in a letter
MAX_ARGUMENT = 4_096  # bits
MAX_FACTORIAL = 5_000
MAX_COMBINATIONS = 50_000  # bits of a binomial
MAX_CALLS = 12  # of factorials and binomials in one formula, which cost half a millisecond each
MAX_RADICAND = 10**9
MAX_ROOTS = 4  # of different primes
PRIMES = 4
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)  # they decide below 3.3e24: Sorenson and Webster, 2015
_SMALL = math.prod(_WITNESSES)
_REPEATED = re.compile(  # \underbrace{11\ldots 1}_{2024}
    r"(?<![\d.])\\(?:under|over)brace\s?\{\s?(?P<digit>\d)(?P=digit){0,9}\s?\\ldots\s?(?P=digit){1,9}\s?\}\s?[_^]\s?"
    r"\{?\s?(?:\\text\s?\{\s?)?(?P<times>\d{1,7})(?![\d.])\s?(?:\\text\s?\{[^{}]{0,40}\}|[A-Za-z' ]{0,30})?\s?\}?\s?\}?"
    r"(?!\s?[\d.])"
)


class _UnknownError(Exception):
    """The formula is too large, or holds what has no residue."""


class _UndefinedError(Exception):
    """The formula has no value: it divides by zero, or raises zero to the power zero."""


def same(gold: str, answer: str) -> bool | None:
    """Whether two formulas are equal; None if one of them cannot be read, or is too large.

    Neither is equal to anything where it has no value.
    """
    trees = [_tree(text) for text in (gold, answer)]
    a, b = trees
    if a is None or b is None:
        return None
    rng = Random(f"{gold}\0{answer}")
    names = sorted({node.text for tree in (a, b) for node in _nodes(tree) if node.kind == "name"})
    try:
        roots = sorted({prime for tree in (a, b) for prime in _roots(tree)})
        if len(roots) > MAX_ROOTS or max(_bits(a), _bits(b)) > MAX_BITS:
            return None
        for _ in range(PRIMES):
            prime = _prime(rng, roots)
            values = {name: rng.randrange(2, prime) for name in names}
            # (root of q)^2 = q modulo the prime, since the prime is 3 modulo 4
            values |= {str(q): pow(q, (prime + 1) // 4, prime) for q in roots}
            if _residue(a, prime, values) != _residue(b, prime, values):
                return False
    except _UnknownError:
        return None
    except _UndefinedError:
        return False
    return True


def value(text: str) -> Fraction | None:
    """The exact value of a formula of numbers, of `MAX_ARGUMENT` bits at most; None if it is not known."""
    tree = _tree(text)
    try:
        return None if tree is None else _exact(tree)
    except (_UnknownError, _UndefinedError):
        return None


def remainder(text: str, modulus: int) -> int | None:
    """The remainder of a whole number that a formula computes, from 0 to below `modulus`; None if it is not known."""
    tree = _tree(text)
    if tree is None or not 2 <= modulus <= 10**12 or any(node.kind in ("name", "sqrt", "/") for node in _nodes(tree)):
        return None
    try:
        return None if _bits(tree) > MAX_BITS else _residue(tree, modulus, {})
    except (_UnknownError, _UndefinedError):
        return None


@lru_cache(maxsize=256)
def _tree(text: str) -> Node | None:
    text = _REPEATED.sub(r"(\g<digit> \\cdot \\frac{10^{\g<times>}-1}{9})", text)
    tokens = allowlist.tokenize(text, MAX_CHARS, MAX_CHARS)
    return parse(tokens) if tokens and "i" not in tokens else None  # i is no variable


def _nodes(tree: Node) -> Iterator[Node]:
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        pending += node.parts


@lru_cache(maxsize=256)
def _factorial(n: int) -> int:
    return math.factorial(n)


def _whole(node: Node) -> int:
    """The exact value of a whole number. Raises `_UnknownError` for any other value."""
    value = _exact(node)
    if value.denominator != 1:
        raise _UnknownError
    return value.numerator


def _exact(node: Node) -> Fraction:
    """The exact value of a formula without letters, of `MAX_ARGUMENT` bits at most above and below."""
    value: Fraction
    if node.kind == "number":
        value = Fraction(node.text)
    elif node.kind == "-":
        value = -_exact(node.parts[0])
    elif node.kind == "+":
        value = sum(map(_exact, node.parts), Fraction(0))
    elif node.kind in ("*", "/"):
        value, other = map(_exact, node.parts)
        if node.kind == "/" and other == 0:
            raise _UndefinedError
        value = value * other if node.kind == "*" else value / other
    elif node.kind == "^":
        base, exponent = _exact(node.parts[0]), _whole(node.parts[1])
        if base == 0 and exponent <= 0:
            raise _UndefinedError
        if abs(exponent) * max(base.numerator.bit_length(), base.denominator.bit_length()) > 2 * MAX_ARGUMENT:
            raise _UnknownError
        value = base**exponent
    elif node.kind == "!":
        n = _whole(node.parts[0])
        if not 0 <= n <= 300:
            raise _UnknownError
        value = Fraction(_factorial(n))
    elif node.kind == "binom":
        value = Fraction(_binomial(node))
    else:
        raise _UnknownError
    if _size(value) > 2 * MAX_ARGUMENT:
        raise _UnknownError
    return value


def _size(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _binomial(node: Node) -> int:
    n, k = map(_whole, node.parts)
    return _combinations(n, k)


@lru_cache(maxsize=256)
def _combinations(n: int, k: int) -> int:
    if n < 0 or k < 0 or min(k, max(n - k, 0)) * n.bit_length() > MAX_COMBINATIONS:
        raise _UnknownError
    return math.comb(n, k)


def _bits(tree: Node) -> int:
    """A bound for the bits of the numerator and denominator of a value, and for their degrees in each letter."""
    calls = sum(node.kind in ("!", "binom") for node in _nodes(tree))
    if calls > MAX_CALLS:
        raise _UnknownError
    return _bound(tree)


def _bound(node: Node) -> int:
    if node.kind == "number":
        return _size(Fraction(node.text))
    if node.kind == "name":
        return 1
    if node.kind == "sqrt":
        return _size(_exact(node.parts[0]))
    if node.kind == "!":
        n = _whole(node.parts[0])
        if not 0 <= n <= MAX_FACTORIAL:
            raise _UnknownError
        return n * n.bit_length()
    if node.kind == "binom":
        return _binomial(node).bit_length()
    if node.kind == "^":
        return _bound(node.parts[0]) * math.ceil(abs(_exact(node.parts[1])))
    return sum(map(_bound, node.parts)) + 1


def _roots(tree: Node) -> Iterator[int]:
    """The primes whose square roots are needed."""
    for node in _nodes(tree):
        if node.kind == "sqrt" or (node.kind == "^" and _exact(node.parts[1]).denominator == 2):
            yield from _odd_primes(_radicand(node.parts[0])[0])


def _radicand(node: Node) -> tuple[int, int]:
    """Whole numbers a and b with a square root of a, divided by b, that is the root of a positive number."""
    value = _exact(node)
    below = value.denominator
    if not 0 < value.numerator * below <= MAX_RADICAND:
        raise _UnknownError
    return value.numerator * below, below


@lru_cache(maxsize=256)
def _odd_primes(n: int) -> tuple[int, ...]:
    """The primes that divide `n` an odd number of times."""
    primes, divisor = [], 2
    while divisor * divisor <= n:
        times = 0
        while n % divisor == 0:
            n //= divisor
            times += 1
        if times % 2:
            primes.append(divisor)
        divisor += 1
    return (*primes, n) if n > 1 else tuple(primes)


def _root(node: Node, prime: int, values: Mapping[str, int]) -> int:
    radicand, below = _radicand(node)
    odd = _odd_primes(radicand)
    root = math.isqrt(radicand // math.prod(odd))
    for q in odd:
        root = root * values[str(q)] % prime
    return _quotient(root, below, prime)


def _quotient(above: int, below: int, modulus: int) -> int:
    try:
        return above * pow(below, -1, modulus) % modulus
    except ValueError:
        raise _UndefinedError from None


def _residue(node: Node, modulus: int, values: Mapping[str, int]) -> int:
    """The residue of a value modulo a number, with the residues of the letters and of the roots of primes."""
    if node.kind == "number":
        number = Fraction(node.text)
        return _quotient(number.numerator, number.denominator, modulus)
    if node.kind == "name":
        return values[node.text]
    if node.kind == "!":
        return _factorial(_whole(node.parts[0])) % modulus
    if node.kind == "binom":
        return _binomial(node) % modulus
    if node.kind == "sqrt":
        return _root(node.parts[0], modulus, values)
    if node.kind == "^":
        exponent = _exact(node.parts[1])
        if exponent.denominator > 2:
            raise _UnknownError
        is_root = exponent.denominator == 2
        base = _root(node.parts[0], modulus, values) if is_root else _residue(node.parts[0], modulus, values)
        if base == 0 and exponent <= 0:
            raise _UndefinedError
        power = pow(base, abs(exponent.numerator), modulus)
        return power if exponent >= 0 else _quotient(1, power, modulus)
    residues = [_residue(part, modulus, values) for part in node.parts]
    if node.kind == "-":
        return -residues[0] % modulus
    if node.kind == "+":
        return sum(residues) % modulus
    left, right = residues
    return left * right % modulus if node.kind == "*" else _quotient(left, right, modulus)


def _prime(rng: Random, roots: list[int]) -> int:
    """A prime between 2^60 and 2^61 that is 3 modulo 4, and modulo which each of `roots` is a square."""
    while True:
        n = rng.getrandbits(60) | 1 << 60 | 3
        if _is_prime(n) and all(pow(q, (n - 1) // 2, n) == 1 for q in roots):
            return n


def _is_prime(n: int) -> bool:
    """Whether a number that is 3 modulo 4 and above 37 is a prime (Miller and Rabin)."""
    return math.gcd(n, _SMALL) == 1 and all(pow(base, n // 2, n) in (1, n - 1) for base in _WITNESSES)
