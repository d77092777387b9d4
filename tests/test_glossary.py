"""docs/reference/metrics.md describes every metric that a run writes, every alarm, and every fault."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from simko.alarms import RULES
from simko.concentration import EDGES, POPULATIONS
from simko.run.faults import _DESCRIPTIONS

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "reference" / "metrics.md").read_text()
ROWS = [[cell.strip() for cell in line[1:-1].split("|")] for line in PAGE.splitlines() if line.startswith("| `")]


def undescribed(metrics: Iterable[str]) -> list[str]:
    """The metrics that have no row. One of a population is described if it is without the population's name."""
    names = [row[0].strip("`") for row in ROWS]
    every = "|".join(re.sub("NAME|KIND", "[a-z0-9_]+", re.sub("[NM](?![A-Z])", "[0-9]+", name)) for name in names)
    bare = (re.sub(f"^({'|'.join(sorted(POPULATIONS[1:], key=len, reverse=True))})", "", name) for name in metrics)
    return [name for name in bare if not re.fullmatch(every, name)]


def test_the_search_finds_what_is_missing() -> None:
    assert undescribed(["entropy", "gated_wrong_logp_rank5", "reward_format", "entropy_hist_03", "logp_gap_1_2"]) == []
    missing = ["gated_tokens", "entropies", "logp_rank", "entropy_hist_x", "logp_rank1_mean"]
    assert undescribed(missing) == ["tokens", *missing[1:]]


def test_each_row_is_whole_and_stands_once() -> None:
    metrics = [row for row in ROWS if len(row) > 2]
    assert len(metrics) > 50
    assert all(len(row) == 4 for row in metrics)
    names = [row[0] for row in metrics]
    assert len(set(names)) == len(names)


def test_every_alarm_and_every_population_is_described() -> None:
    assert [row[0].strip("`") for row in ROWS if len(row) == 2] == list(RULES)
    assert all(f"`{population}NAME`" in PAGE for population in POPULATIONS[1:])
    assert f"bins from 0, {', '.join(f'{edge:g}' for edge in EDGES[:-1])} and {EDGES[-1]:g} nats" in PAGE


@pytest.mark.parametrize("kind", _DESCRIPTIONS)
def test_every_fault_is_described(kind: str) -> None:
    assert undescribed([kind]) == []
