r"""The gold answers of benchmark rows: a text, or JSON text for `math_row` if the row says more than its answer.

Minerva: `extra.alt_answers` are other accepted answers. They are not taken if the problem quotes the answers of earlier
subproblems, because many of the published alternatives are those earlier answers.

OlympiadBench: the unit is put behind the answer. Several numbers are a list, even if parentheses are printed around
them. An interval loses the name that is printed before it. The tolerance (`error`, absolute) is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from simko.envs.data.loading import Row, last_boxed
from simko.envs.data.readable import main_answer, unpack
from simko.envs.data.rows import Pair, boxed, text_of
from simko.envs.data.solutions import UnclearError, boxed_answer
from simko.types import Task

QUOTED = "Final answer: The final answer is "  # Minerva's problems print it before an earlier answer
_NAMED_INTERVAL = re.compile(r"^[A-Za-z]\s*(?:\\in\s*)?(?=[(\[])")
_PARENTHESISED = re.compile(r"\(([^()\[\]]*)\)")

_LOST = "SimKO's extraction lost "
REASONS = {
    "math-train-60": _LOST + "a blank after \\leq",
    "math-train-2228": _LOST + "the percent sign, so that the equation is false",
    "math-train-3099": _LOST + "the degree signs, so that the angles are radians",
    "math-train-4715": _LOST + "the half of the day",
    "math-train-5125": _LOST + "the \\text of a number in base 11",
    "math-train-5446": _LOST + "the half of the day",
    "math-train-5701": _LOST + "the unit and kept its exponent",
    "math-train-6504": _LOST + "\\text of \\textnormal",
    "math-train-6811": _LOST + "the command \\pi",
    "math-test-644": _LOST + "the word between the two answers",
    "math-test-1714": _LOST + "the command \\pi",
    "math-test-1991": _LOST + "the \\text of the unit",
    "math-test-3655": _LOST + "the word between the two answers",
    "math-test-4060": _LOST + "the answer in a remark",
    "math-test-4134": _LOST + "what follows a line break",
    "minerva-149": "it is the answer of an earlier subproblem, which the problem quotes without its exponent",
}
"""Task id to the reason why a pair of that row is not graded as expected."""


def pack(answer: str, accepted: list[str] | None = None, tolerance: str | None = None) -> str:
    """A gold answer for `math_row`: JSON, or the bare text if there is nothing else to say."""
    more: dict[str, Any] = {}
    if accepted:
        more["accepted"] = accepted
    if tolerance:
        more["tolerance"] = tolerance
    return json.dumps({"answer": answer, **more}, ensure_ascii=False) if more else answer


def minerva(answer: str, row: Row) -> str:
    """A gold answer of Minerva: the answer, and the alternatives that the row lists."""
    problem = text_of(row.get("problem")) or text_of(row.get("question")) or ""
    others = [other for other in _alternatives(row.get("extra")) if other != answer]
    return pack(answer, [] if QUOTED in problem else list(dict.fromkeys(others)))


def olympiadbench(answer: str, row: Row) -> str:
    """A gold answer of OlympiadBench, by the row's `answer_type`, `unit`, `is_multiple_answer` and `error`."""
    about: Mapping[str, Any] = {**row, **row["extra"]} if isinstance(row.get("extra"), Mapping) else row
    text, printed = answer.strip(), []
    if about.get("answer_type") == "Interval" and _NAMED_INTERVAL.match(text.strip("$ ")):
        printed = [text]
        text = _NAMED_INTERVAL.sub("", text.strip("$ "))
    if about.get("is_multiple_answer"):
        bare = text.strip("$ ")
        if about.get("answer_type") == "Numerical" and _PARENTHESISED.fullmatch(bare):
            text = bare[1:-1]
    elif unit := text_of(about.get("unit")):
        text = f"{text.strip('$ ')} {latex_unit(unit)}"
    return pack(text, printed, text_of(about.get("error")))


