"""Why a verdict is what it is: what was extracted and from where, what it became, which rule decided."""

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
        self.steps.append(Step("algebra", f"{detail} -> {_said(verdict)}", self.depth + 1))
        return verdict


def _said(verdict: bool) -> str:
    return "equal" if verdict else "different"
