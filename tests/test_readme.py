"""What the README and the other pages say about the repository is true."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "docs" / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

PATH = ("types", "rollout", "advantages", "algorithms/simko", "update", "train")
"""What a newcomer reads, in this order."""
UPDATE = (
    *("types", "group_view", "schedule", "rollout", "grading", "sampling", "advantages"),
    *("algorithms/base", "algorithms/stats", "algorithms/compose"),
    *("algorithms/grpo", "algorithms/gates", "algorithms/simko"),
    *("micro_batch", "packing", "step_stats", "update", "metrics", "train"),
)
"""What one must read to defend an update: from a task to the optimizer's step."""
ELSEWHERE = {
    "algorithms": "the table of names",
    "algorithms.registry": "how a file adds itself to the table",
    "concentration": "metrics of the update, which change nothing of it",
    "begin": "before the first step",
    "build": "makes policy and environment from a config",
    "config": "settings",
    "device": "what the machine has",
    "difficulty": "before training",
    "envs.watched": "the guard round an author's environment",
    "errors": "one exception",
    "evaluate": "after training",
    "head": "counted apart, and held against plain autograd",
    "memory": "does it fit?",
    "onlookers": "loggers, alarms and held-out problems, which change nothing",
    "preflight": "before training",
    "ranks": "how several processes share the work; in one they do nothing",
    "reward_parts": "a mapping that cannot be changed",
    "run": "the folder on disk",
}
"""What those files import besides each other. No update is computed there, but for the loss head, which is counted apart."""


def lines(*names: str) -> int:
    """Lines of modules or folders of simko, together."""
    paths = [path for name in names for path in [ROOT / "simko" / f"{name}.py", *(ROOT / "simko" / name).glob("*.py")]]
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths if path.is_file())


def imported(name: str) -> set[str]:
    """Modules of simko that a module of it imports, as in `from simko.run.faults import ...`: `run.faults`."""
    tree = ast.parse((ROOT / "simko" / f"{name}.py").read_text(encoding="utf-8"))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "simko":
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("simko."):
            whole = str(node.module).removeprefix("simko.")
            inner = [alias.name for alias in node.names if (ROOT / "simko" / whole / f"{alias.name}.py").is_file()]
            modules |= {f"{whole}.{name}" for name in inner} or {whole}
    return modules


def test_the_tree_names_every_room() -> None:
    page = runpy.run_path(str(ROOT / "studies" / "tree.py"))["page"]
    assert page() == (ROOT / "docs" / "reference" / "tree.md").read_text(encoding="utf-8"), (
        "run `python -m studies.tree`"
    )


def test_the_training_path_reads_in_one_sitting() -> None:
    count = lines(*PATH)
    assert count < 800
    assert f"The training path is {count:,} lines" in README, f"the README has to say {count:,} lines"


def test_what_defends_an_update_is_counted() -> None:
    count, head = lines(*UPDATE), lines("head")
    assert count < 2700
    sentence = f"{len(UPDATE)} files, {count:,} lines"
    assert sentence in " ".join(README.split()), f"the README has to say: {sentence}"
    sentence = f"{len(UPDATE)} files, {count:,} lines: `{'`, `'.join(UPDATE)}`"
    assert sentence in " ".join(CONTRIBUTING.split()), f"CONTRIBUTING.md has to say: {sentence}"
    assert f"(`simko/head/`, {head:,} lines)" in " ".join(CONTRIBUTING.split()), f"the head has {head:,} lines"


def test_nothing_of_an_update_is_left_out_of_the_count() -> None:
    rooms = {name for name in ELSEWHERE if "." not in name}
    for name in UPDATE:
        for module in imported(name):
            listed = module.replace(".", "/") in UPDATE or module in ELSEWHERE or module.split(".")[0] in rooms
            assert listed, f"{name}.py imports simko.{module}: count it in UPDATE, or say in ELSEWHERE what it is"


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if re.match(r"https?://", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place) if place else page
        assert target.exists(), link
        assert ROOT in (target.resolve(), *target.resolve().parents), link
        assert not anchor or anchor in slugs(target), link


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)#\s]+)", index))
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if ROOT / "docs" in page.parents}
    assert pages - {"README.md"} <= linked


def test_what_ran_on_a_gpu_is_on_the_first_screen() -> None:
    assert "GPU yet" in "\n".join(README.splitlines()[:40])


def test_the_citation_names_the_paper_and_the_changes_begin_with_the_unreleased() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert [reference["title"] for reference in citation["references"]] == ["SimKO: Simple Pass@K Policy Optimization"]
    changes = re.findall(r"^## \[?([\w.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert changes[0] == "Unreleased"


def test_the_hooks_are_our_own_tools() -> None:
    """Each hook runs what `make lint` and `make types` run, from .venv: nothing is downloaded."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in hooks["repos"]] == ["local"]
    entries = {hook["entry"] for hook in hooks["repos"][0]["hooks"]}
    assert {hook["language"] for hook in hooks["repos"][0]["hooks"]} == {"system"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(VENV_PYTHON)", ".venv/bin/python")
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    types = re.search(r"^types:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert lint is not None
    assert types is not None
    assert entries == {line.strip() for line in (lint[1] + types[1]).splitlines()}


@pytest.fixture
def my_task(tmp_path: Path) -> Path:
    """A folder with the README's `my_task.py`."""
    block = next(b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "# my_task.py" in b)
    assert len([line for line in block.splitlines() if line.strip() and not line.startswith("#")]) <= 10
    (tmp_path / "my_task.py").write_text(block)
    return tmp_path


def test_the_ten_line_environment_works(my_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(my_task)
    from simko.envs import make

    env = make("my_task:my/Double-v0")
    task = env.source.tasks(1, 0)[0]
    assert env.grade(task.gold, task).correct
    assert not env.grade("1", task).correct
    sys.modules.pop("my_task")
