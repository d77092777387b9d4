"""The table and the conclusions in the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from simko.report import Counts, Tally, summarise
from simko.report.table import conclusions, describe_sampling, evaluation_table, held_out, model_name, trained_name


def counts(correct: int, samples: int = 8, problems: int = 4) -> Counts:
    rest = samples - correct
    tallies = {str(i): Tally(samples, correct, {"1": [correct, correct], "2": [rest, 0]}) for i in range(problems)}
    outcomes = {"correct": correct * problems, "incorrect": rest * problems, "no_answer": 0, "timeout": 0, "error": 0}
    return Counts(tallies, outcomes, samples * problems, 0, 100)


def a_result(base: Counts | None = None, **more: Any) -> dict[str, Any]:
    about = {
        "model": "/models/SmolLM2", "algorithm": "simko", "adapter": "a", "step": 25, "env": "simko/Countdown-v0",
        "n": 8, "problems": 4, "temperature": 0.6, "top_p": 0.95, "seed": 3, "overlap": 0,
    }  # fmt: skip
    return {**about, **summarise(counts(6), base), **more}


def shown(result: dict[str, Any], width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(evaluation_table(result), highlight=False)
    return out.getvalue()


def test_everything_that_decides_the_numbers_is_printed() -> None:
    text = shown(a_result(counts(2)))
    for part in ("SmolLM2 + simko, step 25", "simko/Countdown-v0", "held-out", "4 problems x 8 samples"):
        assert part in text
    assert "temperature 0.6, top-p 0.95, seed 3" in text
    assert "paired" in text


def rows(text: str) -> list[list[str]]:
    """The cells of the lines that begin with a K."""
    return [line.split("  ") for line in map(str.strip, text.splitlines()) if line.split("  ")[0].isdigit()]


@pytest.mark.parametrize("width", [80, 200])
def test_rows_hold_both_curves_and_their_difference(width: int) -> None:
    text = shown(a_result(counts(2)), width)
    table_rows = rows(text)
    assert "…" not in text
    assert [row[0] for row in table_rows] == ["1", "2", "4", "8"]
    cells = [cell.strip() for cell in table_rows[0] if cell]
    assert cells == ["1", "75.0 [75.0, 75.0]", "25.0 [25.0, 25.0]", "+50.0 [+50.0, +50.0]", "75.0 (25.0)"]


def test_without_a_base_there_is_one_curve() -> None:
    text = shown(a_result())
    assert "base" not in text
    assert "difference" not in text


def test_overtaking_in_words() -> None:
    assert conclusions(a_result(counts(2)))[0] == "the base model does not overtake up to K = 8"
    assert conclusions(a_result(counts(2), overtaken_at=45.2))[0] == "the base model overtakes at K = 45"
    assert conclusions(a_result(counts(7)))[0] == "the base model is not behind at any K"


def test_what_spoils_the_numbers_is_said() -> None:
    spoiled = a_result(overlap=2, ungraded=["7"])
    spoiled["outcomes"] = {"correct": 8, "incorrect": 0, "no_answer": 16, "timeout": 3, "error": 5}
    spoiled["truncated"] = 0.25
    lines = " ".join(conclusions(spoiled))
    assert "50.0 % no answer" in lines
    assert "25.0 % cut off" in lines
    assert "verifier failed on 8 of 32" in lines
    assert "1 problems are in no curve" in lines
    assert held_out(spoiled) == "2 of them seen in training"
    assert "2 of them seen in training" in describe_sampling(spoiled)


@pytest.mark.parametrize(
    ("about", "long", "short"),
    [
        ({}, "SmolLM2 + simko, step 25", "simko"),
        ({"algorithm": None, "step": None}, "SmolLM2 + adapter", "trained"),
        ({"algorithm": None, "step": None, "adapter": None, "model": "tiny"}, "tiny", "tiny"),
    ],
)
def test_names(about: dict[str, Any], long: str, short: str) -> None:
    result = a_result(**about)
    assert (model_name(result), trained_name(result)) == (long, short)


def test_square_brackets_are_not_markup() -> None:
    assert "[red]model on [bold]env" in shown(
        a_result(model="[red]model", algorithm=None, step=None, adapter=None, env="[bold]env")
    )
