"""The evaluations of a report as comparisons: what may be drawn together, and why the rest may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simko.console import one_line
from simko.errors import UserError
from simko.report.arm_files import counts_of
from simko.report.arm_names import BASE
from simko.report.arms import load
from simko.report.comparable import AGREE, Comparison, comparisons, why_apart
from simko.report.comparison import results_of
from simko.report.measured import Measured
from simko.report.page.source import RunData


@dataclass(frozen=True)
class Sheet:
    """One comparison and its results; the measurements of two sheets are never drawn together."""

    comparison: Comparison
    result: Mapping[str, Any]


def sheets(runs: Sequence[RunData], others: Sequence[Path], notes: list[str]) -> list[Sheet]:
    """The comparisons of all runs and of other files and folders. `notes` gets a line for all that cannot be compared."""
    good: list[Path] = []
    spare: list[Measured] = []
    for path, run in [*((run.evaluation_path, run) for run in runs), *((path, None) for path in others)]:
        if path is None:
            continue
        try:
            load([path], lambda _: None)
            good.append(path)
        except (UserError, OSError) as error:
            notes.append(one_line(str(error)))
            if run is not None:
                spare += _plain(run)
    try:
        measured = load(good, lambda line: notes.append(one_line(line))) if good else []
        parts = comparisons([*measured, *spare]) if measured or spare else []
        if len(parts) > 1:
            notes.append(f"not drawn together: {why_apart(parts)}")
        return [Sheet(part, results_of(part)) for part in parts]
    except (UserError, ValueError) as error:
        notes.append(f"the evaluations cannot be compared: {one_line(str(error))}")
        return []


def _plain(run: RunData) -> list[Measured]:
    """The counts of an evaluation beside a damaged configuration."""
    if run.evaluation is None or run.evaluation_path is None:
        return []
    facts = {
        name: run.evaluation.get(name) for name in AGREE if isinstance(run.evaluation.get(name), str | int | float)
    }
    sides = []
    for name, side in ((run.name, run.evaluation), (BASE, run.evaluation.get("base"))):
        try:
            counts = counts_of(side, run.evaluation_path) if isinstance(side, Mapping) else {}
        except UserError:
            return []
        if counts:
            more = {**facts, "trained": name != BASE}
            sides.append(Measured(name, None, counts, {}, more, "simko", str(run.evaluation_path)))
    return sides
