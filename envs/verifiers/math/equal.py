r"""The maths verifier: is the response's final answer equal to the gold answer?

1. `extract` finds the one final answer. 2. Equal strings and numbers are settled here, exactly. 3. Tuples, lists, sets,
intervals and matrices are compared shape by shape. 4. What is left are formulas: those that pass `allowlist.admit` are
compared by sympy and math-verify in a worker process (`pool`); those that do not pass differ.

The policy, by example (gold answer 42 unless said):

====================================  ==========  ==================================================================
`\boxed{42}`, `The answer is 42.`     correct     also `42` alone, `\boxed{42.0}`, `\boxed{\$42}`, `\boxed{42 \text{ cm}}`
`\boxed{x = 42}`, `\boxed{40+2=42}`   correct     a name on the left is dropped; every other side must equal the gold
`\boxed{41=42}`, `\boxed{x=41=42}`    incorrect
`\boxed{\neq 42}`, `\boxed{42_5}`     incorrect   so are `\boxed{42 \approx 43}`, `\boxed{42 or 43}`, `-\boxed{42}`
`\boxed{42}` and `\boxed{43}`         incorrect   several final answers that differ are none
`\boxed{1/2}`, gold `0.5`             correct     exact values
`\boxed{0.333333}`, gold `1/3`        correct     six or more significant digits of a value that has no finite decimal
`\boxed{1e-9}`, gold `2e-9`           incorrect   nothing is rounded otherwise
`\boxed{5 \text{ cm}}`, gold `5m`     incorrect   known units that differ; a missing one is forgiven
`\boxed{(1,2)}`, gold `[1,2)`         incorrect   brackets count; a bare list is unordered, a tuple ordered
====================================  ==========  ==================================================================
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from simko.envs.verifiers.answer.extract import boxes, final_answer, narrowed
from simko.envs.verifiers.math.intervals import condition, is_plain_pair
from simko.envs.verifiers.reading import allowlist
from simko.envs.verifiers.reading.angles import has_angles, in_radians, of_angles
from simko.envs.verifiers.reading.foreign import is_foreign
from simko.envs.verifiers.reading.numbers import (
    MIN_DIGITS,
    Number,
    approximates,
    equal,
    evaluate,
    parse_number,
    significant_digits,
    with_decimal_comma,
)
from simko.envs.verifiers.reading.shapes import (
    Shape,
    as_list,
    as_matrix,
    in_order_of_names,
    is_inequality,
    is_name,
    is_sum_of_names,
    reads_as_interval,
    same_ratio,
    shape,
    sides,
    unnamed_point,
)
from simko.envs.verifiers.reading.text import MAX_ANSWER, clean, key, same_string, unlabelled
from simko.envs.verifiers.reading.units import same_unit, split_unit
from simko.envs.verifiers.worker import pool
from simko.envs.verifiers.worker.allowance import Allowance
from simko.envs.verifiers.worker.letters import one_case
from simko.types import Outcome, Verdict

_MAX_DEPTH = 4
_MAX_QUESTIONS = 40  # to the worker, for one answer


class _UndecidedError(Exception):
    """The worker did not decide: `timeout` or `error`."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome: Outcome = outcome


def math(response: str, gold: str, allowance: Allowance | None = None) -> Verdict:
    """Grade a response against a gold answer in LaTeX or plain text. A blank gold answer is an `error`."""
    gold = bare_gold(gold)
    if not gold.strip():
        return Verdict("error", 0.0)
    found = final_answer(response, same=quick_equal)
    answers = found.stated if found.text is None else (found.text,)
    if not answers:
        return Verdict("no_answer" if not found.conflict else "incorrect", 0.0, found.shown)
    if any(len(answer) > MAX_ANSWER for answer in answers):
        return Verdict("incorrect", 0.0, found.shown)
    allowance = allowance or Allowance()
    try:
        correct = all(answers_equal(gold, answer, allowance) for answer in answers)
    except _UndecidedError as undecided:
        return Verdict(undecided.outcome, 0.0, found.shown)
    return Verdict("correct" if correct else "incorrect", float(correct), found.shown)


def bare_gold(gold: str) -> str:
    """The gold answer itself, where a data set hands it over in a `\\boxed{}` or with text around it; of several, all."""
    if "\\boxed" not in gold and "\\fbox" not in gold:
        return gold
    with narrowed("boxed"):
        found = final_answer(gold, same=quick_equal)
    return found.text or (", ".join(boxes(gold)) if found.conflict else "")


@lru_cache(maxsize=4096)
def _cleaned(text: str) -> str:
    return clean(text)


