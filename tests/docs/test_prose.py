"""The pages are spelled right and read easily: short sentences, plain words, one way to spell."""

from __future__ import annotations

import re
from pathlib import Path

import codespell_lib
import prose
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GENERATED = "<!-- written by python -m "


def written_by_hand(page: Path) -> bool:
    """False for the list of changes, and for pages that a command writes from docstrings."""
    head = page.read_text(encoding="utf-8").splitlines()[:4]
    return page.name != "CHANGELOG.md" and not any(line.startswith(GENERATED) for line in head)


PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if written_by_hand(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_reads_easily(page: Path) -> None:
    faults = prose.faults(page, page.relative_to(ROOT).as_posix())
    assert faults == [], "\n".join(["a sentence to mend (page:line: what: the sentence):", *faults])


def test_spelling(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What `make lint` runs, in this process. Words that are right go to tests/docs/words.txt."""
    monkeypatch.chdir(ROOT)
    (command,) = re.findall(
        r"^\t\.venv/bin/codespell (.*)$", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {"README.md", "docs", "simko", "envs", "agents", "recipes"} <= set(command.split())
    wrong = codespell_lib.main(*command.split())
    assert wrong == 0, capsys.readouterr().out


def test_each_word_of_the_vocabulary_is_needed() -> None:
    """A word that nobody writes any more would hide a misspelling of the same letters."""
    words = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()
    assert words == sorted(set(words))
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    (entry,) = [hook["entry"] for hook in hooks if "codespell" in hook["entry"]]
    rooms = [ROOT / name for name in entry.split()[1:] if not name.startswith("-")]
    files = [path for room in rooms for path in ([room] if room.is_file() else room.rglob("*")) if path.is_file()]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files if path.suffix in (".py", ".md", ".yaml"))
    assert [word for word in words if not re.search(rf"\b{word}\b", text, re.IGNORECASE)] == []


FAULTY = """# A heading may be as long as it likes, and say simply, just and color, for it is not prose at all

Some color here. Some `color` there. MATH and math-verify are names.

This is
simply a *robust* thing. e.g. nothing.

| just | a table |
|---|---|
| simply | of which |

```python
just = "simply" + "color"
```

- {long}
  And a short one.
"""


def test_the_lint_finds_what_it_is_for(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(FAULTY.replace("{long}", "word " * 20 + "`a span. Of code is one` " + "word " * 11 + "and."))
    assert [fault.partition(": ")[::2] for fault in prose.faults(page, "page.md")] == [
        ("page.md:3", "'color' is written 'colour' here: Some color here."),
        ("page.md:5", "say it without 'simply': This is simply a robust thing."),
        ("page.md:5", "say it without 'robust': This is simply a robust thing."),
        ("page.md:16", f"33 words, at most 32: {'word ' * 20}a span. Of code is one {'word ' * 11}and."),
        ("page.md:16", "186 characters, at most 130"),
    ]


def test_the_lint_knows_where_a_sentence_ends() -> None:
    text = "He said so (e.g. here). simko did 0.5 of it, and Zhou et al. the rest!\nWhat?  See\n[this](a.md). End"
    assert [(sentence.line, sentence.text) for sentence in prose.sentences(f"\n{text}\n")] == [
        (2, "He said so (e.g. here)."),
        (2, "simko did 0.5 of it, and Zhou et al. the rest!"),
        (3, "What?"),
        (3, "See this."),
        (4, "End"),
    ]


def test_a_row_of_links_is_no_sentence() -> None:
    link = "[two words](a.md), "
    assert prose.sentences(f"All of these: {link * 9}") == []
    assert len(prose.sentences(f"Some of these: {link * 8}")) == 1


def test_a_page_of_long_sentences_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("\n\n".join(["word " * 17 + "end."] * 3 + ["Short."] * 2) + "\n \n")
    assert prose.faults(page, "p") == [
        "p: the median sentence has 18 words, at most 17: split the long ones",
        "p:10: blanks at the end of the line",
    ]
