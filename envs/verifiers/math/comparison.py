"""One gold answer against one answer: the rules in order, and what is asked of the worker within its allowance."""

from __future__ import annotations

import time

from simko.envs.verifiers.math import large
from simko.envs.verifiers.math.readings import read
from simko.envs.verifiers.math.rules import RULES
from simko.envs.verifiers.reading import allowlist
from simko.envs.verifiers.reading.angles import in_radians
from simko.envs.verifiers.reading.numbers import MIN_DIGITS, significant_digits
from simko.envs.verifiers.reading.text import same_string
from simko.envs.verifiers.worker import pool
from simko.envs.verifiers.worker.allowance import Allowance
from simko.envs.verifiers.worker.letters import one_case
from simko.types import Outcome

MAX_DEPTH = 4
"""How deep an item may be within an item: beyond it, only equal strings are equal."""
MAX_QUESTIONS = 40
"""To the worker, for one answer."""


class UndecidedError(Exception):
    """The worker did not decide: `outcome` is `timeout` or `error`."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome: Outcome = outcome


class Comparison:
    """One gold answer against one answer. All its questions to the worker share one allowance."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self.questions = 0
        self.allowance = allowance or Allowance()
        self.depth = -1

    def equal(self, gold: str, answer: str) -> bool:
        """Whether two cleaned texts are equal, by the first rule that decides. Raises `UndecidedError`."""
        self.depth += 1
        try:
            if self.depth > MAX_DEPTH and not same_string(gold, answer):
                return self.decided(gold, answer, "too deep", False)
            a, b = read(gold), read(answer)
            for rule in RULES:
                verdict = rule(a, b, self)
                if verdict is not None:
                    return self.decided(gold, answer, rule.__name__.replace("_", " "), verdict)
            raise AssertionError("the last rule decides always")
        finally:
            self.depth -= 1

    def decided(self, gold: str, answer: str, rule: str, verdict: bool) -> bool:
        """Called with each decision; `explain` takes note here."""
        return verdict

    def ask(self, gold: str, answer: str, relation: bool = False) -> bool:
        """Whether two formulas are equal, or two relations in the same variables. Raises `UndecidedError`."""
        if "\\infty" in gold + answer:
            return _as_infinity(gold) == _as_infinity(answer) != ""
        gold, answer = in_radians(gold), in_radians(answer)
        ours, theirs = allowlist.admit(gold, relation), allowlist.admit(answer, relation)
        if ours is None or theirs is None:
            return not relation and self._same_by_residues(gold, answer)
        if relation and allowlist.letters(gold) != allowlist.letters(answer):
            return False
        if ours == theirs:
            return True
        pair = one_case(ours, theirs)
        if pair is None:
            return False
        if self.questions >= MAX_QUESTIONS or self.allowance.left <= 0:
            raise UndecidedError("timeout")
        self.questions += 1
        digits = len(answer.rpartition(".")[2]) if significant_digits(answer) >= MIN_DIGITS else None
        reply, seconds = pool.shared.ask(*pair, digits, limit=self.allowance.left)
        self.allowance.left -= seconds
        if reply in ("timeout", "error"):
            raise UndecidedError("timeout" if reply == "timeout" else "error")
        return reply == "equal"

    def _same_by_residues(self, gold: str, answer: str) -> bool:
        """Whether two formulas that sympy may not see are equal. The time comes out of the same allowance."""
        if self.allowance.left <= 0:
            raise UndecidedError("timeout")
        begun = time.thread_time()
        same = large.same(gold, answer)
        self.allowance.left -= time.thread_time() - begun
        return same is True


def _as_infinity(text: str) -> str:
    r"""`\\infty` or `-\\infty` if a text is one of them, else empty: no sum has one as its value."""
    bare = text.replace(" ", "").replace("{", "").replace("}", "").removeprefix("+")
    return bare if bare in ("\\infty", "-\\infty") else ""
