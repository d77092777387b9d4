"""How a verdict came about: the answer that was extracted, its place, its one spelling, and the rules that decided."""

from __future__ import annotations

from dataclasses import dataclass, field

from simko.envs.verifiers import get_verifier
from simko.envs.verifiers.answer.extract import EXTRACTS, MAX_RESPONSE, Found, final_answer, narrowed
from simko.envs.verifiers.answer.visible import without_thinking
from simko.envs.verifiers.math.comparison import Comparison, UndecidedError
from simko.envs.verifiers.math.equal import bare_gold
from simko.envs.verifiers.math.readings import quick_equal
from simko.envs.verifiers.reading import allowlist
from simko.envs.verifiers.reading.text import clean, unlabelled
from simko.types import Verdict

PLACES = {"boxed": "a box", "final": "a final-answer statement", "whole": "the whole response"}
_OF_MATHS = ("math", "math_row")


@dataclass(frozen=True)
class Step:
    """One step of grading. `depth` is the depth of the comparison that it belongs to."""

    what: str
    detail: str
    depth: int = 0


@dataclass
class Explanation:
    """The verdict, and the steps that led to it."""

    verdict: Verdict
    steps: list[Step] = field(default_factory=list)


def explain(gold: str, response: str, verifier: str = "math") -> Explanation:
    """Grade `response` and say how: for `math` and `math_row` with the rule that decided each comparison.

    Raises `UserError` for an unknown verifier.
    """
    explanation = Explanation(get_verifier(verifier)(response, gold))
    base, _, place = verifier.partition(":")
    place = place.rpartition(":")[2] if place.rpartition(":")[2] in EXTRACTS else "any"
    answer = _extracted(explanation.steps, response, place)
    if answer is not None and base in _OF_MATHS:
        _compared(explanation.steps, gold if base == "math" else _row_answer(gold), answer)
    verdict = explanation.verdict
    explanation.steps.append(Step("verdict", f"{verdict.outcome}, reward {verdict.reward:g}"))
    return explanation


def _extracted(steps: list[Step], response: str, place: str) -> str | None:
    text = response[-MAX_RESPONSE:]
    visible = without_thinking(text)
    if len(text) < len(response):
        steps.append(Step("cut", f"the last {MAX_RESPONSE} of {len(response)} characters are read"))
    if visible != text:
        steps.append(Step("thinking", f"{len(text) - len(visible)} characters of the thinking part are dropped"))
    with narrowed(place):
        final = final_answer(response, same=quick_equal)
    if final.text is None:
        reason = (
            "several answers that differ, or one that is negated, bound or cut off"
            if final.conflict
            else "no final answer"
        )
        steps.append(Step("extracted", f"none: {reason}" + (f": {final.shown}" if final.shown else "")))
        return None
    steps.append(Step("extracted", f"{final.text!r} from {_place(response, final, place)}"))
    return final.text


def _place(response: str, final: Found, place: str) -> str:
    for name, words in PLACES.items():
        if place in ("any", name):
            with narrowed(name):
                if final_answer(response, same=quick_equal).text == final.text:
                    return words
    return PLACES["whole"]


def _row_answer(gold: str) -> str:
    from simko.envs.verifiers.math.row import _parts

    parts = _parts(gold)
    return gold if parts is None else parts[0]


def _compared(steps: list[Step], gold: str, answer: str) -> None:
    gold = bare_gold(gold)
    ours = clean(gold)
    theirs = unlabelled(ours, clean(answer))
    steps.append(Step("gold as read", repr(ours)))
    steps.append(Step("answer as read", repr(theirs)))
    traced = _Traced(steps)
    try:
        traced.equal(ours, theirs)
    except UndecidedError as undecided:
        steps.append(Step("undecided", f"the worker said {undecided.outcome}"))


class _Traced(Comparison):
    """The comparison of `math`, with a note of every decision."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = steps
        self._starts: list[int] = []

    def equal(self, gold: str, answer: str) -> bool:
        """Keep a line for this comparison above those of its parts."""
        self._starts.append(len(self.steps))
        self.steps.append(Step("compare", f"{gold!r} with {answer!r}", self.depth + 1))
        try:
            return super().equal(gold, answer)
        finally:
            self._starts.pop()

    def decided(self, gold: str, answer: str, rule: str, verdict: bool) -> bool:
        """Note the rule that decided."""
        detail = f"{gold!r} with {answer!r}: {rule} -> {_said(verdict)}"
        self.steps[self._starts[-1]] = Step("compare", detail, self.depth)
        return super().decided(gold, answer, rule, verdict)

    def ask(self, gold: str, answer: str, relation: bool = False) -> bool:
        """Note what the worker was asked, or which text is not on the allow-list."""
        verdict = super().ask(gold, answer, relation)
        ours, theirs = allowlist.admit(gold, relation), allowlist.admit(answer, relation)
        refused = [name for name, text in (("gold", ours), ("answer", theirs)) if text is None]
        detail = f"{' and '.join(refused)} not on the allow-list" if refused else f"{ours!r} with {theirs!r}"
        self.steps.append(Step("worker", f"{detail} -> {_said(verdict)}", self.depth + 1))
        return verdict


def _said(verdict: bool) -> str:
    return "equal" if verdict else "different"
