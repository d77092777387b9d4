"""The table of forking tokens has the means of both ends of a run, as probabilities."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from simko.errors import UserError
from studies import forks


def run(folder: Path, steps: int) -> Path:
    folder.mkdir()
    lines = [
        {"step": n, "gated_entropy": n / 10, "gated_candidates_95": 3.0, "reward": 0.25 if n <= 10 else 0.5}
        | {f"gated_logp_rank{rank}": math.log(0.5 / rank) - 2.0 * (n > 10) for rank in forks.RANKS}
        for n in range(1, steps + 1)
    ]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def test_means_of_the_first_and_the_last_ten_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forks.main([str(run(tmp_path / "a", 20))])
    header, _, first, last = capsys.readouterr().out.splitlines()
    assert header == "| " + " | ".join(forks.HEADER) + " |"
    assert first == "| a | 1 to 10 | 0.500 | 0.250 | 0.167 | 0.125 | 0.55 | 3.00 | 0.25 |"
    assert last == "| a | 11 to 20 | 0.068 | 0.034 | 0.023 | 0.017 | 1.55 | 3.00 | 0.50 |"


def test_a_short_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.jsonl has 19 steps; name a run of 20 steps or more"):
        forks.table([run(tmp_path / "a", 19)])
    with pytest.raises(UserError, match="has 0 steps"):
        forks.table([tmp_path / "none"])
