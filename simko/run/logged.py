"""A few completions of a step as rows of a table, for loggers: right and wrong ones, bounded, and cleaned."""

from __future__ import annotations

from collections.abc import Sequence

from simko.console import clean
from simko.types import Completion, Group

COLUMNS = ("step", "problem", "sample", "outcome", "reward", "extracted", "text")
_GROUPS, _ANSWERS = 4, 2
_LONGEST = 2000  # characters of a cell

Row = tuple[int, str, int, str, float, str, str]
"""The cells in the order of `COLUMNS`."""


def completion_rows(step: int, groups: Sequence[Group]) -> list[Row]:
    """At most 8 rows: of the first 4 problems the first right answer and the first other one, else the first two.

    Long texts are cut in the middle; characters that act on a reader's machine, or that nobody sees, are replaced.
    """
    rows: list[Row] = []
    for group in groups[:_GROUPS]:
        for sample in _chosen(group.completions):
            completion = group.completions[sample]
            verdict = completion.verdict
            rows.append(
                (
                    step, _cell(group.task.problem), sample, verdict.outcome, float(verdict.reward),
                    _cell(verdict.extracted or ""), _cell(completion.text),
                )
            )  # fmt: skip
    return rows


def _chosen(completions: Sequence[Completion]) -> list[int]:
    right = [i for i, completion in enumerate(completions) if completion.verdict.correct]
    other = [i for i, completion in enumerate(completions) if not completion.verdict.correct]
    one_of_each = right[:1] + other[:1]
    return sorted(one_of_each if len(one_of_each) == _ANSWERS else (right + other)[:_ANSWERS])


def _cell(text: str) -> str:
    left_out = len(text) - _LONGEST
    if left_out > 0:
        head = _LONGEST * 2 // 3
        text = f"{text[:head]} [... {left_out:,} characters ...] {text[head + left_out :]}"
    return clean(text)
