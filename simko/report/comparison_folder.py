"""The folder of a comparison that can be cited: results.json, results.csv, table.md and three pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from simko.console import note
from simko.errors import UserError
from simko.files import write_atomically
from simko.report.comparable import Comparison, one_comparison
from simko.report.comparison import results_of
from simko.report.comparison_csv import csv_text
from simko.report.comparison_table import markdown_table
from simko.report.measured import Measured

FILES = ("results.json", "results.csv", "table.md", "curves.png", "differences.png", "frontier.png")


def write(
    folder: str | Path,
    arms: Sequence[Measured] | Comparison,
    *,
    reference: str = "grpo",
    plan: Mapping[str, Any] | None = None,
    commands: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare the arms, write the files of `FILES` into `folder`, each whole, and return the content of `results.json`.

    `plan`, `commands` and `notes` are written down with it. `differences.png` is there only where two arms can be
    subtracted. Equal arguments give equal bytes of JSON, CSV and table.

    Raises:
        UserError: the arms cannot be drawn together (`comparable.comparisons` splits them), or the folder cannot be written.
    """
    from simko.report.comparison_plot import draw_differences, draw_pass  # here: matplotlib takes a second to load
    from simko.report.frontier import draw_frontier

    folder = Path(folder)
    comparison = arms if isinstance(arms, Comparison) else one_comparison(arms)
    result = results_of(comparison, reference)
    result["notes"] += notes
    result |= {"plan": plan, "plan_sha256": None if plan is None else sha256(_json(plan).encode()).hexdigest()}
    result["commands"] = list(commands)
    _place_inside(result, folder)
    contents: dict[str, str | bytes] = {
        "results.json": by_line(result), "results.csv": csv_text(result), "table.md": markdown_table(result),
        "curves.png": draw_pass(result), "frontier.png": draw_frontier(result),
    }  # fmt: skip
    if any(arm["against_base"] or arm["against_reference"] for arm in result["arms"]):
        contents["differences.png"] = draw_differences(result)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "differences.png").unlink(missing_ok=True)  # of another comparison, where this one has none
        for name, content in contents.items():
            write_atomically(folder / name, content)
    except OSError as error:
        raise UserError(f"compare: {error.filename}: {error.strerror}; make room, or give another --out") from error
    return result


def write_all(
    folder: str | Path, found: Sequence[Comparison], *, say: Any = note, **settings: Any
) -> list[dict[str, Any]]:
    """`write` for comparisons that cannot be drawn together: the first into `folder`, the others into `folder/apart-2` ..."""
    from simko.report.comparable import why_apart

    results = []
    for number, comparison in enumerate(found, start=1):
        place = Path(folder) if number == 1 else Path(folder) / f"apart-{number}"
        if number > 1:
            say(f"not drawn together, see {place}: {why_apart([found[0], comparison])}")
        results.append(write(place, comparison, **settings))
    return results


def by_line(result: Mapping[str, Any]) -> str:
    """JSON with a line for each key, and for each arm."""
    lines = [f"{json.dumps(key)}: {_json(value)}" for key, value in result.items() if key != "arms"]
    arms = ",\n".join(_json(arm) for arm in result["arms"])
    return "{\n" + ",\n".join([*lines, f'"arms": [\n{arms}\n]']) + "\n}\n"


def _json(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, sort_keys=False)
    except ValueError as error:
        raise UserError(f"compare: a number is not finite ({error}); measure that arm again") from error


def _place_inside(result: dict[str, Any], folder: Path) -> None:
    """Name files below the folder relative to it, so that the folder can be moved."""
    root = folder.absolute()
    for arm in result["arms"]:
        for point in arm["seeds"]:
            path = Path(point["file"]).absolute()
            if path.is_relative_to(root):
                point["file"] = path.relative_to(root).as_posix()
