"""The verifier `code`: a program is right if it passes every test of the gold answer. It runs only in a sandbox.

The gold answer is JSON text; `simko.envs.code.checks` has its forms. A program that loops, crashes, exits or is over a limit is
incorrect: that is its own doing. The outcome `error` is left to a sandbox that fails, and to tests that cannot be read.
"""

from __future__ import annotations

from simko.console import note_once
from simko.envs.code.checks import plan
from simko.envs.code.grading import SandboxError, grade
from simko.envs.verifiers.answer.program import program_of
from simko.errors import UserError
from simko.types import Verdict

MAX_SHOWN = 200


def code(response: str, gold: str) -> Verdict:
    """Grade one program. Its parts: `passed`, the share of tests that it passes, and `weaker`, the share of weaker tests."""
    tests = plan(gold)
    program = program_of(response, tests.entry, tests.prompt)
    if program is None:
        return Verdict("no_answer", 0.0)
    shown = program.strip()[-MAX_SHOWN:]
    try:
        graded = grade(program, tests)
    except SandboxError:
        return Verdict("error", 0.0, shown)
    except UserError as error:  # no sandbox: commands have said so before they came here
        note_once(str(error))
        return Verdict("error", 0.0, shown)
    parts = {"passed": graded.passed / graded.total, "weaker": graded.weaker / graded.total}
    return Verdict("correct" if graded.right else "incorrect", float(graded.right), shown, parts=parts)
