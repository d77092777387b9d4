"""The page of a machine: its JSON, into which each part merges its results, rendered as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu.goals import GOALS, figures
from benchmarks.gpu.parts import title
from simko.console import clean, markdown, one_line
from simko.files import write_atomically

NO_GPU = (
    "**No GPU was used for this page.** It shows that the script runs on a stand-in (small shapes, a CPU). Its figures say "
    "nothing about a card, and no goal is judged."
)


def merged(
    page: Mapping[str, Any], part: int, steps: list[dict[str, Any]], machine: Mapping[str, Any]
) -> dict[str, Any]:
    """`page` with the results of a part in the place of its earlier ones; the other parts stay."""
    parts = {**page.get("parts", {}), str(part): {"machine": dict(machine), "steps": steps}}
    return {
        "device": machine["device"],
        "stand_in": not machine["cuda"],
        "parts": {key: parts[key] for key in sorted(parts)},
    }


def load(path: Path) -> dict[str, Any]:
    """The JSON of a page; an empty one if the file is missing or cannot be read."""
    try:
        page = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return page if isinstance(page, dict) and isinstance(page.get("parts"), dict) else {}


def write(page: Mapping[str, Any], stem: Path) -> None:
    """Write `stem`.json and `stem`.md."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(Path(f"{stem}.json"), json.dumps(page, indent=1) + "\n")
    write_atomically(Path(f"{stem}.md"), render(page))


def render(page: Mapping[str, Any]) -> str:
    """The page as Markdown. Its first line says if no GPU was used."""
    lines = [NO_GPU, ""] if page["stand_in"] else []
    lines += [
        f"# {_plain(page['device'])}",
        "",
        "Written by `make gpu`; the JSON beside this page has every number.",
        "",
    ]
    lines += ["## Goals", "", _goals(page), ""]
    for number, part in page["parts"].items():
        lines += [f"## Part {number}: {title(int(number))}", "", _machine(part["machine"]), ""]
        for step in part["steps"]:
            lines += _step(step)
    return "\n".join(lines)


def _goals(page: Mapping[str, Any]) -> str:
    numbers = {} if page["stand_in"] else figures(page)
    where = {step["name"]: step for part in page["parts"].values() for step in part["steps"]}
    rows = []
    for goal in GOALS:
        shown, verdict = goal.judge(numbers)
        step = where.get(goal.values[0].rpartition(".")[0], {})
        if verdict == "not measured" and step.get("status") == "failed":
            verdict = f"not measured: {_cell(step['message'])}"
        rows.append([goal.text, shown, verdict, "-" if shown == "-" else step["date"]])
    return markdown(["goal", "measured", "verdict", "date"], rows)


def _machine(machine: Mapping[str, Any]) -> str:
    """Device and versions of one part: parts may be run on different days."""
    versions = ", ".join(f"{name} {_plain(v)}" for name, v in machine["versions"].items() if v is not None)
    missing = [name for name, version in machine["versions"].items() if version is None]
    size = f", {machine['memory'] / 1e9:.1f} GB" if "memory" in machine else ""
    absent = f"; not there: {', '.join(missing)}" if missing else ""
    return f"Device: {_plain(machine['device'])}{size}. Versions: {versions}{absent}. {_plain(machine.get('note', ''))}".strip()


def _step(step: Mapping[str, Any]) -> list[str]:
    lines = [
        f"### {step['name']}",
        "",
        f"{step['date']}, {step['seconds']:.0f} s",
        "",
        "```sh",
        step["command"],
        "```",
        "",
    ]
    if step["status"] == "failed":
        lines += [f"**Failed**: {_plain(step['message'])}", ""]
    for table in step["findings"].get("tables", []):
        lines += [markdown(table["columns"], [list(map(_cell, row)) for row in table["rows"]]), ""]
    notes = step["findings"].get("notes", [])
    return [*lines, *(f"- {_plain(note)}" for note in notes), *([""] if notes else [])]


def _plain(text: object) -> str:
    """Text of a machine or a program as one line of Markdown that means itself."""
    return one_line(str(text)).replace("<", "&lt;")


def _cell(value: object) -> str:
    return clean(_plain(value)).replace("|", "\\|")
