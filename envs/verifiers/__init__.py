"""Verifiers: functions that turn a response and a gold answer into a `Verdict`.

Call `grade(response, gold, "math")` or `get_verifier("math")(response, gold)`. Neither raises, whatever the response: a
verifier that fails gives the outcome `error`, which is not a wrong answer. Bundled verifiers are imported when they are
first used. Only `math` ever needs sympy, and that in another process.
"""

from __future__ import annotations

import contextlib
import importlib
import math as _math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

from simko.envs.verifiers.answer.extract import EXTRACTS, final_answer, narrowed
from simko.envs.verifiers.several import TAKE_SEVERAL, any_of, row_if_several
from simko.errors import UserError, nearest
from simko.types import OUTCOMES, Verdict

Check = Callable[[str, str], "bool | float | Verdict | None"]


class Bundled(NamedTuple):
    """A bundled verifier: `module:function`, which is imported when it is first used, and what it grades."""

    entry_point: str
    grades: str


_HERE = "simko.envs.verifiers"
_PUZZLES = "simko.envs.puzzles"
BUNDLED = {
    "math": Bundled(f"{_HERE}.math.equal:math", "maths: numbers exactly, the rest by math-verify in a worker process"),
    "math_row": Bundled(f"{_HERE}.math.row:math_row", "maths; the gold may be JSON: {answer, accepted, tolerance}"),
    "numeric": Bundled(f"{_HERE}.numeric:numeric", "a number, exactly; `numeric:1e-6`: within that relative tolerance"),
    "exact": Bundled(f"{_HERE}.exact:exact", "the same text apart from white space; `exact:nocase` ignores case"),
    "choice": Bundled(f"{_HERE}.choice:choice", "a letter, or a word such as yes, no, true, false, valid, invalid"),
    "expression": Bundled(f"{_HERE}.expression:expression", "Countdown: an expression that reaches the target"),
    "knights": Bundled(f"{_PUZZLES}.knights:knights", "knights and knaves: every person's role"),
    "tree_mdp": Bundled(f"{_PUZZLES}.tree_mdp:tree_mdp", "one of the rewarded paths of a tree"),
    "guess_number": Bundled(f"{_PUZZLES}.guess_number:guess_number", "the last guess of a guessing game"),
    "bbh": Bundled(
        f"{_HERE}.bbh:bbh", "BIG-Bench Hard: a letter, word, number, brackets or words, like the gold answer"
    ),
    "synlogic": Bundled(f"{_HERE}.synlogic:synlogic", "a SynLogic puzzle, by its rules"),
    "code": Bundled(f"{_HERE}.code:code", "a program, by its tests, in a sandbox"),
}
"""The bundled verifiers by name."""
_FOREIGN = "simko.envs.foreign"
FOREIGN = {
    "reasoning_gym": Bundled(f"{_FOREIGN}.reasoning_gym:reasoning_gym", "an item of reasoning-gym, by its own scorer"),
    "taskset": Bundled(f"{_FOREIGN}.taskset:taskset", "a task of a taskset of verifiers, by its own rewards"),
    "openenv": Bundled(f"{_FOREIGN}.openenv:openenv", "an episode on a server of OpenEnv, by the server's rewards"),
}
"""Verifiers of the environments that ask another process or a server. They grade nothing else, so they are not listed."""

_OWN_READING = ("guess_number", "synlogic", "code", *FOREIGN)
_authors: dict[str, Check] = {}
_author_lock = threading.RLock()  # one for all: a checker may grade with another one


@dataclass(frozen=True, slots=True)
class NamedVerifier:
    """A verifier by name. It can be pickled: it looks its function up in the process that calls it. Never raises.

    It may be called from several threads. Only one author's checker runs at a time, so that it need not be thread-safe.
    """

    name: str

    def __call__(self, response: str, gold: str) -> Verdict:
        """The verdict, with the `seconds` it took."""
        begun = time.perf_counter()
        try:
            check = _lookup(self.name)
            if self.name in _authors:
                with _author_lock:
                    verdict = to_verdict(check(response, gold))
            else:
                verdict = to_verdict(check(response, gold))
        except (Exception, SystemExit):  # an author's checker raises whatever it likes
            verdict = Verdict("error", 0.0)
        return replace(verdict, seconds=time.perf_counter() - begun)


def grade(
    response: str, gold: str, verifier: str = "math", extract: str = "any", timeout: float | None = None
) -> Verdict:
    """The verdict on `response` (the policy's text without the prompt) against the gold answer.

    `extract` restricts where the final answer may stand: `boxed`, `final` or `whole` (see `answer/extract.py`). The
    verifier name `math:boxed` means the same. `timeout` is the CPU time in seconds that the comparison in a worker may
    take, 0.8 if None. Raises `UserError` for an unknown verifier or place, and nothing else.
    """
    check = get_verifier(verifier if extract == "any" else f"{verifier}:{extract}")
    if timeout is None:
        return check(response, gold)
    from simko.envs.verifiers.worker.allowance import limited

    with limited(timeout):
        return check(response, gold)


async def grade_async(
    response: str, gold: str, verifier: str = "math", extract: str = "any", timeout: float | None = None
) -> Verdict:
    """`grade` for asyncio: a thread grades the answer while the event loop continues."""
    import asyncio

    return await asyncio.to_thread(grade, response, gold, verifier, extract, timeout)


