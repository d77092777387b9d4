"""The toy of docs/idea.md pushes as the formula says, and its command writes a picture and the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from simko import algorithms
from studies import idea

PAGE = (idea.IMAGE.parents[1] / "idea.md").read_text(encoding="utf-8")


def test_a_push_is_the_formula_of_simko() -> None:
    alpha, k, penalty, letters = 0.5, 3, 1.1, range(len(idea.LETTERS))
    method = algorithms.get("simko", alpha=alpha)
    right = [(1 - alpha) * (i == 0) + alpha / k * (i < k) - idea.START[i] for i in letters]
    assert idea.push(method, 0, 1.0) == pytest.approx(right, abs=1e-6)
    assert idea.push(method, 0, -1.0) == pytest.approx(
        [-penalty * ((i == 0) - idea.START[i]) for i in letters], abs=1e-6
    )
    assert idea.push(method, 2, -1.0) == pytest.approx([-((i == 2) - idea.START[i]) for i in letters], abs=1e-6)
    assert idea.push(algorithms.get("grpo"), 0, 1.0) == pytest.approx(
        [(i == 0) - idea.START[i] for i in letters], abs=1e-6
    )


def test_the_command_prints_the_rows_of_the_page_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    idea.main(["--seeds", "1", "--steps", "30", "--plot", str(tmp_path / "fork.png")])
    head, _, before, *rows = capsys.readouterr().out.splitlines()
    assert head in PAGE
    assert before in PAGE
    top = {row.split("|")[1].strip(): float(row.split("|")[2]) for row in rows}
    assert list(top) == list(idea.ARMS)
    assert top["GRPO"] > top["SimKO, alpha 0.5"] > top["SimKO + pass@4"] > idea.START[0]
    assert (tmp_path / "fork.png").read_bytes().startswith(b"\x89PNG")
