"""The CSV table that pandas reads."""

from __future__ import annotations

import csv
import io

from simko.report.foreign.csv_file import COLUMNS, write
from simko.report.measured import Measured


def test_a_row_for_each_arm_and_problem() -> None:
    arms = [
        Measured("base", None, {'a,"b"\n': (4, 1)}, facts={"env": "e", "temperature": 0.6}),
        Measured("x", 3, {"a": (4, 2), "b": (0, 0)}, source="counts"),
    ]
    rows = list(csv.DictReader(io.StringIO(write(arms), newline="")))
    assert [(row["arm"], row["seed"], row["problem"], row["samples"], row["correct"]) for row in rows] == [
        ("base", "", 'a,"b"\n', "4", "1"), ("x", "3", "a", "4", "2"), ("x", "3", "b", "0", "0"),
    ]  # fmt: skip
    assert (rows[0]["env"], rows[0]["temperature"], rows[0]["level"], rows[1]["source"]) == ("e", "0.6", "", "counts")
    assert set(rows[0]) == set(COLUMNS)


def test_a_spreadsheet_runs_nothing() -> None:
    text = write([Measured("=1+1", None, {"@sum": (1, 0), "a-b": (1, 0)}, facts={"model": "+m", "level": -1})])
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["arm"], row["problem"], row["model"], row["level"]) for row in rows] == [
        ("'=1+1", "'@sum", "'+m", "-1"), ("'=1+1", "a-b", "'+m", "-1"),
    ]  # fmt: skip
