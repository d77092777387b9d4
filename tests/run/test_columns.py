"""Reading stays flat over many steps: files and lines that were read are not read again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import random_groups

from simko.errors import UserError
from simko.run import columns
from simko.run.records import Records, problem_key

_OPENED: list[str] | None = None


def _note_open(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _OPENED is not None:
        _OPENED.append(str(arguments[0]))


sys.addaudithook(_note_open)  # it stays until the process ends, and does nothing outside of `opened`


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Paths of the files that were opened."""
    global _OPENED
    _OPENED = []
    yield _OPENED
    _OPENED = None


@pytest.fixture
def records(tmp_path: Path) -> Records:
    (tmp_path / "rollouts").mkdir()
    made = Records(tmp_path)
    for step in range(1, 41):
        made.add(step, random_groups(step), {"solve_rate": step / 40})
    return made


def rollouts(paths: list[str]) -> int:
    return sum(path.endswith(".jsonl.gz") for path in paths)


def test_problems_are_read_from_one_file(records: Records, opened: list[str]) -> None:
    problems = records.training_problems()
    assert len(problems) > 1
    assert (rollouts(opened), len(opened)) == (0, 1)
    records.problems_path.unlink()  # as a run of an older version
    opened.clear()
    assert Records(records.problems_path.parent).training_problems() == problems
    assert rollouts(opened) == 40
    opened.clear()
    assert Records(records.problems_path.parent).training_problems() == problems
    assert (rollouts(opened), len(opened)) == (0, 1)


def test_a_damaged_list_of_problems_is_mended_once(records: Records, opened: list[str]) -> None:
    before = records.problems_path.read_bytes()
    problems = records.training_problems()
    records.problems_path.write_bytes(b"spoilt\n" + before)
    assert records.training_problems() == problems
    assert records.problems_path.read_bytes() == before
    opened.clear()
    records.training_problems()
    assert rollouts(opened) == 0


def test_a_folder_of_another_process_is_left_alone(records: Records) -> None:
    from simko.files import locked

    problems = records.training_problems()
    records.problems_path.unlink()
    with locked(records.problems_path.parent):
        assert records.training_problems() == problems
    assert not records.problems_path.exists()
    assert problem_key("a B") == problem_key("AB")


def test_each_line_is_parsed_once_however_often_a_column_is_asked_for(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []
    monkeypatch.setattr(columns, "json", SimpleNamespace(loads=lambda line: parsed.append(line) or json.loads(line)))
    for step in range(41, 61):
        assert records.column("solve_rate")[step - 1] == min(step - 1, 40) / 40
        records.add(step, [], {"solve_rate": 1.0})
    assert len(parsed) == 59
    assert records.column("missing") == dict.fromkeys(range(1, 61))


def test_a_rewound_run_is_read_anew(records: Records) -> None:
    assert max(records.column("solve_rate")) == 40
    Records(records.problems_path.parent).rewind(7)  # by another process
    assert records.column("solve_rate") == {step: step / 40 for step in range(1, 8)}
    records.add(8, [], {"solve_rate": 0.0})
    assert records.column("solve_rate")[8] == 0.0


def test_a_cut_line_waits_and_a_damaged_one_is_said(records: Records) -> None:
    with records.metrics_path.open("ab") as file:
        file.write(b'{"step": 41, "solve')
        file.flush()
        assert max(records.column("solve_rate")) == 40
        file.write(b'_rate": 0.5}\n')
    assert records.column("solve_rate")[41] == 0.5
    with records.metrics_path.open("ab") as file:
        file.write(b"[]\n")
    with pytest.raises(UserError, match="line 42: damaged"):
        records.column("solve_rate")
