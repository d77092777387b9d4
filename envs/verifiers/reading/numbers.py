r"""Exact reading of numbers: integers, decimals, fractions, percents, in plain text or simple LaTeX.

Everything is a `fractions.Fraction`, so tiny numbers that differ are different and nothing is rounded. Text and digits
are capped before any regular expression runs, and no pattern here backtracks over more than it has read.

=====================  ========================================================
read                   forms
=====================  ========================================================
integer                `42`, `-42`, `1,234`, `1{,}234`, `1\,234`, `1 234`
decimal                `0.5`, `.5`, `0.\overline{3}`, `0.333...`, `0.(3)`, `1.5e-3`, `1.5 \times 10^{-3}`
fraction               `3/4`, `\frac{3}{4}`, `\frac34`, `-\frac{3}{4}`
mixed number           `1\frac{1}{2}`, `1 1/2`
percent                `50\%`, `50%`: equal to 50 and to 1/2
=====================  ========================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from simko.envs.verifiers.reading.arithmetic import compute

MAX_CHARS = 300
MAX_DIGITS = 200  # of one number, and its decimal exponent
MAX_TERMS = 100
MIN_DIGITS = 6  # of a decimal that stands for a value without a finite one

_SIGNS = str.maketrans({"−": "-", "–": "-", "\u00a0": " ", "，": ",", "％": "%"})
_BETWEEN_DIGITS = str.maketrans("", "", "+-, ")
_SPACING = re.compile(r"\\[!,;: ]|\{,\}|~")
_INTEGER = r"(?:\d{1,3}(?:[, ]\d{3})+|\d+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.\d*)?|\.\d+)"
_NUMBER = re.compile(_DECIMAL)
_POWER = re.compile(
    rf"({_DECIMAL})(?:[eE]([+-]?\d+)|\s*(?:\\times|\\cdot|\*|×)\s*10\s*\^\s*(?:\{{\s*([+-]?\d+)\s*\}}|([+-]?\d)))"
)
_TEN = re.compile(r"10\s*\^\s*(?:\{\s*([+-]?\d+)\s*\}|(\d))")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\overline\{(\d+)\}")
_GOES_ON = re.compile(r"(\d*)\.(\d*?)(?:(\d{1,12}?)\3{1,99}(?:\.\.\.|\s?\\[lc]?dots)|\((\d{1,40})\))")
_FRACTION = re.compile(
    rf"(?:(\d+)\s*(?=\\))?\\[dtc]?frac\s*(?:\{{\s*([+-]?\s*{_DECIMAL})\s*\}}|\s*(\d))\s*(?:\{{\s*([+-]?\s*{_DECIMAL})\s*\}}|(\d))"
)
_SLASH = re.compile(rf"(?:(\d+)\s+(?=\d))?({_DECIMAL})\s*/\s*({_DECIMAL})")


@dataclass(frozen=True, slots=True)
class Number:
    """An exact value. `percent`: the text had a percent sign, and `value` is what stood before it."""

    value: Fraction
    percent: bool = False


def parse_number(text: str) -> Number | None:
    """`text` as one exact number, or None if it is anything else or too long."""
    return _parsed(text) if len(text) <= MAX_CHARS else None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Number | None:
    if not text.isascii() and any(c.isdigit() and not c.isascii() for c in text):
        return None
    text = _SPACING.sub(
        lambda m: "," if m.group() == "{,}" else "" if m.group() == "\\!" else " ", text.translate(_SIGNS)
    )
    text = text.strip()
    percent = text.endswith("%")
    if percent:
        text = text[:-1].rstrip("\\ ")
    negative = text.startswith("-")
    if text[:1] in ("-", "+"):
        text = text[1:].lstrip()
    while len(text) > 1 and text[0] == "{" and text[-1] == "}" and "}" not in text[1:-1]:
        text = text[1:-1].strip()
    value = _magnitude(text)
    return None if value is None else Number(-value if negative else value, percent)


def equal(a: Number, b: Number) -> bool:
    """Whether two numbers are equal. `50%` equals 50 (the sign read as a unit) and 1/2 (the sign read as a value).

    Below one the sign is no unit: `0.5%` is not 0.5.
    """
    if a.percent == b.percent:
        return a.value == b.value
    marked, bare = (a, b) if a.percent else (b, a)
    return bare.value == marked.value / 100 or (bare.value == marked.value and abs(bare.value) >= 1)


_DECIMAL_COMMA = re.compile(r"-?(?:\d{1,3}(?:\.\d{3}){0,10}|\d{1,40}),(?:\d{1,2}|\d{4,40})")


def with_decimal_comma(gold: str, answer: str) -> bool:
    """Whether the answer is the gold decimal with a comma for its point: `3,5`, but neither `3, 5` nor `3,500`."""
    if "." not in gold or not _DECIMAL_COMMA.fullmatch(answer):
        return False
    ours, theirs = parse_number(gold), parse_number(answer.replace(".", "").replace(",", "."))
    return ours is not None and theirs is not None and ours.value == theirs.value and "/" not in gold


def _magnitude(text: str) -> Fraction | None:
    if len(text) > MAX_DIGITS and any(len(run) > MAX_DIGITS for run in re.findall(r"\d+", text)):
        return None
    if _NUMBER.fullmatch(text):
        return _decimal(text)
    if match := _POWER.fullmatch(text):
        exponent = int(match[2] or match[3] or match[4])
        base = _decimal(match[1])
        return None if abs(exponent) > MAX_DIGITS else base * Fraction(10) ** exponent
    if match := _TEN.fullmatch(text):
        exponent = int(match[1] or match[2])
        return None if abs(exponent) > MAX_DIGITS else Fraction(10) ** exponent
    if match := _REPEATING.fullmatch(text):
        whole, once, again = match[1] or "0", match[2], match[3]
        shift = 10 ** len(once)
        return Fraction(int(whole + once), shift) + Fraction(int(again), shift * (10 ** len(again) - 1))
    if (match := _GOES_ON.fullmatch(text)) and (match[4] or len(match[3]) > 1 or text.count(match[3]) > 2):
        return _magnitude(f"{match[1]}.{match[2]}\\overline{{{match[3] or match[4]}}}")
    if match := _FRACTION.fullmatch(text):
        top, bottom = match[2] or match[3], match[4] or match[5]
        return _ratio(match[1], top, bottom)
    if match := _SLASH.fullmatch(text):
        return _ratio(match[1], match[2], match[3])
    return None


def _decimal(text: str) -> Fraction:
    sign = -1 if text.startswith("-") else 1
    whole, _, rest = text.translate(_BETWEEN_DIGITS).partition(".")
    return Fraction(sign * int(whole + rest), 10 ** len(rest))


def _ratio(whole: str | None, top: str, bottom: str) -> Fraction | None:
    above, below = _decimal(top), _decimal(bottom)
    if below == 0:
        return None
    if whole is None:
        return above / below
    return Fraction(int(whole)) + above / below if 0 <= above < below else None  # a mixed number has a proper fraction


def significant_digits(text: str) -> int:
    """How many significant digits a plain decimal such as `0.333333` has; 0 for any other text."""
    text = text.translate(_SIGNS).strip().lstrip("+-")
    if len(text) > MAX_CHARS or not re.fullmatch(r"\d*\.\d+", text):
        return 0
    return len(text.replace(".", "").lstrip("0"))


def has_finite_decimal(value: Fraction) -> bool:
    """Whether a value can be written as a decimal with an end."""
    denominator = value.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1


def approximates(gold: Number, answer: str) -> bool:
    """Whether `answer` is a decimal of enough digits that a gold value without a finite decimal rounds to."""
    if has_finite_decimal(gold.value) or gold.percent or significant_digits(answer) < MIN_DIGITS:
        return False
    stated = parse_number(answer)
    assert stated is not None
    ulp = Fraction(1, 10 ** len(answer.rpartition(".")[2]))
    distance = abs(gold.value - stated.value)
    return distance <= ulp / 2 or (abs(stated.value) <= abs(gold.value) and distance < ulp)


_TOKEN = re.compile(rf"\s*(?:({_DECIMAL})|(\\times|\\cdot|\\div|\\left|\\right|[-+*/()×÷·]))")
_OPERATORS = {"\\times": "*", "\\cdot": "*", "×": "*", "·": "*", "\\div": "/", "÷": "/"}


def evaluate(text: str) -> Fraction | None:
    """The exact value of numbers joined by + - * / and parentheses, or None for any other text.

    A text with a comma and a parenthesis is not read: the comma of `(1,000)` may separate.
    """
    if len(text) > MAX_CHARS or ("," in text and "(" in text):
        return None
    text = text.translate(_SIGNS).strip()
    tokens: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or len(tokens) >= MAX_TERMS or len(match.group()) > MAX_DIGITS:
            return None
        at = match.end()
        if match[2] not in ("\\left", "\\right"):
            tokens.append(match[1] or _OPERATORS.get(match[2], match[2]))
    try:
        return compute(tokens, _decimal, max_depth=MAX_TERMS)
    except (ValueError, ZeroDivisionError):
        return None
