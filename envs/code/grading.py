"""Is a program right? It runs in the sandbox, its values come out, and they are compared here.

What the program does is its own fault: a value that is none, an exception, an exit, a limit that it is over, a line that is not
ours. Only a sandbox that never began, or that something else killed, is nobody's, and raises `SandboxError`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simko.envs.code import values
from simko.envs.code.checks import Check, Plan
from simko.envs.code.jails import Jail, chosen, settings
from simko.envs.code.limits import Limits
from simko.envs.code.outside import evaluate


class SandboxError(Exception):
    """The sandbox failed, not the program."""


@dataclass(frozen=True, slots=True)
class Graded:
    """How many of the checks a program passed, and what was wrong with the first that it did not."""

    passed: int
    total: int
    weaker: int
    reason: str = ""

    @property
    def right(self) -> bool:
        """Whether it passed every check."""
        return self.passed == self.total


def grade(program: str, plan: Plan, jail: Jail | None = None, limits: Limits | None = None) -> Graded:
    """Run a program on all checks of a plan. Raises `SandboxError`, and `UserError` where there is no sandbox."""
    limits = limits or Limits(cpu_seconds=settings().cpu_seconds)
    secret = secrets.token_hex(16)
    request: dict[str, Any] = {
        "program": program,
        "entry": plan.entry,
        "name": plan.name,
        "steps": plan.steps,
        "inputs": plan.inputs,
        "secret": secret,
        "output_bytes": limits.output_bytes,
    }
    jail = jail or chosen()
    try:
        ending = jail.run(request, limits)
    except OSError as error:
        raise SandboxError(f"{jail.name} cannot be started ({error.strerror or error})") from error
    if not ending.lines or not ending.lines[0].startswith(b'["begun"'):
        raise SandboxError(f"{jail.name} did not begin: {ending.complaint[-200:] or ending.why}")
    if ending.why == "killed" and jail.name != "unsafe":  # there a program may kill what is above it
        raise SandboxError(f"{jail.name} was killed")
    results = _results(ending.lines[1:])
    why = {"time": "over its time", "output": "too much output"}.get(ending.why, "it ended early")
    if plan.inputs is not None:
        wrong = [_wrong_output(results.get(i, why), text) for i, text in enumerate(plan.outputs)]
    else:
        wrong = [_wrong(check, [results.get(i, why) for i in check.steps], secret, plan) for check in plan.checks]
    reasons = [reason for reason in wrong if reason]
    if -1 in results and reasons:
        reasons[0] = f"the program itself: {results[-1]}"
    return Graded(len(wrong) - len(reasons), plan.total, plan.weaker, reasons[0] if reasons else "")


Result = tuple[str, Any] | str
"""What a step gave: (kind, content), or why it gave nothing."""


def _results(lines: Sequence[bytes]) -> dict[int, Result]:
    """The result of each step. A step that two lines speak of has none: a program may not try several values."""
    results: dict[int, Result] = {}
    for line in lines:
        try:
            parsed = values.parse(line)
            match parsed:
                case ["failed", str(name)]:
                    results[-1] = f"raises {name:.60}"
                case [int(number), ("value" | "held" | "output" | "failed") as kind, content] if number >= 0:
                    name = content if isinstance(content, str) else "what is no name"  # it may be megabytes of lists
                    result: Result = f"raises {name:.60}" if kind == "failed" else (kind, content)
                    results[number] = result if number not in results else "several results"
        except values.BadValueError:
            continue
    return results


def _wrong(check: Check, results: Sequence[Result], secret: str, plan: Plan) -> str:
    """What is wrong with the results of a check; empty if it holds."""
    given = [result for result in results if not isinstance(result, str)]
    if len(given) < len(results):
        return f"{check.text:.80}: {next(result for result in results if isinstance(result, str))}"
    if check.expression is None:
        return "" if given == [("held", secret)] else f"{check.text:.80}: not held"
    try:
        found = [values.decode(content) for _, content in given]
        if plan.values_as_json:
            found = [_as_json(value) for value in found]
        held = bool(evaluate(check.expression, found))
    except Exception as error:  # an operation of the test that this value does not have
        return f"{check.text:.80}: {type(error).__name__}"
    return "" if held else f"{check.text:.80}: not so"


def _wrong_output(result: Result, expected: str) -> str:
    if isinstance(result, str):
        return f"output: {result}"
    kind, content = result
    same = kind == "output" and isinstance(content, str) and _lines(content) == _lines(expected)
    return "" if same else "output: another one"


def _lines(text: str) -> list[str]:
    """The lines of an output without white space at their ends, and without empty ones at its end."""
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip().split("\n")


def _as_json(value: Any) -> Any:
    """A value with lists for tuples: tests in JSON know no tuple."""
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return {key: _as_json(item) for key, item in value.items()} if isinstance(value, dict) else value