def quick_equal(a: str, b: str) -> bool:
    """Whether two answers are equal as strings or as numbers: what can be told without algebra."""
    a, b = _cleaned(a), _cleaned(b)
    if same_string(a, b):
        return True
    (ours, unit), (theirs, other_unit) = split_unit(a), split_unit(b)
    x, y = parse_number(ours), parse_number(theirs)
    return x is not None and y is not None and same_unit(unit, other_unit) and equal(x, y)


def answers_equal(gold: str, answer: str, allowance: Allowance | None = None) -> bool:
    """Whether the two bare answers are equal by the policy above."""
    gold_text, answer_text = _cleaned(gold), _cleaned(answer)
    if not answer_text or (is_foreign(answer) and not same_string(gold_text, answer_text)):
        return False
    return _Comparison(allowance).equal(gold_text, unlabelled(gold_text, answer_text), 0)


class _Comparison:
    """One gold answer against one answer; all its questions to the worker share one limit."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self.questions = 0
        self.allowance = allowance or Allowance()

    def equal(self, gold: str, answer: str, depth: int) -> bool:
        if same_string(gold, answer):
            return key(gold) != ""
        if depth > _MAX_DEPTH:
            return False
        if has_angles(gold) and "^\\circ" not in answer and same_string(gold.replace("^\\circ", ""), answer):
            return True  # a unit that is left out
        gold, gold_unit = split_unit(gold)
        answer, answer_unit = split_unit(answer)
        x, y = parse_number(gold), parse_number(answer)
        if (gold_unit, answer_unit) in (("deg", ""), ("", "deg"), ("deg", "rad"), ("rad", "deg")):
            turned = of_angles(gold, gold_unit, answer, answer_unit)
            if turned is not None:
                return self.equal(*turned, depth + 1)
        if not same_unit(_with_percent(gold_unit, x), _with_percent(answer_unit, y)):
            return False
        if answer_unit == "arcmin" and not gold_unit:  # 42' may be a derivative, feet, or minutes
            return False
        if gold_unit or answer_unit:
            return self.equal(gold, answer, depth + 1)
        if x is not None and y is not None:
            return equal(x, y) or approximates(x, answer)
        if same_ratio(gold, answer) or (x is not None and with_decimal_comma(gold, answer)):
            return True
        if (said := self._conditions(gold, answer, depth)) is not None:
            return said
        a, b = shape(gold), shape(answer)
        if a.kind != "scalar" or b.kind != "scalar":
            return self._shapes(a, b, gold, answer, depth)
        if "=" in gold or "=" in answer:
            return self._equations(a.items[0], b.items[0], depth)
        if is_inequality(answer) or is_inequality(gold):
            return is_inequality(answer) and is_inequality(gold) and self._ask(gold, answer, relation=True)
        u, v = evaluate(gold), evaluate(answer)
        if u is not None and v is not None:
            return u == v
        return self._ask(a.items[0], b.items[0])

    def _conditions(self, gold: str, answer: str, depth: int) -> bool | None:
        """Conditions on one number, or one and an interval; None where they are none, or the gold one may be a point."""
        ours = condition(gold, self._ask) if _is_condition(gold) else None
        theirs = condition(answer, self._ask) if _is_condition(answer) else None
        if ours is not None and theirs is not None:
            named = ours[0] and theirs[0]
            return False if named and key(ours[0]) != key(theirs[0]) else self.equal(ours[1], theirs[1], depth + 1)
        if ours is not None and not _is_condition(answer):
            return self.equal(ours[1], answer, depth + 1)
        if theirs is not None and not _is_condition(gold) and not is_plain_pair(gold):
            return self.equal(gold, theirs[1], depth + 1)
        return None

    def _shapes(self, a: Shape, b: Shape, gold: str, answer: str, depth: int) -> bool:
        if len(a.items) == 1 and a.brackets == "()":  # (x) is x
            return self.equal(a.items[0], answer, depth + 1)
        if len(b.items) == 1 and b.brackets == "()":
            return self.equal(gold, b.items[0], depth + 1)
        if a.kind in ("list", "set") and b.kind == "scalar" and (several := as_list(answer)):
            b = several
        if a.kind == "group" and b.kind == "scalar" and (point := unnamed_point(answer)):
            return self.equal(gold, point, depth + 1)
        if "scalar" in (a.kind, b.kind):
            if a.kind == b.kind or not ("=" in gold or "=" in answer):
                return False
            if any(x.kind == "list" and len(sides(text)) > 2 for x, text in ((a, gold), (b, answer))):
                return False  # several equations are not one: x = 1, x = 2
            return self._equations(gold, answer, depth)
        if "matrix" in (a.kind, b.kind):
            a, b = as_matrix(a), as_matrix(b)
        if len(a.items) != len(b.items) or a.columns != b.columns:
            return False
        kinds = (a.kind, b.kind)
        if kinds in (("group", "group"), ("matrix", "matrix")):
            return a.brackets == b.brackets and self._in_order(a, b, depth)
        if kinds == ("group", "list"):
            b = replace(b, items=in_order_of_names(b.items))
            return a.brackets == "()" and self._in_order(a, b, depth)
        if kinds in (("list", "list"), ("list", "set"), ("set", "list"), ("set", "set"), ("union", "union")):
            return self._in_any_order(a, b, depth)
        if kinds != ("list", "group") or b.brackets != "()" or a.brackets or reads_as_interval(b):
            return False
        return self._in_order(a, b, depth)

    def _in_order(self, a: Shape, b: Shape, depth: int) -> bool:
        return all(self.equal(x, y, depth + 1) for x, y in zip(a.items, b.items, strict=True))

    def _in_any_order(self, a: Shape, b: Shape, depth: int) -> bool:
        left = list(b.items)
        for item in a.items:
            match = next((o for o in left if quick_equal(item, o)), None)
            if match is None:
                match = next((o for o in left if self.equal(item, o, depth + 1)), None)
            if match is None:
                return False
            left.remove(match)
        return True

    def _equations(self, gold: str, answer: str, depth: int) -> bool:
        """At least one of the two has an equality sign."""
        ours, theirs = sides(gold), sides(answer)
        name = ours[0] if len(ours) > 1 and is_name(ours[0]) else ""
        other = theirs[0] if len(theirs) > 1 and is_name(theirs[0]) else ""
        if len(ours) == 1 and len(theirs) == 2 and is_sum_of_names(theirs[0]) and not allowlist.letters(ours[0]):
            other = theirs[0]  # m + n = 42 states the value that was asked for
        if len(ours) == 1 or name:
            if name and other and key(name) != key(other):
                return self._same_relation(gold, answer)
            values, stated = ours[1:] if name else ours, theirs[1:] if other else theirs
            if all(value and self.equal(values[-1], value, depth + 1) for value in stated):
                return True
            if not (name and len(ours) == len(theirs) == 2):
                return False
        return self._same_relation(gold, answer)

    def _same_relation(self, gold: str, answer: str) -> bool:
        """Whether two equations in the same variables say the same: `y = 2x`, `x = y/2`."""
        names = allowlist.letters(gold)
        if len(sides(gold)) != 2 or len(sides(answer)) != 2 or not names or names != allowlist.letters(answer):
            return False
        return self._ask(gold, answer, relation=True)

    def _ask(self, gold: str, answer: str, relation: bool = False) -> bool:
        """Ask the worker about two scalars, or two relations in the same variables."""
        if "\\infty" in gold + answer:
            return _as_infinity(gold) == _as_infinity(answer) != ""
        gold, answer = in_radians(gold), in_radians(answer)
        ours, theirs = allowlist.admit(gold, relation), allowlist.admit(answer, relation)
        if ours is None or theirs is None:
            return False
        if relation and allowlist.letters(gold) != allowlist.letters(answer):
            return False
        digits = len(answer.rpartition(".")[2]) if significant_digits(answer) >= MIN_DIGITS else None
        if ours == theirs:
            return True
        pair = one_case(ours, theirs)
        if pair is None:
            return False
        ours, theirs = pair
        if self.questions >= _MAX_QUESTIONS or self.allowance.left <= 0:
            raise _UndecidedError("timeout")
        self.questions += 1
        said, used = pool.shared.ask(ours, theirs, digits, limit=self.allowance.left)
        self.allowance.left -= used
        if said in ("timeout", "error"):
            raise _UndecidedError("timeout" if said == "timeout" else "error")
        return said == "equal"


def _with_percent(unit: str, number: Number | None) -> str:
    return "percent" if not unit and number is not None and number.percent else unit


def _is_condition(text: str) -> bool:
    return is_inequality(text) or "\\mathbb" in text


def _as_infinity(text: str) -> str:
    r"""`\\infty` or `-\\infty` where a text is one of them; empty where it is anything else: no sum has one as its value."""
    bare = text.replace(" ", "").replace("{", "").replace("}", "").removeprefix("+")
    return bare if bare in ("\\infty", "-\\infty") else ""
