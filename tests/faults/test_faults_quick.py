"""A few trials of each scenario of `make faults`; and the page of promises names tests that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from faultkit.lab import Lab, Result
from faultkit.table import SCENARIOS, markdown, text

pytestmark = pytest.mark.usefixtures("default_signals")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how" / "promises.md"
MINUTES_ALONE = {"growth", "twice", "inside", "odd", "results", "readonly", "models", "folders"}
"""Scenarios of which one trial already takes seconds: `make faults` has them."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("faults"), jobs=2, quick=True) as made:
        yield made


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in MINUTES_ALONE])
def test_survives(lab: Lab, name: str) -> None:
    result = SCENARIOS[name](lab)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.failures == []
    assert result.tried > 0


def test_a_difference_is_seen(lab: Lab) -> None:
    """The harness itself: another seed is another run, and a trial that fails is counted."""
    from faultkit.compare import difference, end_difference

    one, other = lab.reference("--steps", "2"), lab.reference("--steps", "2", "--seed", "1")
    assert difference(one, one) is None
    assert "differs" in (difference(one, other) or "")
    assert end_difference(one, other) is not None
    result = lab.each("x", lambda server, cwd, item: f"no {item}" if item else None, [0, 1])
    assert (result.tried, result.survived, result.failures) == (2, 1, ["1: no 1"])


def test_the_table() -> None:
    results = [Result("a", 1200, ["x"]), Result("b", skipped="not here")]
    assert text(results).splitlines()[1].split() == ["a", "1200", "1199"]
    assert markdown(results).splitlines()[2:] == ["| a | 1,200 | 1,199 |", "| b (not here) | 0 | 0 |"]


def test_every_test_that_the_promises_name_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 20
    missing = [f"{file}::{test}" for file, test in named if not _has(ROOT / file, test)]
    assert missing == []


def test_every_scenario_that_the_promises_name_exists() -> None:
    named = re.findall(r"`make faults` \(([\w, ]+)\)", PAGE.read_text(encoding="utf-8"))
    names = {name for group in named for name in group.split(", ")}
    assert names
    assert names <= set(SCENARIOS)


def test_the_table_of_the_promises_survived() -> None:
    """The page keeps the last table: as many survived as were tried, but for what it says falls short."""
    rows = re.findall(r"^\| (.+) \| ([\d,]+) \| ([\d,]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert 10 < len(rows) <= len(SCENARIOS)
    assert [name for name, tried, survived in rows if tried != survived] == []


def _has(file: Path, test: str) -> bool:
    return file.is_file() and f"def {test}(" in file.read_text(encoding="utf-8")
