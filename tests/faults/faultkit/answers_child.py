"""Grades mutated answers in a process of its own: `python answers_child.py SEED FIRST COUNT` prints one JSON object.

The answers are right ones of real-looking golds, damaged by 1 to 4 mutations. Of some it is known that their value has
changed: these may not be correct. Of none may `grade` raise, or take more than a second of the processor.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[3])]

import numpy as np  # noqa: E402

from simko.envs import grade, make  # noqa: E402
from simko.envs.audit.verifier import NEEDS_WORKER  # noqa: E402
from simko.envs.verifiers.worker import pool  # noqa: E402

CPU_LIMIT, WALL_LIMIT = (
    1.1,
    12.0,
)  # seconds: the limit of a grade and what it takes to see it; the backstop and the same
ENVS = (
    "simko/Countdown-v0",
    "simko/Arithmetic-v0",
    "simko/KnightsKnaves-v0",
    "simko/GuessNumber-v0",
    "simko/Calculator-v0",
)
GOLDS = (
    *("42", "-17", "3.75", "0.05", "1,234", "\\frac{3}{7}", "-\\frac{11}{2}", "2\\sqrt{3}", "\\frac{1+\\sqrt{5}}{2}"),
    *("x^2+3x-4", "(x-1)(x+4)", "\\frac{x+1}{x-2}", "3\\pi", "\\frac{\\pi}{6}", "45^\\circ", "12\\%", "\\$4.50"),
    *("(3,-4)", "[0,1)", "(-\\infty,2]\\cup[5,\\infty)", "\\{1,2,3\\}", "1,2,3", "x=5", "x \\leq 3", "\\text{Evelyn}"),
    *(
        "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
        "5\\text{ cm}",
        "1011_2",
        "A",
        "\\text{even}",
        "10^{12}",
        "7!",
        "2^{100}",
    ),
    *(
        "\\binom{8}{3}",
        "e^{2}",
        "\\log_2 9",
        "i",
        "3-2i",
        "\\sin x",
        "\\infty",
        "0.\\overline{3}",
        "2:3",
        "5\\frac{1}{2}",
    ),
)
FRAMES = (
    *("\\boxed{%s}", "The answer is \\boxed{%s}.", "So we get $%s$.\n\nFinal answer: \\boxed{%s}", "Answer: %s"),
    *("%s", "<think>maybe %s?</think>\\boxed{%s}", "**Answer:** $%s$", "#### %s", "\\[ x = \\boxed{%s} \\]"),
)
PIECES = (
    *("\\frac{1}{", "}", "{", "\\sqrt{", "^{9^{9^{9}}}", "!!!!", "(((((", ")))))", "\\boxed{", "\\left(", "\\right]", "_{"),
    *("\\begin{matrix}", "\\end{", "\x00", "\u202e", "\u0301", "\ud800", "\uff11", "\u0662", "\u2212", "\u00bd", "\u221e"),
    *("__import__('os').system('true')", "exec(1)", "lambda:0", "x.__class__", "{0}", "\\input{/etc/passwd}", "${IFS}"),
    *("10**10**10", "factorial(10**9)", "\\int_0^1", "\\sum_{i=1}^{10^9}", "\\prod", "9" * 5000, "0." + "3" * 3000, "&&"),
    *("=", "\\neq", "<", "\\approx", "\\pm", " or ", " and ", ",", ";", "\n", "\\\\", "\\text{", "\\not", "~", "e999", "nan"),
)  # fmt: skip


def _cut(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text) + 1)]


def _drop(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + text[at + rng.randint(1, 3) :]


def _insert(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(PIECES) + text[at:]


def _repeat(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    part = text[start : start + rng.randint(1, 12)]
    return text[:start] + part * rng.choice((2, 3, 10, 100, 1000)) + text[start:]


def _wrap(text: str, rng: random.Random) -> str:
    left, right = rng.choice(
        (("(", ")"), ("{", "}"), ("\\sqrt{", "}"), ("\\frac{", "}{2}"), ("-(", ")"), ("|", "|"), ("[", "]"))
    )
    depth = rng.choice((1, 2, 5, 50, 500))
    return left * depth + text + right * depth


def _swap(text: str, rng: random.Random) -> str:
    letters = list(text)
    if len(letters) > 1:
        at = rng.randrange(len(letters) - 1)
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _replace(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x110000)))) + text[at + 1 :]


def _digits(text: str, rng: random.Random) -> str:
    return "".join(str(rng.randrange(10)) if c.isdigit() and rng.random() < 0.5 else c for c in text)


MUTATIONS: tuple[Callable[[str, random.Random], str], ...] = (
    _cut, _drop, _insert, _insert, _repeat, _wrap, _swap, _replace, _digits,
)  # fmt: skip


def mutated(text: str, rng: random.Random) -> str:
    """The text after 1 to 4 mutations."""
    for _ in range(rng.randint(1, 4)):
        text = rng.choice(MUTATIONS)(text, rng)
    return text


def framed(answer: str, rng: random.Random) -> str:
    """The answer as a response."""
    return rng.choice(FRAMES).replace("%s", answer)


def other_value(rng: random.Random) -> tuple[str, str, bool]:
    """(gold, response, whether it is right): numbers, written in the ways of models, changed in one digit or not at all."""
    kind = rng.randrange(3)
    value = rng.randint(10, 99_999)
    right = rng.random() < 0.25
    wrong = value if right else value + rng.choice((-1, 1)) * 10 ** rng.randrange(len(str(value)))
    if kind == 0:
        forms = ("{}", "{:,}", "{}.0", "\\text{{{}}}", "x = {}", "+{}", "{}.", "\\mathbf{{{}}}")
        return str(value), framed(rng.choice(forms).format(wrong), rng).replace("maybe", "perhaps"), right
    if kind == 1:
        forms = ("{}.25", "{},25"[:2] + ".25", "{}.250", "{}\\frac{{1}}{{4}}")
        return f"{value}.25", f"\\boxed{{{rng.choice(forms).format(wrong)}}}", right
    top, forms = 7 * value + 1, ("\\frac{{{}}}{{7}}", "\\dfrac{{{}}}{{7}}", "{}/7", "\\frac{{2 \\cdot {}}}{{14}}")
    changed = top if right else top + rng.choice((-1, 1, 7, -7))
    return f"\\frac{{{top}}}{{7}}", f"\\boxed{{{rng.choice(forms).format(changed)}}}", right


def main() -> None:
    """Grade the answers and print what happened."""
    seed, first, count = map(int, sys.argv[1:4])
    pool.configure(1)
    grade(*NEEDS_WORKER)  # the first one waits for the worker to come up
    environments = [make(name) for name in ENVS]
    failures: list[str] = []
    slowest, correct = 0.0, 0
    for number in range(first, first + count):
        rng = random.Random(f"{seed}/{number}")
        right: bool | None = None
        ask: Callable[[], Any]
        if number % 5 == 0:
            gold, text, right = other_value(rng)
            ask = lambda text=text, gold=gold: grade(text, gold)  # noqa: E731
        elif number % 5 == 1:
            env = rng.choice(environments)
            task = env.source.draw(np.random.default_rng(rng.getrandbits(32)))
            text, gold = mutated(env.source.answer(task), rng), task.gold
            ask = lambda env=env, text=text, task=task: env.grade(text, task)  # noqa: E731
        else:
            gold = rng.choice(GOLDS)
            text = mutated(framed(gold, rng), rng)
            name = "math" if number % 5 < 4 else rng.choice(("numeric", "exact", "choice", "math_row"))
            ask = lambda text=text, gold=gold, name=name: grade(text, gold, name)  # noqa: E731
        what = None
        began, used = time.monotonic(), time.thread_time()
        try:
            verdict = ask()
            cpu = max(time.thread_time() - used, verdict.seconds)
            wall = time.monotonic() - began
            slowest = max(slowest, cpu)
            correct += verdict.correct
            if cpu > CPU_LIMIT or wall > WALL_LIMIT:
                what = f"took {cpu:.2f} s of the processor, {wall:.2f} s in all"
            elif right is not None and verdict.correct != right:
                what = f"{verdict.outcome}, and it is {'right' if right else 'wrong'}"
        except BaseException as error:
            what = f"raised {type(error).__name__}: {error}"[:200]
        if what:
            failures.append(f"#{number} {what}: {text[:120]!r} for {gold[:40]!r}")
    print(json.dumps({"tried": count, "failures": failures, "slowest": slowest, "correct": correct,
                      "executions": list(map(str, pool.shared.executions)), "counts": dict(pool.shared.counts)}))  # fmt: skip


if __name__ == "__main__":
    main()
