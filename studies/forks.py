"""How sure runs were at their forking tokens, first and last: `python -m studies.forks RUN ...` prints a table of docs/idea.md.

Forking tokens are those that pass SimKO's gate; every run measures them, whatever its method. A probability is `e` to the mean
log-prob of a rank, and so a geometric mean.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from simko.console import markdown
from simko.errors import UserError

STEPS = 10
"""At each end of a run; their means are shown."""
RANKS = (1, 2, 3, 4)
HEADER = ("run", "steps", *(f"rank {rank}" for rank in RANKS), "entropy", "candidates for 95 %", "reward")


def row(steps: Sequence[dict[str, Any]]) -> list[str]:
    """The cells of these steps: means, as text."""
    chances = [math.exp(fmean(step[f"gated_logp_rank{rank}"] for step in steps)) for rank in RANKS]
    means = [fmean(step[name] for step in steps) for name in ("gated_entropy", "gated_candidates_95", "reward")]
    span = f"{steps[0]['step']} to {steps[-1]['step']}"
    return [span, *(f"{chance:.3f}" for chance in chances), *(f"{mean:.2f}" for mean in means)]


def table(runs: Sequence[Path]) -> str:
    """Two rows a run. Raises `UserError` for a folder without enough steps."""
    rows = []
    for run in runs:
        path = run / "metrics.jsonl"
        steps = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
        if len(steps) < 2 * STEPS:
            raise UserError(f"{path} has {len(steps)} steps; name a run of {2 * STEPS} steps or more")
        rows += [[run.name, *row(steps[:STEPS])], [run.name, *row(steps[-STEPS:])]]
    return markdown(HEADER, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    print(table(parser.parse_args(arguments).runs))


if __name__ == "__main__":
    main()
