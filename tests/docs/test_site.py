"""The site: built once, by the command of `make docs`. Its links lead somewhere, and nothing in it comes from the network."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from studies.pages.llms import entries
from studies.pages.llms import site as site_settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HOUSES = ("simko", "envs", "agents")
NOT_SHOWN = {"register_all", "KINDS", "Evidence", "Kind", "describe", "has_preset", "of", "own_parts", "schema"}
"""Public names for our own command line, which no page of the reference shows."""
BUILD = [sys.executable, "-m", "zensical", "build", "--strict"]


@dataclass
class Page(HTMLParser):
    """What the checks need of a page: where it points, what can be pointed at, its first headings and its pictures."""

    path: Path
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    pictures: list[dict[str, str | None]] = field(default_factory=list)
    titles: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {name for name in (given.get("id"), given.get("name")) if name}
        self.titles += tag == "h1"
        if tag == "a" and given.get("href") is not None:
            self.links.append(str(given["href"]))
        elif tag == "img":
            self.pictures.append(given)
        if tag not in ("a", "label"):
            self.loaded += [str(given[key]) for key in ("src", "href", "data", "poster", "srcset") if given.get(key)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a copy of the pages: it is built without a cache, so that every warning is said."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(DOCS, folder / "docs")
    for house in HOUSES:
        (folder / house).symlink_to(ROOT / house)
    done = subprocess.run(BUILD, cwd=folder, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "griffe" not in said, said
    assert "No issues found" in said, said
    return folder / "build" / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """The pages by their file. 404.html is left out: a server shows it at any address, so its links begin at the root."""
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def test_every_page_is_in_the_navigation() -> None:
    config = site_settings()
    listed = [path for _, _, path in entries(config["nav"])]
    assert sorted(listed) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    assert set(config["plugins"][0:1]) | set(config["plugins"][1]) == {"search", "mkdocstrings"}, (
        "see docs/CONTRIBUTING.md"
    )


def test_links_of_the_site_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    dead, inside = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto"):
                continue
            inside += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            ok = site in target.parents and target.is_file() and not parts.scheme and not parts.netloc
            if not ok or (parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors):
                dead.append(f"{path.relative_to(site)}: {link}")
    assert inside > len(pages)
    assert dead == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for address in page.loaded:
            parts = urlsplit(address)
            assert parts.scheme in ("", "data"), (path, address)
            assert not parts.netloc, (path, address)
            if parts.path and not parts.scheme:
                assert not parts.path.startswith("/"), (path, address)
                assert (path.parent / unquote(parts.path)).exists(), (path, address)
    for style in site.rglob("*.css"):
        assert (
            re.findall(r"(?:url\(\s*[\"']?|@import\s+[\"']?)(?:https?:)?//", style.read_text(encoding="utf-8")) == []
        ), style


def test_pictures_say_what_they_show(pages: dict[Path, Page]) -> None:
    seen = 0
    for path, page in pages.items():
        for picture in page.pictures:
            seen += 1
            assert len(str(picture.get("alt") or "")) > 10, (path, picture)
    assert seen >= 4


def test_every_page_has_one_title(pages: dict[Path, Page]) -> None:
    assert {path: page.titles for path, page in pages.items() if page.titles != 1} == {}


def test_the_search_knows_every_page(site: Path, pages: dict[Path, Page]) -> None:
    items = json.loads((site / "search.json").read_text(encoding="utf-8"))["items"]
    found = {(site / item["location"].partition("#")[0] / "index.html").resolve() for item in items}
    assert set(pages) <= found


def test_the_site_has_a_text_for_programs(site: Path) -> None:
    assert (site / "llms.txt").read_text(encoding="utf-8").startswith("# simko\n")


def public(module: Path) -> set[str]:
    """`__all__` of a module, without importing it: some of them load torch."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def test_the_python_api_is_shown(site: Path, pages: dict[Path, Page]) -> None:
    """Every public name of these packages has a place in the reference."""
    anchors = {
        anchor for path, page in pages.items() if site / "reference" / "api" in path.parents for anchor in page.anchors
    }
    shown = {anchor.rpartition(".")[2] for anchor in anchors if anchor.startswith("simko.")}
    for package in ("agents", "envs", "simko/integrations/trl", "simko/report", "simko/algorithms"):
        names = public(ROOT / package / "__init__.py")
        assert names, package
        assert names - NOT_SHOWN <= shown, package
