"""Counts of several arms as one CSV table that pandas reads: a row for each arm, seed and problem."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from simko.report.labels import no_formula
from simko.report.measured import MUST_AGREE, Measured

COLUMNS = ("arm", "seed", "problem", "samples", "correct", "source", *MUST_AGREE, "temperature", "top_p", "model")


def write(measured: Iterable[Measured]) -> str:
    """The table, with a header. A fact that nobody knows is an empty cell; a spreadsheet's formula has a `'` before it."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for arm in measured:
        facts = [arm.facts.get(name) for name in COLUMNS[6:]]
        for problem, (n, c) in arm.counts.items():
            table.writerow(map(no_formula, [arm.arm, arm.seed, problem, n, c, arm.source, *facts]))
    return out.getvalue()
