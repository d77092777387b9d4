r"""Puzzles whose answer is one number, name or list.

`answer/extract.py` finds the answer (boxes, statements, a bare answer; two that differ are incorrect). Statements in
Chinese (`答案是 ...`) are added here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from simko.envs.verifiers.answer.extract import final_answer
from simko.envs.verifiers.reading.numbers import evaluate, parse_number, significant_digits
from simko.envs.verifiers.reading.text import clean
from simko.envs.verifiers.synlogic.common import last_boxed

MIN_DIGITS = 6  # significant digits that a rounded decimal must have
TOLERANCE = Fraction(1, 10**9)  # relative: the stored results are sums of rounded floats
MAX_CHARS = 2_000
MAX_ITEMS = 200

_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf|texttt)\s?\{([^{}]*)\}")
_CHINESE = re.compile(r"答案[*_\s]{0,4}(?:(?:应该|应当|应)?[是为][*_\s]{0,4}[:：]?|[:：])(?P<answer>[^\n]{1,1000})")
_COUNTED = re.compile(r"(.*?\d)\s{0,4}(?:\\text\s?\{)?\s{0,4}(?:个|件|items?|objects?|pieces?)\s{0,4}\}?", re.DOTALL)
_COMMA = re.compile(r"[,，、;；\n]")
_AND = re.compile(r"[,，、;；\n]|\sand\s|和|与")
_MINUTES = r"\s{0,4}(?:minutes?|mins?|分钟|options?|个)?\s{0,4}"
_PAIR = re.compile(rf"\[\s{{0,4}}(\d{{1,6}}){_MINUTES}[,，、]\s{{0,4}}(\d{{1,6}}){_MINUTES}\\?\]")
_BOLD = re.compile(r"\*\*([^*\n]{1,400})\*\*")
_TRUTH = {
    **dict.fromkeys(("yes", "y", "true", "truth", "是", "是的", "真", "真话"), True),
    **dict.fromkeys(("no", "n", "false", "lie", "否", "不是", "假", "假话"), False),
}


def object_counting(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the answer is the number of things."""
    return _graded(text, lambda answer: _same_count(answer, str(game["answer"])))


