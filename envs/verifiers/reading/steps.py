"""The kind of step that `cleaning` lists, and how a table of them runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

Rewrite = Callable[[str], str]
Program = tuple[tuple[str, Rewrite], ...]


class Step(NamedTuple):
    """One step: `replacement` for each match of `pattern`, or, without a pattern, a function of the whole text.

    `needs` only saves time: a text without these characters is one that the step would leave as it is.
    """

    name: str
    pattern: str | None
    replacement: str | Callable[[re.Match[str]], str] | Rewrite
    why: str
    before: str
    after: str
    needs: str = ""


def compiled(steps: tuple[Step, ...]) -> Program:
    """What each step needs, and the step as a function of a text."""
    return tuple((step.needs, _rewrite(step)) for step in steps)


def _rewrite(step: Step) -> Rewrite:
    if step.pattern is None:
        return step.replacement  # type: ignore[return-value]
    return partial(re.compile(step.pattern).sub, step.replacement)  # type: ignore[arg-type]


def run(program: Program, text: str) -> str:
    """`text` after all steps of a compiled table, in order."""
    for needs, rewrite in program:
        if needs in text:
            text = rewrite(text)
    return text