def latex_unit(unit: str) -> str:
    r"""A unit column as LaTeX: `$cm^2$` as `\text{cm}^{2}`, `%` as `\%`, `^{\circ}` as it is."""
    unit = unit.strip("$ ")
    if unit in ("%", "\\%"):
        return "\\%"
    if "circ" in unit:
        return unit
    base, _, power = unit.partition("^")
    return f"\\text{{{base.strip()}}}" + (f"^{{{power.strip('{} ')}}}" if power else "")


def pairs(task: Task) -> Iterator[Pair]:
    """Responses from `task.extra` whose verdict is known. All but a few kinds are right answers."""
    extra, answer = task.extra, main_answer(task.gold)
    solution = extra.get("solution")
    if isinstance(solution, str):
        if "####" in solution:
            yield Pair(task, solution, True, "worked solution")
        elif "# Answer" in solution:
            yield Pair(task, boxed(solution.rsplit("# Answer", 1)[-1].strip()), True, "worked solution")
        elif final := _final(solution, answer):
            yield Pair(task, boxed(final), True, "worked solution")
            why = "the solution boxes several results, or binds one to something outside its box"
            yield Pair(task, solution, True, "whole solution", why)
    if target := text_of(extra.get("simko_target")):
        yield Pair(task, boxed(target), True, "simko_target", REASONS.get(task.id, ""))
    if accepted := text_of(extra.get("accepted_response")):
        yield Pair(task, accepted, True, "accepted_response")
    for other in _alternatives(extra):
        if other != answer:
            right = not _answers_earlier(task, other)
            kind = "alt_answers" if right else "alt_answers, of an earlier subproblem"
            yield Pair(task, boxed(other), right, kind, REASONS.get(task.id, ""))
    final_answers = extra.get("final_answer")
    if isinstance(final_answers, list) and all(isinstance(item, str) for item in final_answers):
        yield Pair(task, f"The answer is {', '.join(final_answers)}.", True, "final_answer")
        yield from _several(task, answer, bool(extra.get("is_multiple_answer")))
    if re.fullmatch(r"\d{1,4}", answer):
        yield Pair(task, f"The answer is ${int(answer)}.0$.", True, "as a decimal")
        if "accepted" not in unpack(task.gold):
            yield Pair(task, boxed(str(int(answer) + 1)), False, "next number")


def _final(solution: str, answer: str) -> str | None:
    """What a worked solution boxes: the gold answer, where that is more than the last box."""
    try:
        return answer if boxed_answer(solution) == answer else last_boxed(solution)
    except UnclearError:
        return last_boxed(solution)


def _several(task: Task, answer: str, multiple: bool) -> Iterator[Pair]:
    """For a task with several answers: the other order, which is right, and one answer missing, which is wrong."""
    from simko.envs.verifiers.reading.shapes import shape
    from simko.envs.verifiers.reading.text import clean

    gold = shape(clean(answer))
    items = gold.items
    if multiple and gold.kind in ("list", "set") and len(items) > 1 and len(set(items)) == len(items):
        yield Pair(task, boxed(", ".join(reversed(items))), True, "other order")
        yield Pair(task, boxed(", ".join(items[1:])), False, "one answer missing")


def _answers_earlier(task: Task, other: str) -> bool:
    """Whether `other` answers an earlier subproblem that this Minerva problem quotes, and not the problem itself."""
    from simko.envs.verifiers import grade

    quoted = [part.split(" I hope it is correct")[0].strip().rstrip(".") for part in task.problem.split(QUOTED)[1:]]
    return (
        any(grade(boxed(other), text).correct for text in quoted if text)
        and not grade(boxed(other), main_answer(task.gold)).correct
    )


def _alternatives(extra: Any) -> list[str]:
    others = extra.get("alt_answers") if isinstance(extra, Mapping) else None
    return [text for item in others if (text := text_of(item))] if isinstance(others, list) else []
