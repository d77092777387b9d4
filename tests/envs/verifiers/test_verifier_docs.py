"""The examples of docs/how/verifiers.md are what the verifier does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simko.envs import grade

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "how" / "verifiers.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(.+?)` \| `(.+)` \| (correct|incorrect|no_answer) \|$", PAGE, re.MULTILINE)


def test_there_are_examples() -> None:
    assert len(ROWS) > 40


@pytest.mark.parametrize(("gold", "response", "outcome"), ROWS)
def test_an_example(gold: str, response: str, outcome: str) -> None:
    assert grade(response, gold).outcome == outcome
