"""The steps of a release: what each refuses, on small trees; `make release-check` takes them on this one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from studies.release import __main__ as release
from studies.release.installed import lowest
from studies.release.tree import HOUSES, changelog, one_version, same_content
from studies.release.work import ROOT, FailedError, SkippedError, Work

CHANGES = (
    "# Changelog\n\n## Unreleased\n\n## 1.2.0 - 2026-01-31\n\n- New.\n- Newer.\n\n## 1.1.0 - 2025-01-01\n\n- Old.\n"
)


def work(
    root: Path,
    version: str = "1.2.0",
    cited: str = "1.2.0",
    project: str = 'dynamic = ["version"]',
    changes: str = CHANGES,
) -> Work:
    (root / "simko").mkdir()
    (root / "simko" / "__init__.py").write_text(f'__version__ = "{version}"\n')
    (root / "CITATION.cff").write_text(f"cff-version: 1.2.0\nversion: {cited}\n")
    (root / "CHANGELOG.md").write_text(changes)
    (root / "pyproject.toml").write_text(f"[project]\n{project}\n")
    return Work(root / "work", root=root)


def test_a_tree_that_is_ready(tmp_path: Path) -> None:
    ready = work(tmp_path)
    assert one_version(ready) == "1.2.0"
    assert changelog(ready) == "2 lines for 1.2.0 - 2026-01-31"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cited": "1.1.0"}, "CITATION.cff says version"),
        ({"version": "1.2", "cited": "1.2"}, "not like 1.2.3"),
        ({"project": 'version = "1.2.0"'}, "a version of its own"),
    ],
)
def test_versions_that_differ(tmp_path: Path, changed: dict[str, str], message: str) -> None:
    with pytest.raises(FailedError, match=message):
        one_version(work(tmp_path, **changed))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (CHANGES.replace("## Unreleased\n\n", ""), "must begin with"),
        (CHANGES.replace("1.2.0", "1.3.0"), "has no `## 1.2.0"),
        (
            CHANGES.replace("## Unreleased\n", "## Unreleased\n\n- Later.\n"),
            "1 lines of CHANGELOG.md are under Unreleased",
        ),
        (CHANGES.replace("- New.\n- Newer.\n", ""), "says nothing under"),
    ],
)
def test_a_changelog_that_is_not_ready(tmp_path: Path, changes: str, message: str) -> None:
    with pytest.raises(FailedError, match=message):
        changelog(work(tmp_path, changes=changes))


def test_every_folder_that_becomes_a_part_of_the_wheel_is_compared_with_it() -> None:
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    assert {f"{folder}/": f"{name.replace('.', '/')}/" for name, folder in folders.items()} == HOUSES


def test_the_oldest_dependencies() -> None:
    assert lowest(["numpy>=2.0", "torch>=2.10", "transformers>=5.0,<6"]) == ["numpy==2.0.*", "transformers==5.0.*"]


def test_each_step_is_a_line_and_a_failure_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Work) -> str:
        raise FailedError("it is broken;\nmend it")

    lines: list[str] = []
    monkeypatch.setitem(release.STEPS, "twine", fails)
    with pytest.raises(SkippedError, match="run the step build first"):
        same_content(Work(tmp_path))
    assert release.check(Work(tmp_path), ["version", "twine", "content"], lines.append) == 1
    assert [line.split()[:2] for line in lines] == [["version", "ok"], ["twine", "failed"], ["content", "skipped"]]
    assert "it is broken; mend it (" in lines[1]
