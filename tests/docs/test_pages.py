"""The generated pages are what `python -m studies.pages` writes, and none is left over."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from studies.pages import __main__ as command


@pytest.mark.parametrize("name", command.MODULES)
def test_the_pages_are_what_their_module_writes(name: str) -> None:
    texts = importlib.import_module(f"studies.pages.{name}").pages()
    differ = sorted(path for path in command.stale(texts) if path in texts)
    assert differ == [], "run `python -m studies.pages`"


def test_no_generated_page_is_left_over() -> None:
    assert command.left_over(command.pages()) == [], "run `python -m studies.pages`"


def test_a_page_that_differs_and_one_that_is_left_over_are_found(tmp_path: Path) -> None:
    texts = {"a.md": "# A\n", "deep/b.md": "# B\n"}
    (tmp_path / "a.md").write_text("# Another\n")
    (tmp_path / "c.md").write_text(f"# C\n{command.MARKER}\n")
    (tmp_path / "mine.md").write_text("# Mine\n")
    assert command.stale(texts, tmp_path) == ["a.md", "c.md", "deep/b.md"]
    assert command.write(texts, tmp_path) == ["a.md", "c.md", "deep/b.md"]
    assert command.stale(texts, tmp_path) == []
    assert sorted(path.name for path in tmp_path.rglob("*.md")) == ["a.md", "b.md", "mine.md"]