def object_properties(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the answer is the number of things with the properties, or `unknown`."""
    return _graded(text, lambda answer: _same_count(answer, str(game["answer"])))


def operation(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the answer is the expression's value: exact if whole, else within float error or rounded to six digits."""
    return _graded(text, lambda answer: same_value(answer, str(game["answer"])))


def space_reasoning(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the answer is the name of the item, or `unknown`."""
    return _graded(text, lambda answer: normal(answer) == normal(str(game["answer"])))


def space_reasoning_tree(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the answer has all nodes, each once, or `unknown`. Order does not count: the Chinese text leaves it open."""
    gold = names(str(game["answer"]), _COMMA)
    return _graded(text, lambda answer: gold in (names(answer, _COMMA), names(answer, _AND)))


def time_sequence(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the boxed (or last) `[minutes, options]` is right. `0` means that no meeting is possible."""
    gold = [int(number) for number in game["answer"]]
    boxed = last_boxed(text) or ""
    pairs = _PAIR.findall(boxed if "[" in boxed else f"[{boxed.strip(' ()')}]") or _PAIR.findall(text)
    if pairs:
        return [int(number) for number in pairs[-1]] == gold
    return _graded(text, lambda answer: not any(gold) and _same_count(answer.strip("[]() "), "0"))


def web_of_lies(text: str, game: dict[str, Any]) -> bool | None:
    """Whether each question is answered right with yes or no, in order, in English or Chinese."""
    gold = truths(str(game["answer"]))
    if gold is None:
        raise ValueError(f"web_of_lies: the answer is not a list of yes and no: {str(game['answer'])[:80]!r}")
    graded = _graded(text, lambda answer: truths(answer) == gold)
    if graded is not None:
        return graded
    bold = [answer for part in _BOLD.findall(text[-MAX_CHARS:]) if (answer := truths(part)) is not None]
    return bold[-1] == gold if bold else None


def normal(answer: str) -> str:
    r"""A name in lower case, without `\text{}`, marks around it, and repeated white space."""
    plain = _TEXT.sub(r"\1", answer[:MAX_CHARS]).replace("\\ ", " ").replace("~", " ")
    return " ".join(plain.casefold().split()).strip(" $*_`\"'“”.,;:!。，；：！{}")


def names(answer: str, separator: re.Pattern[str]) -> list[str]:
    """The names in a list, sorted."""
    parts = separator.split(_TEXT.sub(r"\1", answer[:MAX_CHARS]).strip(" $[](){}\\"), maxsplit=MAX_ITEMS)
    return sorted(name for part in parts if (name := normal(part)))


def truths(answer: str) -> list[bool] | None:
    """The yes and no of a list, or None if it says anything else."""
    words = re.split(r"[\s,，、;；]+", normal(answer.strip(" $[]()")).strip(" []()"))
    values = [_TRUTH.get(word.strip("*_`\"'.。[]()")) for word in words if word][: MAX_ITEMS + 1]
    return None if None in values or not values else [bool(value) for value in values]


def same_value(answer: str, gold: str) -> bool:
    """Whether the answer has the value of `gold`, a number as Python prints it (an int or a float)."""
    target = parse_number(gold)
    if target is None:  # too long, `nan`, or a complex number: compared as text
        return normal(answer).replace(",", "").replace(" ", "") == normal(gold)
    sides = [side for side in re.split(r"=|≈|\\approx", answer[:MAX_CHARS]) if side.strip(" $")]
    values = [(side, value) for side in sides if (value := _value(side)) is not None]
    if not values or values[-1][0] is not sides[-1]:
        return False
    is_float = not gold.strip().lstrip("+-").isdigit()
    return all(_close(side, value, target.value, is_float) for side, value in values)


def _close(answer: str, value: Fraction, gold: Fraction, is_float: bool) -> bool:
    if value == gold or not is_float:
        return value == gold
    if abs(value - gold) <= TOLERANCE * abs(gold):
        return True
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", clean(answer.strip(" $*`\n\t")))
    mantissa = re.match(r"[+-]?\s?(\d{0,40}\.(\d{1,40}))", plain)
    if mantissa is None or significant_digits(mantissa[1]) < MIN_DIGITS:
        return False
    stated = Fraction(mantissa[1])
    unit = abs(value) / stated / 10 ** len(mantissa[2]) if stated else Fraction(0)  # of the last decimal place
    return abs(value - gold) <= unit / 2


def _value(text: str) -> Fraction | None:
    text = clean(text.strip(" $*`\n\t")).rstrip(".。 ")
    number = parse_number(text)
    if number is not None:
        return None if number.percent else number.value
    return evaluate(re.sub(r"\\[dt]?frac\s?\{([^{}]{1,100})\}\s?\{([^{}]{1,100})\}", r"((\1)/(\2))", text))


def _same_count(answer: str, gold: str) -> bool:
    target = parse_number(gold)
    if target is None:
        return normal(answer) == normal(gold)
    text = clean(answer[:MAX_CHARS].strip(" $*`\n\t.。"))
    counted = _COUNTED.fullmatch(text)
    number = parse_number(_TEXT.sub(r"\1", counted[1] if counted else text).rstrip(". "))
    return number is not None and not number.percent and number.value == target.value


def _graded(text: str, is_correct: Callable[[str], bool]) -> bool | None:
    """Whether the final answer is correct, or None without an answer. Two answers agree if they are equal or both correct."""
    answer = final_answer(text, same=lambda a, b: normal(a) == normal(b) or (is_correct(a) and is_correct(b)))
    if answer.conflict:
        return False
    chinese = [match["answer"] for match in _CHINESE.finditer(text[-MAX_CHARS:])]
    if answer.text is None or (chinese and last_boxed(text) is None):
        return is_correct(_trimmed(chinese[-1])) if chinese else None
    return is_correct(answer.text)


def _trimmed(answer: str) -> str:
    return re.split(r"[。！]", answer)[0].strip(' *_`:："“”')
