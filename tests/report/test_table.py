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
    return [line.split("  ") for line in map(str.strip, text.splitlines()) if line.split("  ")[0].strip("*").isdigit()]


@pytest.mark.parametrize("width", [80, 200])
def test_rows_hold_both_curves_and_their_difference(width: int) -> None:
    text = shown(a_result(counts(2)), width)
    table_rows = rows(text)
    assert "…" not in text
    assert [row[0] for row in table_rows] == ["1", "2", "4", "8*"]
    assert "* all samples" in text
    cells = [cell.strip() for cell in table_rows[0] if cell]
    # four problems that are all alike: as many as 1 - 0.0125 ** (1 / 4) of all may be unlike them
    assert cells == ["1", "75.0 [25.1, 91.6]", "25.0 [8.4, 74.9]", "+50.0 [-49.8, +83.3]", "75.0 (25.0)"]


def test_without_a_base_there_is_one_curve() -> None:
    text = shown(a_result())
    assert "base" not in text
    assert "difference" not in text


def test_what_is_decided_is_said_in_words() -> None:
    lines = conclusions(a_result(counts(2)))
    assert lines[0] == "simko against the base model: not decided at any K"
    assert lines[1] == "the first loss may be at K = 1 to 4, or at none up to K = 4"
    told = a_result(
        counts(2), in_words="worse at K = 4", first_loss={"possible": [4], "none": False, "grid": [1, 2, 4]}
    )
    assert conclusions(told)[:2] == ["simko against the base model: worse at K = 4", "first loss at K = 4"]


def test_an_older_result_is_shown_and_decides_nothing() -> None:
    result = a_result(counts(2), overtaken_at=4.0)
    for key in ("first_loss", "in_words", "verdicts", "p_value"):
        del result[key]
    for side in (result, result["base"]):
        for key in ("cover", "all_k", "guess_floor", "tokens_at_k"):
            del side[key]
    text = shown(result)
    assert "an older result" in text
    assert "against the base" not in text


def test_cover_is_said() -> None:
    assert "10 %: 100.0 %, 50 %: 100.0 %, 90 %: 0.0 %" in " ".join(conclusions(a_result()))


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
