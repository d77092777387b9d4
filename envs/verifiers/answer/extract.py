r"""Which part of a response is its final answer: the one policy that all bundled verifiers share.

1. What a reader does not see is dropped (`visible`): thinking, other channels, comments, struck-out text, programs.
2. If there is a `\boxed{...}` (or `\fbox`, `\framebox`; braces must balance), the boxes are the answers (`boxes`).
3. Else, if there are final-answer statements (`statements`), those are.
4. Else the whole response, where it is one short line and nothing but an answer.

`narrowed("boxed" | "final" | "whole")` makes step 2, 3 or 4 the only one, for verifiers called inside it; what the others
would have found does not count then, for or against.

Several answers count only where they are all the same; two that differ are a **conflict**, which is incorrect: guessing twice
must not pay. A box that is cut off or bound to something that cannot be read with it (`3 - \boxed{42}`, see `beside`), one that
is negated with no other left, and a value on a final-answer line that differs from a boxed one are conflicts, too. What else a
response says about its answer is not read: `\boxed{42}. Wait, that is wrong.` states 42.

The response is cut to its last `MAX_RESPONSE` characters once its thinking is gone, and no pattern backtracks beyond its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from simko.envs.verifiers.answer.boxes import BOX, Boxes, by_name, read_boxes
from simko.envs.verifiers.answer.statements import is_bare, is_value, statements, whole_answer
from simko.envs.verifiers.answer.visible import visible
from simko.envs.verifiers.reading.numbers import evaluate
from simko.envs.verifiers.reading.shapes import sides
from simko.envs.verifiers.reading.text import clean

EXTRACTS = ("any", "boxed", "final", "whole")
MAX_RESPONSE = 100_000  # characters
MAX_WHOLE = 200  # characters of a response that may be an answer as a whole
MAX_ANSWERS = 20  # that differ as strings: twice as many are a conflict, whatever they say
MAX_SHOWN = 200
MAX_EQUALS = 4  # answers that may be compared with the gold answer, each

Same = Callable[[str, str], bool]
_CALCULATED = re.compile(r"<<[^<>\n]{1,200}>>")  # GSM8K's marks, as in 2 + 3 = <<2+3=5>>5
_MARKS = " \t\n*_>#\"'“”‘’`$.,:;|~-—–…"
_TRAIL = re.compile(r"\s(?:instead|then|after all|i (?:think|believe)|(?:because|since|as) .*)$|,.*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """`text`: the final answer, or None if the response states none or several that `conflict`. `shown`: for the verdict.

    `stated`: the answers that conflict only because they could not be told to be the same. A verifier that finds each of
    them equal to the gold answer may say so.
    """

    text: str | None
    shown: str | None = None
    conflict: bool = False
    stated: tuple[str, ...] = ()


_wanted: ContextVar[str] = ContextVar("extract", default="any")


@contextmanager
def narrowed(extract: str) -> Iterator[None]:
    """Inside, in this thread or task, final answers are looked for in that place alone (`any`: by the whole policy)."""
    token = _wanted.set(extract)
    try:
        yield
    finally:
        _wanted.reset(token)


def wanted() -> str:
    """Where final answers are looked for: for the few scorers that read their answers themselves."""
    return _wanted.get()


def same_text(a: str, b: str) -> bool:
    """Whether two answers are the same but for white space."""
    return a.split() == b.split()


def final_answer(response: str, same: Same = same_text, whole: Callable[[str], bool] | None = None) -> Found:
    """The one final answer of `response`, by the policy of this module.

    `same(a, b)` tells whether two stated answers agree; `whole(text)` whether a whole response is nothing but an answer
    (default: one short line of few words).
    """
    text = visible(response, MAX_RESPONSE)
    if "<<" in text:
        text = _CALCULATED.sub("", text)
    place = wanted()
    boxes = read_boxes(text) if place in ("any", "boxed") else Boxes()
    if boxes.conflict is not None:
        return Found(None, boxes.conflict, conflict=True)
    answers = statements(text) if place in ("any", "final") else []
    if boxes.answers:
        answers = [*boxes.answers, *(other for other in answers if _is_another(other, boxes.answers[-1], same))]
    if not answers:
        return _whole(text, whole or is_bare) if place in ("any", "whole") else Found(None)
    last = boxes.answers[-1] if boxes.answers else answers[-1]
    several = len(answers) > 2 * MAX_ANSWERS
    if not several and all(other == last or same(other, last) for other in answers):
        return Found(last, last[:MAX_SHOWN])
    if not several and boxes.answers and (together := by_name(text)):
        return Found(together, together[:MAX_SHOWN])
    shown = " | ".join(dict.fromkeys(other[:60] for other in [*answers[:MAX_ANSWERS], last]))[:MAX_SHOWN]
    return Found(None, shown, conflict=True, stated=tuple(answers) if len(answers) <= MAX_EQUALS else ())


def boxes(text: str) -> list[str]:
    """What all boxes hold, each content once; none where one of them is cut off, negated or bound."""
    return list(read_boxes(text).answers)


def _whole(text: str, is_answer: Callable[[str], bool]) -> Found:
    r"""A response that is nothing but an answer. A box that does not count, as in `Is it \boxed{42}?`, is not read again."""
    line = whole_answer(text)
    if not line or not is_answer(line) or (wanted() == "any" and BOX.search(line)):
        return Found(None)
    return Found(line, line[:MAX_SHOWN])


def _is_another(statement: str, boxed: str, same: Same) -> bool:
    """Whether a statement is a value and another one than the box; it is not where it repeats the box, or asks.

    One side of an equation that agrees will do: `The answer is 40 + 2 = 42.`
    """
    if BOX.search(statement) or statement.endswith("?"):
        return False
    value = _TRAIL.sub("", statement[:100].strip(_MARKS)).strip(_MARKS)
    if not is_value(value, boxed):
        return False
    return not any(_agree(side, boxed, same) for side in sides(clean(value)) if side)


def _agree(a: str, b: str, same: Same) -> bool:
    """Whether two answers agree, by `same` or as exact values."""
    if same(a, b):
        return True
    x, y = evaluate(clean(a)), evaluate(clean(b))
    return x is not None and x == y
