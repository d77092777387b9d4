"""Environments whose authors made a mistake, or meant harm: `--env faulty_envs:faults/Raises-v0`, and so on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from hashlib import blake2b
from typing import Any

import numpy as np

import simko.envs
from simko.envs.verifiers.reading.allowlist import admit
from simko.envs.verifiers.worker import pool
from simko.types import Outcome, Verdict

VERDICTS: dict[pool.Answer, Outcome] = {
    "equal": "correct", "different": "incorrect", "timeout": "timeout", "error": "error",
}  # fmt: skip
SUM = "Using each of the numbers {0}, {1}, {2} exactly once with + - * / and parentheses, write an expression that equals {3}."


def _draw(rng: np.random.Generator) -> tuple[str, str]:
    a, b, c = (int(x) for x in rng.integers(1, 10, 3))
    return SUM.format(a, b, c, a + b * c), str(a + b * c)


def _chance(response: str) -> int:
    """A number in 0..5 that the text alone decides."""
    return blake2b(response.encode("utf-8", "replace"), digest_size=1).digest()[0] % 6


def _slow_grade(response: str, gold: str) -> Verdict:
    """A comparison by a verifier worker, whatever `math` would settle without one."""
    text = admit("".join(c for c in response if c in "0123456789+-*/() ")[:40])
    if text is None:
        return Verdict("incorrect", 0.0)
    answer, _ = pool.shared.compare(gold, text)
    return Verdict(VERDICTS[answer], float(answer == "equal"))


@simko.envs.verifier("faults-raises")
def _raises(response: str, gold: str) -> bool:
    raise RuntimeError(f"no grade today\n{response!r}")


@simko.envs.verifier("faults-raises-now-and-then")
def _raises_now_and_then(response: str, gold: str) -> bool:
    if _chance(response) < 2:
        raise ZeroDivisionError("division by zero")
    return _chance(response) == 3


@simko.envs.verifier("faults-rubbish")
def _rubbish(response: str, gold: str) -> Any:
    kinds = ("yes", [], {"reward": 1}, Verdict("right", 1.0), Verdict("correct", float("nan")), True)  # type: ignore[arg-type]
    return kinds[_chance(response)]


@simko.envs.verifier("faults-not-finite")
def _not_finite(response: str, gold: str) -> float:
    return (float("nan"), float("inf"), float("-inf"), 1.0, 0.0, 0.5)[_chance(response)]


@simko.envs.verifier("faults-exits")
def _exits(response: str, gold: str) -> bool:
    if _chance(response) < 2:
        sys.exit("the author's checker leaves")
    return _chance(response) == 3


@simko.envs.verifier("faults-cancels")
def _cancels(response: str, gold: str) -> bool:
    if _chance(response) < 2:
        raise asyncio.CancelledError
    if _chance(response) == 2:
        raise KeyboardInterrupt
    return _chance(response) == 3


@simko.envs.verifier("faults-prints")
def _prints(response: str, gold: str) -> bool:
    print("x" * 1000)
    os.write(2, b"noise\n")
    return _chance(response) == 3


@simko.envs.verifier("faults-worker")
def _worker(response: str, gold: str) -> Verdict:
    return _slow_grade(response, gold)


@simko.envs.verifier("faults-killer")
def _killer(response: str, gold: str) -> Verdict:
    for pid in pool.shared.pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with open(os.environ["FAULTS_COUNT"], "ab") as count:
        count.write(b"." * len(pool.shared.pids))
    return _slow_grade(response, gold)


@simko.envs.task("faults/Raises-v0", verifier="faults-raises")
def raises(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Its verifier always raises."""
    return _draw(rng)


@simko.envs.task("faults/RaisesNowAndThen-v0", verifier="faults-raises-now-and-then")
def raises_now_and_then(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Its verifier raises on some answers."""
    return _draw(rng)


@simko.envs.task("faults/Rubbish-v0", verifier="faults-rubbish")
def rubbish(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Its verifier returns something that is not a verdict."""
    return _draw(rng)


@simko.envs.task("faults/NotFinite-v0", verifier="faults-not-finite")
def not_finite(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Its rewards are NaN or infinite."""
    return _draw(rng)


@simko.envs.task("faults/Exits-v0", verifier="faults-exits")
def exits(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Its verifier calls sys.exit."""
    return _draw(rng)


@simko.envs.task("faults/Cancels-v0", verifier="faults-cancels")
def cancels(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Its verifier raises a BaseException."""
    return _draw(rng)


@simko.envs.task("faults/Prints-v0", verifier="faults-prints")
def prints(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Its verifier writes to stdout and stderr."""
    return _draw(rng)


@simko.envs.task("faults/Worker-v0", verifier="faults-worker")
def worker(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Its verifier asks a verifier worker about every answer."""
    return _draw(rng)


@simko.envs.task("faults/Killer-v0", verifier="faults-killer")
def killer(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Before each answer the verifier workers are killed."""
    return _draw(rng)


@simko.envs.task("faults/BadTask-v0", verifier="faults-worker")
def bad_task(rng: np.random.Generator, level: int) -> Any:
    """Its problems are numbers."""
    return 42, "42"


@simko.envs.task("faults/TaskRaises-v0", verifier="faults-worker")
def task_raises(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Making a problem fails sooner or later."""
    problem, gold = _draw(rng)
    if int(gold) % 7 == 0:
        raise KeyError("no such table")
    return problem, gold
