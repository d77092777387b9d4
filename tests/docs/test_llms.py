"""docs/llms.txt is what its module writes, and leads a program to every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from studies.pages.llms import DOCS, first_sentence, llms

TEXT = (DOCS / "llms.txt").read_text(encoding="utf-8")


def test_the_text_is_what_its_module_writes() -> None:
    assert llms() == TEXT, "run `python -m studies.pages`"


def test_it_has_the_shape_of_llmstxt() -> None:
    """One title, a summary in a quotation, then sections of links with a note each."""
    assert re.findall(r"^# .*", TEXT, re.MULTILINE) == ["# simko"]
    assert TEXT.splitlines()[2].startswith("> ")
    after = TEXT[TEXT.index("\n## ") :]
    for line in filter(None, after.splitlines()):
        assert re.fullmatch(r"## [\w' ]+|- \[[^\]]+\]\([\w./]+\): \S.*[^:]", line), line
    assert re.findall(r"^## (.*)", TEXT, re.MULTILINE)[-1] == "Optional"


def test_it_leads_to_every_page_once() -> None:
    links = re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", TEXT, re.MULTILINE)
    assert sorted(links) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    assert links.index("start.md") < links.index("methods/simko.md")


def test_only_pages_of_the_navigation_are_in_it(tmp_path: Path) -> None:
    (tmp_path / "mkdocs.yml").write_text(
        "site_description: Such\nnav: [{A: [{One: one.md}, {B: [{Two: two.md}]}]}, {C: [{M: methods/m.md}]}]\n"
    )
    (tmp_path / "methods").mkdir()
    (tmp_path / "README.md").write_text("# Home\n\n| question | page |\n|---|---|\n| What is two? | [Two](two.md) |\n")
    for name in ("one", "two", "methods/m"):
        (tmp_path / f"{name}.md").write_text(f"# {name}\n\nThis is {name}. It goes on.\n")
    text = llms(tmp_path, tmp_path / "mkdocs.yml")
    assert text.endswith(
        "\n## A\n\n- [One](one.md): This is one.\n\n## B\n\n- [Two](two.md): What is two?\n"
        "\n## Optional\n\n- [M](methods/m.md): This is methods/m.\n"
    )
    assert "> Such." in text


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("# T\n<!-- written by a command -->\n\nIt is [so](a.md). And on.\n", "It is so."),
        ("# T\n\n![a plot](p.png)\n\n| a |\n|---|\n\n```bash\n# no\n\nText. No.\n```\n\n**Two** lines\nof `code.py` here.\n\nX.",
         "Two lines of `code.py` here."),
        ("# T\n\nThese are taken:\n\n- one\n", "These are taken"),
        ("# T\n\nVersion 1.5 is e.g. this. Then `x` more.", "Version 1.5 is e.g. this."),
    ],
)  # fmt: skip
def test_the_first_sentence(page: str, sentence: str) -> None:
    assert first_sentence(page) == sentence


def test_a_page_without_prose_is_named() -> None:
    with pytest.raises(ValueError, match="# Empty"):
        first_sentence("# Empty\n\n| only |\n|---|\n| a table |\n")
