"""A file is recognised by its content and its name; what is not is refused in one line that says what is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from foreign_files import episode, jsonl, logged, refusal, rollout, trace

from simko.report.foreign import KINDS, recognise

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


def test_choices_that_a_kind_does_not_offer_are_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [ROWS["counts"]])
    assert "--filter is for lm-eval samples and verifiers traces" in refusal(path, filter="x")
    assert "--metric is for the verdicts of lm-eval and inspect" in refusal(path, metric="x")
    path = jsonl(tmp_path / "b.jsonl", [ROWS["lm-eval"]])
    assert "our verifiers grade here" in refusal(path, metric="exact_match", verifier="math")
