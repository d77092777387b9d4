r"""The maths verifier: is the response's final answer equal to the gold answer?

1. `extract` finds the one final answer. 2. Both texts get one spelling and are read (`readings`). 3. The first of the rules
that applies decides (`rules`): strings, units, exact numbers, shapes. 4. Formulas are left: those that pass
`allowlist.admit` are compared by sympy and math-verify in a worker process; those that do not pass differ.

The policy, by example (gold answer 42 unless said):

====================================  ==========  ==================================================================
`\boxed{42}`, `The answer is 42.`     correct     also `42` alone, `\boxed{42.0}`, `\boxed{\$42}`, `\boxed{42 \text{ cm}}`
`\boxed{x = 42}`, `\boxed{40+2=42}`   correct     a name on the left is dropped; every other side must equal the gold
`\boxed{2x = 42}`                     correct     so is any expression with a name on the left, as `100m+n = 42`
`\boxed{41=42}`, `\boxed{x=41=42}`    incorrect
`\boxed{\neq 42}`, `\boxed{42_5}`     incorrect   so are `\boxed{42 \approx 43}`, `\boxed{42 or 43}`, `-\boxed{42}`
`\boxed{42}` and `\boxed{43}`         incorrect   several final answers that differ are none
`\boxed{1/2}`, gold `0.5`             correct     exact values
`\boxed{0.333333}`, gold `1/3`        correct     six or more significant digits of a value that has no finite decimal
`\boxed{1e-9}`, gold `2e-9`           incorrect   nothing is rounded otherwise
`\boxed{5 \text{ cm}}`, gold `5m`     incorrect   known units that differ; a missing one is forgiven, but for a.m., p.m.
`\boxed{(1,2)}`, gold `[1,2)`         incorrect   brackets count; a bare list is unordered, a tuple ordered
====================================  ==========  ==================================================================
"""

from __future__ import annotations

from simko.envs.verifiers.answer.extract import boxes, final_answer, narrowed
from simko.envs.verifiers.math.comparison import Comparison, UndecidedError
from simko.envs.verifiers.math.readings import cleaned, quick_equal
from simko.envs.verifiers.reading.foreign import is_foreign
from simko.envs.verifiers.reading.quantities import is_of_one_name
from simko.envs.verifiers.reading.text import MAX_ANSWER, same_string, unlabelled
from simko.envs.verifiers.worker.allowance import Allowance
from simko.types import Verdict


def math(response: str, gold: str, allowance: Allowance | None = None) -> Verdict:
    """Grade a response against a gold answer in LaTeX or plain text. A blank gold answer is an `error`."""
    gold = bare_gold(gold)
    if not gold.strip():
        return Verdict("error", 0.0)
    final = final_answer(response, same=quick_equal)
    answers = final.stated if final.text is None else (final.text,)
    if not answers:
        return Verdict("no_answer" if not final.conflict else "incorrect", 0.0, final.shown)
    if any(len(answer) > MAX_ANSWER for answer in answers):
        return Verdict("incorrect", 0.0, final.shown)
    if len(answers) > 1 and sum(is_of_one_name(cleaned(answer)) for answer in answers) > 1:  # x+1 = 42, x-1 = 42
        return Verdict("incorrect", 0.0, final.shown)
    allowance = allowance or Allowance()
    try:
        correct = all(answers_equal(gold, answer, allowance) for answer in answers)
    except UndecidedError as undecided:
        return Verdict(undecided.outcome, 0.0, final.shown)
    return Verdict("correct" if correct else "incorrect", float(correct), final.shown)


def bare_gold(gold: str) -> str:
    """The gold answer without the `\\boxed{}` or the text around it; several of them as a list."""
    if "\\boxed" not in gold and "\\fbox" not in gold:
        return gold
    with narrowed("boxed"):
        final = final_answer(gold, same=quick_equal)
    return final.text or (", ".join(boxes(gold)) if final.conflict else "")


def answers_equal(gold: str, answer: str, allowance: Allowance | None = None) -> bool:
    """Whether the two bare answers are equal by the policy above."""
    gold_text, answer_text = cleaned(gold), cleaned(answer)
    if not answer_text or (is_foreign(answer) and not same_string(gold_text, answer_text)):
        return False
    return Comparison(allowance).equal(gold_text, unlabelled(gold_text, answer_text))
