"""The verifier of Countdown: is this an expression that uses the given numbers once each and reaches the target?

Python neither evaluates nor compiles the text: it is cut to a short length and an allow-list of characters, and computed
here in exact rational arithmetic.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction

from simko.envs.verifiers.answer.extract import final_answer
from simko.envs.verifiers.reading.arithmetic import MalformedError, compute
from simko.envs.verifiers.reading.brackets import PARENTHESES, deepest
from simko.envs.verifiers.reading.signs import plain_signs
from simko.types import Verdict

MAX_EXPRESSION = 200  # characters
MAX_ANSWER = 4 * MAX_EXPRESSION  # the same with LaTeX in it
MAX_DEPTH = 30  # nested parentheses: far below where the parser itself gives up
MAX_FRACTIONS = 20

_PLAIN = str.maketrans("[]{}", "()()")
_COMMANDS = (
    (re.compile(r"\\(?:times|cdot|ast)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (re.compile(r"\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[,;:! ()\[\]]|\$"), " "),
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ALLOWED = re.compile(r"[0-9+\-*/() ]+")
_TOKEN = re.compile(r"[0-9]+|[-+*/()]")
_WHOLE = re.compile(r"(?=.*[0-9])[0-9+\-*/() =]+")


def parse_gold(gold: str) -> tuple[list[int], int]:
    """The sorted numbers and the target of `{"numbers": [...], "target": n}`; raises `ValueError` for anything else."""
    try:
        data = json.loads(gold)
        numbers, target = data["numbers"], data["target"]
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"gold is not an object with numbers and target: {gold[:80]!r}") from error
    if not isinstance(numbers, list) or not numbers or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(f"gold numbers are not a list of integers >= 0: {gold[:80]!r}")
    if type(target) is not int:
        raise ValueError(f"gold target is not an integer: {gold[:80]!r}")
    return sorted(numbers), target


def to_ascii(text: str) -> str:
    r"""LaTeX (`\times`, `\div`, `\cdot`, `\frac{a}{b}`, delimiters) and Unicode operators as + - * / ( ), trimmed."""
    text = plain_signs(text)
    for pattern, plain in _COMMANDS:
        text = pattern.sub(plain, text)
    for _ in range(MAX_FRACTIONS):
        text, count = _FRACTION.subn(r"((\1)/(\2))", text)
        if not count:
            break
    return " ".join(text.translate(_PLAIN).strip(" \t\n`.").split())


def evaluate(text: str) -> tuple[Fraction, list[int]]:
    """The exact value of an arithmetic expression and the integers in it, sorted.

    Raises `ValueError` where the text is too long or nested, has other characters, or is anything but integers joined
    by + - * / and a sign; `ZeroDivisionError` where it divides by zero.
    """
    if len(text) > MAX_EXPRESSION or not _ALLOWED.fullmatch(text):
        raise MalformedError(text[:80])
    tokens = _TOKEN.findall(text)
    if any(len(token) > 1 and token[0] == "0" for token in tokens):
        raise MalformedError(text[:80])
    depth = deepest(text, PARENTHESES)
    if depth is None or depth > MAX_DEPTH:
        raise MalformedError(text[:80])
    value = compute(tokens, int, max_depth=MAX_EXPRESSION)  # any number of signs
    return value, sorted(int(token) for token in tokens if token.isdigit())


def split_target(answer: str) -> tuple[str, str | None]:
    """The expression of an answer in ASCII, and the text behind its `=`, or None without one."""
    left, equals, right = to_ascii(answer[:MAX_ANSWER]).partition("=")
    return left.strip(), right.strip() if equals else None


def is_expression(text: str) -> bool:
    """Whether a whole response is nothing but an expression, well formed or not, with or without `= target`."""
    return len(text) <= MAX_ANSWER and bool(_WHOLE.fullmatch(to_ascii(text)))


def expression(response: str, gold: str) -> Verdict:
    """Grades a Countdown answer: every number exactly once, + - * / and parentheses, exactly the target.

    A trailing `= target` is allowed where it is the target. No partial credit. A gold answer that is not
    `{"numbers": [...], "target": n}` is an `error`, not a wrong answer.
    """
    try:
        numbers, target = parse_gold(gold)
    except ValueError:
        return Verdict("error", 0.0)
    answer = final_answer(
        response, same=lambda a, b: _bare(split_target(a)[0]) == _bare(split_target(b)[0]), whole=is_expression
    )
    if answer.text is None:
        return Verdict("incorrect" if answer.conflict else "no_answer", 0.0, answer.shown)
    text, claimed = split_target(answer.text)
    try:
        value, used = evaluate(text)
    except (ValueError, ZeroDivisionError):
        return Verdict("incorrect", 0.0, answer.shown)
    correct = value == target and used == numbers and claimed in (None, str(target))
    return Verdict("correct" if correct else "incorrect", float(correct), text)


def _bare(text: str) -> str:
    return text.replace(" ", "")