def get_verifier(name: str) -> NamedVerifier:
    """The verifier with that name. Raises `UserError` with the nearest name if it is unknown."""
    base, _, place = name.rpartition(":")
    # Its module may be unreadable now and readable the next time; until then its verdicts are `error`.
    with contextlib.suppress(OSError, MemoryError):
        _lookup(base if place in EXTRACTS and base else name)
        _lookup(name)
    return NamedVerifier(name)


def warm_up(name: str) -> None:
    """Start the workers in the background if the verifier of that name may ask them, so that no answer waits for sympy.

    For callers that are about to grade many answers: a single `grade` starts a worker with its first question. Raises
    `UserError` with the mend if the verifier is `code` and this machine has no sandbox.
    """
    if name == "code":
        from simko.envs.code import jails

        jails.chosen()
    if name.startswith("math"):
        from simko.envs.verifiers.worker import pool

        pool.shared.start()


def register_verifier(name: str, check: Check) -> None:
    """Make `check(response, gold)` known as `name`.

    `check` may return a bool (reward 1 or 0), None (no answer found), a `Verdict`, or a finite float. A float is the
    reward, and the answer is correct from 1.0 up. If `check` raises or returns anything else, the outcome is `error`.
    A `Verdict` may name the parts of its reward: finite numbers by name.

    Raises `UserError` for a malformed name and for a name that is taken. The same function may be registered again, as
    happens when its module is reloaded.
    """
    if not name or not all(c.isalnum() or c in "_-./" for c in name):
        raise UserError(f"verifier name {name!r}: use letters, digits and any of _ - . /")
    if not callable(check):
        raise UserError(f"verifier '{name}': {check!r} cannot be called; give a function (response, gold)")
    old = _authors.get(name)
    if name in BUNDLED or name in FOREIGN or (old is not None and _place(old) != _place(check)):
        raise UserError(f"verifier '{name}' exists already; choose another name")
    _authors[name] = check


def verifier_names() -> list[str]:
    """The names of all verifiers, bundled ones first."""
    return [*BUNDLED, *sorted(_authors)]


def to_verdict(result: Any) -> Verdict:
    """The return value of a checker as a verdict. Anything that cannot be one becomes `error`."""
    if isinstance(result, Verdict):
        parts = result.parts
        numbers = (result.reward, *parts.values())
        sound = result.outcome in OUTCOMES and all(map(_is_finite, numbers)) and all(isinstance(n, str) for n in parts)
        if not sound:
            return Verdict("error", 0.0)
        extracted = result.extracted if isinstance(result.extracted, str | None) else None
        parts = {name: float(value) for name, value in parts.items()}
        return replace(result, reward=float(result.reward), extracted=extracted, parts=parts)
    if result is None:
        return Verdict("no_answer", 0.0)
    if not _is_finite(result):
        return Verdict("error", 0.0)
    reward = float(result)
    return Verdict("correct" if reward >= 1.0 else "incorrect", reward)


def _is_finite(value: Any) -> bool:
    """Whether `value` is a finite bool, int or float, also one of numpy."""
    if isinstance(value, str | bytes) or not hasattr(value, "__float__") or getattr(value, "ndim", 0) != 0:
        return False
    try:
        return _math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _place(check: Check) -> tuple[Any, Any]:
    return getattr(check, "__module__", None), getattr(check, "__qualname__", check)


def _lookup(name: str) -> Check:
    return _authors[name] if name in _authors else _bundled(name)


@lru_cache(maxsize=64)
def _bundled(name: str) -> Check:
    """A bundled verifier, or any verifier whose name ends with a place (`math:boxed`)."""
    base, _, place = name.rpartition(":")
    if place in EXTRACTS and base:
        if base.partition(":")[0] in _OWN_READING:
            raise UserError(f"verifier '{name}': '{base}' reads answers in its own way; leave ':{place}' out")
        return partial(_narrowed, base, place)
    base, _, parameter = name.partition(":")
    if base not in BUNDLED and base not in FOREIGN:
        names = verifier_names()
        raise UserError(f"no verifier '{name}'{nearest(base, names)}; known: {', '.join(names)}")
    module, _, function = (BUNDLED | FOREIGN)[base].entry_point.partition(":")
    check: Callable[..., Any] = getattr(importlib.import_module(module), function)
    if base == "math":
        row: Callable[..., Any] = _bundled("math_row")
        check = partial(row_if_several, check, row)
    elif base in TAKE_SEVERAL and base != "math_row":
        check = partial(any_of, check)
    if not parameter and base == name:
        return check
    if base == "exact" and parameter == "nocase":
        return partial(check, nocase=True)
    if base == "numeric":
        try:
            tolerance = float(parameter)
        except ValueError:
            tolerance = -1.0
        if 0 <= tolerance < 1:
            return partial(check, tolerance=tolerance)
        raise UserError(
            f"verifier '{name}': the tolerance is '{parameter}'; give a number from 0 to below 1, numeric:1e-6"
        )
    places = "" if base in _OWN_READING else f", or give one of {', '.join(EXTRACTS[1:])}"
    raise UserError(f"verifier '{name}': '{base}' takes no '{parameter}'; leave it out{places}")


def _narrowed(name: str, place: str, response: str, gold: str) -> Any:
    """Grade with the final answer from one place only. An author's checker sees that answer and nothing else."""
    check = _lookup(name)
    with narrowed(place):
        if name not in _authors:
            return check(response, gold)
        answer = final_answer(response)
    if answer.text is None:
        return Verdict("incorrect" if answer.conflict else "no_answer", 0.0, answer.shown)
    return check(answer.text, gold)
