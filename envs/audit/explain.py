"""Why a verdict is what it is: what was extracted and from where, what it became, which rule decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from simko.envs.verifiers import get_verifier
from simko.envs.verifiers.answer.extract import EXTRACTS, MAX_RESPONSE, Found, final_answer, narrowed
from simko.envs.verifiers.answer.visible import without_thinking
from simko.envs.verifiers.math.equal import _Comparison, _UndecidedError, bare_gold, quick_equal
from simko.envs.verifiers.reading import allowlist
from simko.envs.verifiers.reading.numbers import evaluate, parse_number
from simko.envs.verifiers.reading.shapes import is_inequality, same_ratio, shape
from simko.envs.verifiers.reading.text import clean, key, same_string
from simko.envs.verifiers.reading.units import same_unit, split_unit
from simko.types import Verdict

PLACES = {"boxed": "a box", "final": "a final-answer statement", "whole": "the whole response"}
_OF_MATHS = ("math", "math_row")


@dataclass(frozen=True)
class Step:
    """One thing that was done. `depth` is that of the comparison it is part of."""

    what: str
    detail: str
    depth: int = 0


@dataclass
class Explanation:
    """The verdict, and the steps that led to it."""

    verdict: Verdict
    steps: list[Step] = field(default_factory=list)


def explain(gold: str, response: str, verifier: str = "math") -> Explanation:
    """Grade `response` and say how; for `math` and `math_row` down to the rule that decided each comparison.

    Raises `UserError` for an unknown verifier.
    """
    found = Explanation(get_verifier(verifier)(response, gold))
    base, _, place = verifier.partition(":")
    place = place.rpartition(":")[2] if place.rpartition(":")[2] in EXTRACTS else "any"
    answer = _extracted(found.steps, response, place)
    if answer is not None and base in _OF_MATHS:
        _compared(found.steps, gold if base == "math" else _row_answer(gold), answer)
    found.steps.append(Step("verdict", f"{found.verdict.outcome}, reward {found.verdict.reward:g}"))
    return found


def _extracted(steps: list[Step], response: str, place: str) -> str | None:
    text = response[-MAX_RESPONSE:]
    kept = without_thinking(text)
    if len(text) < len(response):
        steps.append(Step("cut", f"the last {MAX_RESPONSE} of {len(response)} characters are read"))
    if kept != text:
        steps.append(Step("thinking", f"{len(text) - len(kept)} characters of the thinking part are dropped"))
    with narrowed(place):
        found = final_answer(response, same=quick_equal)
    if found.text is None:
        said = (
            "several answers that differ, or one that is negated, bound or cut off"
            if found.conflict
            else "no final answer"
        )
        steps.append(Step("extracted", f"none: {said}" + (f": {found.shown}" if found.shown else "")))
        return None
    steps.append(Step("extracted", f"{found.text!r} from {_place(response, found, place)}"))
    return found.text


def _place(response: str, found: Found, place: str) -> str:
    for name, words in PLACES.items():
        if place in ("any", name):
            with narrowed(name):
                if final_answer(response, same=quick_equal).text == found.text:
                    return words
    return PLACES["whole"]


def _row_answer(gold: str) -> str:
    from simko.envs.verifiers.math.row import _parts

    parts = _parts(gold)
    return gold if parts is None else parts[0]


def _compared(steps: list[Step], gold: str, answer: str) -> None:
    gold = bare_gold(gold)
    ours, theirs = clean(gold), clean(answer)
    steps.append(Step("gold as read", repr(ours)))
    steps.append(Step("answer as read", repr(theirs)))
    traced = _Traced(steps)
    try:
        traced.equal(ours, theirs, 0)
    except _UndecidedError as undecided:
        steps.append(Step("undecided", f"the worker said {undecided.outcome}"))


class _Traced(_Comparison):
    """The comparison of `math`, with a note at every step."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = steps
        self.depth = 0

    def equal(self, gold: str, answer: str, depth: int) -> bool:
        at, self.depth = len(self.steps), depth
        self.steps.append(Step("compare", "", depth))
        result = super().equal(gold, answer, depth)
        said = "equal" if result else "different"
        self.steps[at] = Step("compare", f"{gold!r} with {answer!r}: {rule(gold, answer)} -> {said}", depth)
        return result

    def _ask(self, gold: str, answer: str, relation: bool = False) -> bool:
        result = super()._ask(gold, answer, relation)
        ours, theirs = allowlist.admit(gold, relation), allowlist.admit(answer, relation)
        refused = [name for name, text in (("gold", ours), ("answer", theirs)) if text is None]
        detail = f"{' and '.join(refused)} not on the allow-list" if refused else f"{ours!r} with {theirs!r}"
        self.steps.append(Step("algebra", f"{detail} -> {'equal' if result else 'different'}", self.depth + 1))
        return result


def rule(gold: str, answer: str) -> str:
    """Which rule of `math` decides this comparison, in words. Both texts have been through `latex.clean`."""
    if same_string(gold, answer):
        return f"the same text, {key(gold)!r}"
    (value, unit), (other, other_unit) = split_unit(gold), split_unit(answer)
    if not same_unit(unit, other_unit):
        return f"units differ, {unit} and {other_unit}"
    if unit or other_unit:
        return f"units taken off ({unit or 'none'}, {other_unit or 'none'})"
    x, y = parse_number(value), parse_number(other)
    if x is not None and y is not None:
        return f"exact numbers, {x.value}{' %' if x.percent else ''} and {y.value}{' %' if y.percent else ''}"
    if same_ratio(value, other):
        return "a ratio and its fraction"
    if is_inequality(value) != is_inequality(other):
        return "an inequality against a set"
    a, b = shape(value), shape(other)
    if a.kind != "scalar" or b.kind != "scalar":
        return f"shapes, {_shape(a)} and {_shape(b)}"
    if "=" in value or "=" in other:
        return "equations, side by side"
    if is_inequality(value):
        return "inequalities"
    u, v = evaluate(value), evaluate(other)
    if u is not None and v is not None:
        return f"exact values, {u} and {v}"
    return "algebra"


def _shape(found: Any) -> str:
    size = f"{len(found.items) // found.columns}x{found.columns}" if found.columns else str(len(found.items))
    return f"{found.kind} {found.brackets}".strip() + ("" if found.kind == "scalar" else f" of {size}")
