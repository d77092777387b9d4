"""docs/llms.txt: the pages with a line each, for programs that read (llmstxt.org).

The order is that of the navigation. The line of a page is its question on the home page, else the page's first sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HOME = "README.md"
NAME = "llms.txt"
OPTIONAL = "Optional"
"""The section that a reader with little room may leave out, as llmstxt.org has it."""
SPARE = ("CHANGELOG.md", "CONTRIBUTING.md", "reference/tree.md")
INTRO = """\
# simko

> {description}. A Python library and a command line for Linux:
> verifiable tasks as Gymnasium environments, a 4-bit LoRA policy, and many training methods. The built-in model `tiny` trains on
> a CPU in minutes.

Links are relative to this file, to Markdown. If you use simko for somebody, read [For coding agents](agents.md) first.
"""


def llms(docs: Path = DOCS, config: Path = ROOT / "mkdocs.yml") -> str:
    """The text, with a section for each part of the navigation. The pages of single methods stand at the end."""
    settings = site(config)
    asked = questions((docs / HOME).read_text(encoding="utf-8"))
    sections: dict[str, list[str]] = {}
    for section, title, path in entries(settings["nav"]):
        spare = path in SPARE or re.fullmatch(r"methods/(?!README).*", path)
        note = asked.get(path) or first_sentence((docs / path).read_text(encoding="utf-8"))
        sections.setdefault(OPTIONAL if spare else section, []).append(f"- [{title}]({path}): {note}")
    last = sections.pop(OPTIONAL, [])
    blocks = [
        f"## {name}\n\n" + "\n".join(lines) + "\n" for name, lines in [*sections.items(), (OPTIONAL, last)] if lines
    ]
    return "\n".join([INTRO.format(description=settings["site_description"]), *blocks])


def pages() -> dict[str, str]:
    """The text by its path below docs/, as `python -m studies.pages` asks for it."""
    return {NAME: llms()}


class _Plain(yaml.SafeLoader):
    """YAML without the Python objects in it, which are None."""


_Plain.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def site(config: Path = ROOT / "mkdocs.yml") -> dict[str, Any]:
    """The settings of the site. No Python is called, whatever the file says."""
    settings: dict[str, Any] = _Plain(config.read_text(encoding="utf-8")).get_single_data()
    return settings


def entries(nav: list[dict[str, Any]], section: str = "") -> Iterator[tuple[str, str, str]]:
    """(section, title, path) of each page of a navigation; a section within one goes by its own name."""
    for entry in nav:
        for title, inner in entry.items():
            if isinstance(inner, str):
                yield section, title, inner
            else:
                yield from entries(inner, title)


def questions(home: str) -> dict[str, str]:
    """The question of each page in the tables of the home page: that of the first row that leads to it."""
    found: dict[str, str] = {}
    for question, page in re.findall(r"^\| (.+?) \| \[[^\]]+\]\(([^)#]+)\) \|$", home, re.MULTILINE):
        found.setdefault(page, question)
    return found


def first_sentence(page: str) -> str:
    """The first sentence of a page's first paragraph, as plain text with code.

    Raises:
        ValueError: the page has no paragraph of prose.
    """
    text = re.sub(r"<!--.*?-->|^---\n.*?\n---$|^(```|~~~).*?^\1$", "", page, flags=re.DOTALL | re.MULTILINE)
    for block in re.split(r"\n\s*\n", text):
        if re.match(r"\s*(#|\||!\[|<|- |\* |\d+\. |:::|!!! |\?\?\? |$)", block):
            continue
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(block.split()))
        plain = re.sub(r"\*\*(.+?)\*\*", r"\1", plain)
        return re.split(r"(?<=[.!?:])\s+(?=[A-Z`])", plain)[0].rstrip(":")
    raise ValueError(f"no paragraph of prose in the page that begins with {page[:40]!r}")
