"""What the README says of the repository is so."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PATH = ("types", "rollout", "advantages", "algorithms/simko", "update", "train")


def test_the_tree_names_every_file() -> None:
    page = runpy.run_path(str(ROOT / "studies" / "tree.py"))["page"]
    assert page() == (ROOT / "docs" / "tree.md").read_text(encoding="utf-8"), "run `python -m studies.tree`"


def test_the_training_path_reads_in_one_sitting() -> None:
    lines = sum(len((ROOT / "simko" / f"{name}.py").read_text().splitlines()) for name in PATH)
    assert lines < 800
    assert f"{lines} lines" in README


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_ten_line_environment_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = next(b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "# my_task.py" in b)
    assert len([line for line in block.splitlines() if line.strip() and not line.startswith("#")]) <= 10
    (tmp_path / "my_task.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    from simko.envs import make

    env = make("my_task:my/Double-v0")
    task = env.source.tasks(1, 0)[0]
    assert env.grade(task.gold, task).correct
    assert not env.grade("1", task).correct
    sys.modules.pop("my_task")
