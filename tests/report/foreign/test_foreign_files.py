"""A file is recognised by its content and its name; what is not is refused in one line that says what is read."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from foreign_files import episode, jsonl, logged, refusal, rollout, trace
from hypothesis import given, settings
from hypothesis import strategies as st

from simko.errors import UserError
from simko.report.foreign import KINDS, read, recognise

ROWS = {
    "counts": {"id": 1, "c": 1, "n": 1},
    "completions": {"id": 1, "text": "a"},
    "lm-eval": logged(0, "none", 1.0, ["a"]),
    "verifiers-results": rollout(0, 1.0),
    "verifiers-traces": episode(0, trace({})),
}


@pytest.mark.parametrize("kind", list(ROWS))
def test_the_first_row_tells_the_kind(tmp_path: Path, kind: str) -> None:
    path = jsonl(tmp_path / "anything.jsonl", [ROWS[kind]])
    assert recognise(path) == (kind, path)


def test_every_kind_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "a.eval"
    path.touch()
    assert {*ROWS, recognise(path)[0]} == set(KINDS)


def test_what_is_not_read_is_told_with_what_is(tmp_path: Path) -> None:
    lines = [
        refusal(jsonl(tmp_path / "a.jsonl", [{"name": "x", "value": 2}])),
        refusal(jsonl(tmp_path / "b.jsonl", [])),
        refusal(jsonl(tmp_path / "c.csv", [])),
        refusal(tmp_path / "missing.jsonl"),
        refusal(tmp_path),
    ]
    assert "has the fields name, value, which are of no kind" in lines[0]
    assert "has the fields none" in lines[1]
    assert "there is no such file" in lines[3]
    assert "a folder without results.jsonl or traces.jsonl" in lines[4]
    for line in lines:
        assert all(words in line for words in KINDS.values())


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(10**400)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
)


def spoilt(row: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The row with one of its values, however deep, replaced by anything."""
    if not isinstance(row, dict | list) or not row:
        return values
    keys = list(row) if isinstance(row, dict) else list(range(len(row)))

    def put(key: Any, value: Any) -> Any:
        copy: Any = row.copy()
        copy[key] = value
        return copy

    return values | st.sampled_from(keys).flatmap(
        lambda key: spoilt(row[key], values).map(lambda value: put(key, value))
    )


@pytest.mark.parametrize("kind", list(ROWS))
@pytest.mark.parametrize("verifier", [None, "exact"])
def test_hostile_values_are_counted_or_refused(tmp_path: Path, kind: str, verifier: str | None) -> None:
    path = tmp_path / "a.jsonl"

    @settings(max_examples=20)
    @given(spoilt(ROWS[kind], JSON))
    def check(row: Any) -> None:
        jsonl(path, [ROWS[kind], row])
        with contextlib.suppress(UserError):
            for arm in read(path, verifier=verifier):
                assert all(0 <= c <= n for n, c in arm.counts.values())

    check()


def test_choices_that_a_kind_does_not_offer_are_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [ROWS["counts"]])
    assert "--filter is for lm-eval samples and verifiers traces" in refusal(path, filter="x")
    assert "--metric is for the verdicts of lm-eval and inspect" in refusal(path, metric="x")
    path = jsonl(tmp_path / "b.jsonl", [ROWS["lm-eval"]])
    assert "our verifiers grade here" in refusal(path, metric="exact_match", verifier="math")
