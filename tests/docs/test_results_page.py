"""docs/results/README.md names every study and benchmark that measures, and each of its rows says when and where."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from benchmarks.__main__ import names

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "results" / "README.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in re.sub(r"^\| figure .*\n", "", PAGE, flags=re.MULTILINE).splitlines()
    if line.count(" | ") == 4
]
MEASURE_NOTHING = {
    "evaluate_tiny", "pretrain_tiny",  # how the weights of tiny were made
    "tree", "pages", "notebooks", "release",  # write pages, or try a release
    "drawings", "screenshots", "look",  # pictures, and a look at the site
}  # fmt: skip


def test_each_figure_has_a_command_a_date_a_machine_and_a_commit() -> None:
    assert len(ROWS) > 25
    for figure, command, date, machine, commit in ROWS:
        assert command == "unknown" or command.startswith("`"), figure
        assert re.match(r"\d\d?\b", date), figure
        assert machine, figure
        assert re.search(r"`[0-9a-f]{7}`", commit), figure


def test_the_commands_are_there() -> None:
    for module in set(re.findall(r"python -m ([\w.]+)", PAGE)):
        assert find_spec(module) is not None, module
    for path in set(re.findall(r"studies/[\w/]+\.(?:yaml|sh)", PAGE)):
        assert (ROOT / path).is_file(), path


def test_no_study_and_no_benchmark_is_forgotten() -> None:
    studies = {
        path.stem for path in (ROOT / "studies").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    for name in studies - MEASURE_NOTHING - {"__init__"}:
        assert f"studies.{name}" in PAGE, name
    for name in names():
        assert f"python -m benchmarks {name}" in PAGE, name
