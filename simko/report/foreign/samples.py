"""Samples of another program, and their counts: by its own verdicts, or by ours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simko.report.counts import Tally
from simko.report.measured import Measured, Source


@dataclass(frozen=True, slots=True)
class Sample:
    """One response in another program's file.

    Attributes:
        id: the problem's id in that file.
        place: where it stands, as `file:line`.
        part: the filter or the agent that it belongs to; each makes an arm. It is empty if the file names no part.
        text: the response; None where the file does not hold it.
        value: the other program's score; None where it reached no verdict.
        problem, gold: the problem's text and its answer, where the file holds them.
    """

    id: str
    place: str
    part: str = ""
    text: str | None = None
    value: float | None = None
    problem: str | None = None
    gold: str | None = None


@dataclass
class SampleFile:
    """What a reader gives: the samples, one at a time, and what the file says of how they were made.

    `samples` may be walked through once. `facts` may still grow while that is done.
    """

    name: str
    samples: Iterable[Sample]
    source: Source
    facts: dict[str, Any] = field(default_factory=dict)


def by_their_verdicts(file: SampleFile, place: Path) -> list[Measured]:
    """An arm for each part, from the other program's scores. A score of 1 is correct, any other is not: pass@K is of yes and no.

    A sample without a score is not counted.
    `facts["partial"]` counts the scores that are neither 0 nor 1, and `facts["ungraded"]` the samples without one.
    """
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    partial: dict[str, int] = {}
    ungraded: dict[str, int] = {}
    for sample in file.samples:
        of_part = counts.setdefault(sample.part, {})
        n, c = of_part.get(sample.id, (0, 0))
        if sample.value is None:
            ungraded[sample.part] = ungraded.get(sample.part, 0) + 1
        else:
            right = math.isclose(sample.value, 1.0, abs_tol=1e-9)  # a weighted sum may end at 0.9999999999999999
            n, c = n + 1, c + right
            partial[sample.part] = partial.get(sample.part, 0) + (not right and sample.value != 0)
        of_part[sample.id] = (n, c)
    return [
        Measured(
            named(file.name, part, len(counts) > 1),
            None,
            of_part,
            facts=summary(file.facts, of_part) | {"partial": partial.get(part, 0), "ungraded": ungraded.get(part, 0)},
            source=file.source,
            place=str(place),
        )
        for part, of_part in counts.items()
    ]


def of_tallies(name: str, tallies: Mapping[str, Tally], facts: Mapping[str, Any], place: Path) -> Measured:
    """The arm of samples that our verifiers graded."""
    counts = {task: (tally.samples, tally.correct) for task, tally in tallies.items()}
    answers = {
        task: {answer: (votes, right) for answer, (votes, right) in tally.answers.items()}
        for task, tally in tallies.items()
    }
    return Measured(name, None, counts, answers, summary(facts, counts), "completions", str(place))


def summary(facts: Mapping[str, Any], counts: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """The facts with `n` and `problems`. `n` is None where the problems have different numbers of samples."""
    sizes = {n for n, _ in counts.values()}
    return {**facts, "n": sizes.pop() if len(sizes) == 1 else None, "problems": len(counts)}


def named(name: str, part: str, several: bool) -> str:
    """The name of an arm. A part is named where the file has several."""
    return f"{name}:{part}" if several and part else name


def stem(path: Path) -> str:
    """The name of a file without its endings."""
    name = path.name.removesuffix(".gz")
    return name.removesuffix(Path(name).suffix) or name
