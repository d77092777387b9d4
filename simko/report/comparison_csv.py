"""A comparison as a tidy CSV: a line for each arm, seed and K, and one for each arm's mean."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from simko.report.labels import csv_cell

COLUMNS = (
    "arm", "row", "seed", "k", "is_n", "pass_at_k", "low", "high", "majority_at_k", "pass_all_k", "guess_floor", "tokens_at_k",
    "seeds", "problems", "samples", "counts_by", "against_base", "against_base_low", "against_base_high",
    "against_base_decision", "against_reference", "against_reference_low", "against_reference_high",
    "against_reference_decision",
)  # fmt: skip
"""Shares are of 1. `row` is `seed` or `mean`; a row of a seed has no band, and what nobody knows is empty."""


def csv_text(result: Mapping[str, Any]) -> str:
    """The lines of `results.csv`, with a header. Names of arms are made harmless to a spreadsheet."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for arm in result["arms"]:
        writer.writerows(_rows(result, arm))
    return out.getvalue()


def _rows(result: Mapping[str, Any], arm: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    ks = result["k"]
    problems = result["problems"]["used"]
    common = {"arm": csv_cell(arm["name"]), "counts_by": "others" if arm["foreign"] else "simko"}
    measures = ("majority_at_k", "pass_all_k", "guess_floor", "tokens_at_k")
    for point in arm["seeds"]:
        for k in map(str, ks):
            row = {**common, "row": "seed", "seed": _cell(point["seed"]), "k": k, "is_n": int(int(k) == ks[-1])}
            row |= {
                "pass_at_k": point["pass_at_k"][k],
                "seeds": 1,
                "problems": problems,
                "samples": min(point["samples"]),
            }
            yield row | {name: _cell((point[name] or {}).get(k)) for name in measures}
    for k in map(str, ks):
        mean, low, high = arm["pass_at_k"]["curve"][k]
        row = {
            **common,
            "row": "mean",
            "k": k,
            "is_n": int(int(k) == ks[-1]),
            "pass_at_k": mean,
            "low": low,
            "high": high,
        }
        row |= {"seeds": len(arm["seeds"]), "problems": problems, "samples": result["n"]}
        row |= {name: _cell(arm[name][k]) for name in measures}
        for name in ("against_base", "against_reference"):
            if (gap := arm[name]) is not None:
                row[name], row[f"{name}_low"], row[f"{name}_high"] = gap["curve"][k]
                row[f"{name}_decision"] = gap["decisions"][k]
        yield row


def _cell(value: Any) -> Any:
    return "" if value is None else value
