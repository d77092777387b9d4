"""The verifier of Countdown: is this an expression that uses the given numbers once each and reaches the target?

The text is never evaluated by Python: it is cut to a short length and an allow-list of characters, parsed to a syntax
tree, and our own walk computes it in exact rational arithmetic over an allow-list of nodes.
"""

from __future__ import annotations

import ast
import json
import re
import time
from fractions import Fraction

from simko.types import Outcome, Verdict

MAX_RESPONSE = 100_000  # characters read, from the end
MAX_EXPRESSION = 200  # characters
MAX_DEPTH = 30  # nested parentheses: far below where the parser itself gives up
MAX_FRACTIONS = 20

_PLAIN = str.maketrans("×·∙⋅÷∕⁄−–[]{}", "****///--()()")
_COMMANDS = (
    (re.compile(r"\\(?:times|cdot|ast)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (re.compile(r"\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[,;:! ()\[\]]|\$"), " "),
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ALLOWED = re.compile(r"[0-9+\-*/() ]+")
_ANSWER_TAG = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL | re.IGNORECASE)
_ANSWER_LINE = re.compile(r"^[\s>*_#]*(?:the\s+)?(?:final\s+)?answer(?:\s+is)?\s*[*_]*\s*:\s*[*_]*(.+)$", re.I | re.M)


class _MalformedError(ValueError):
    """Not an expression of the allowed form."""


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
    r"""LaTeX (`\times`, `\div`, `\cdot`, `\frac{a}{b}`, delimiters) and Unicode operators as + - * / ( )."""
    for pattern, plain in _COMMANDS:
        text = pattern.sub(plain, text)
    for _ in range(MAX_FRACTIONS):
        text, found = _FRACTION.subn(r"((\1)/(\2))", text)
        if not found:
            break
    return " ".join(text.translate(_PLAIN).split())


def evaluate(text: str) -> tuple[Fraction, list[int]]:
    """The exact value of an arithmetic expression and the integers in it, sorted.

    Raises `ValueError` where the text is too long or nested, has other characters, or is anything but integers joined
    by + - * / and a sign; `ZeroDivisionError` where it divides by zero.
    """
    if len(text) > MAX_EXPRESSION or not _ALLOWED.fullmatch(text):
        raise _MalformedError(text[:80])
    depth = deepest = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        deepest = max(deepest, depth)
    if depth != 0 or deepest > MAX_DEPTH:
        raise _MalformedError(text[:80])
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise _MalformedError(text[:80]) from error
    numbers: list[int] = []
    return _walk(tree.body, numbers), sorted(numbers)


def _walk(node: ast.expr, numbers: list[int]) -> Fraction:
    match node:
        case ast.Constant(value=int() as value) if type(value) is int:
            numbers.append(value)
            return Fraction(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):  # reaches no positive target that + - * / do not
            return -_walk(operand, numbers)
        case ast.BinOp(left=left, op=operator, right=right):
            a, b = _walk(left, numbers), _walk(right, numbers)
            match operator:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a / b
    raise _MalformedError(type(node).__name__)


def _last_boxed(text: str) -> str | None:
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for index in range(start + 6, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return text[start + 7 : index]
    return None


def extract_expression(response: str) -> str | None:
    r"""The final answer, in ASCII: the last `\boxed{}`, else `<answer>`, else `Answer:` line, else the whole response.

    The whole response counts only where it is nothing but an expression. None where there is no answer.
    """
    text = response[-MAX_RESPONSE:]
    found = _last_boxed(text)
    if found is None and (tags := _ANSWER_TAG.findall(text)):
        found = tags[-1]
    if found is None and (lines := _ANSWER_LINE.findall(text)):
        found = lines[-1]
    if found is not None:
        return to_ascii(found[: 4 * MAX_EXPRESSION]).strip().rstrip(".").strip() or None
    if len(text) > 4 * MAX_EXPRESSION:
        return None
    whole = to_ascii(text).strip().rstrip(".").strip()
    return whole if re.fullmatch(r"[0-9+\-*/() =]+", whole) and re.search(r"\d", whole) else None


def expression(response: str, gold: str) -> Verdict:
    """Grades a Countdown answer: every number exactly once, + - * / and parentheses, exactly the target.

    A trailing `= target` is allowed where it is the target. No partial credit. A gold answer that is not
    `{"numbers": [...], "target": n}` is an `error`, not a wrong answer.
    """
    start = time.perf_counter()

    def verdict(outcome: Outcome, extracted: str | None = None) -> Verdict:
        return Verdict(outcome, float(outcome == "correct"), extracted, time.perf_counter() - start)

    try:
        numbers, target = parse_gold(gold)
    except ValueError:
        return verdict("error")
    found = extract_expression(response)
    if found is None:
        return verdict("no_answer")
    left, equals, right = found.partition("=")
    if equals and right.strip() != str(target):
        return verdict("incorrect", found)
    try:
        value, used = evaluate(left.strip())
    except (ValueError, ZeroDivisionError):
        return verdict("incorrect", found)
    return verdict("correct" if value == target and used == numbers else "incorrect", found)
