"""`python -m studies.pages` writes the generated pages of docs/; `--check` names those that are not up to date, and exits 1.

A module of `MODULES` has one function, `pages()`: the text of each of its pages, by its path below docs/.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from studies.pages.tables import MARKER

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
MODULES = (
    "cli",
    "settings",
    "methods",
    "recipes",
    "errors",
    "llms",
)
"""In the order in which they are written: one may read the pages of those before it."""


def of_module(name: str) -> dict[str, str]:
    """The text of each page of a module, by its path below docs/."""
    texts: dict[str, str] = importlib.import_module(f"studies.pages.{name}").pages()
    return texts


def pages() -> dict[str, str]:
    """The text of each generated page, by its path below docs/."""
    texts: dict[str, str] = {}
    for name in MODULES:
        for path, text in of_module(name).items():
            assert path not in texts, f"two modules write {path}"
            texts[path] = text
    return texts


def stale(texts: dict[str, str], docs: Path = DOCS) -> list[str]:
    """Pages below `docs` that differ from these texts, and generated ones that are not among them."""
    differ = [path for path, text in texts.items() if not _is(docs / path, text)]
    return sorted({*differ, *left_over(texts, docs)})


def left_over(texts: dict[str, str], docs: Path = DOCS) -> list[str]:
    """Pages below `docs` with the marker of a generated page that are not among these texts."""
    found = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md") if _is_generated(path)}
    return sorted(found - set(texts))


def write(texts: dict[str, str], docs: Path = DOCS) -> list[str]:
    """Write those of these pages that differ, and return their paths."""
    changed = [path for path, text in texts.items() if not _is(docs / path, text)]
    for path in changed:
        (docs / path).parent.mkdir(parents=True, exist_ok=True)
        (docs / path).write_text(texts[path], encoding="utf-8")
    return changed


def write_all(docs: Path = DOCS) -> list[str]:
    """Write the pages of one module after the other, delete those that are left over, and return the paths that changed."""
    changed = [path for name in MODULES for path in write(of_module(name), docs)]
    for path in (gone := left_over(pages(), docs)):
        (docs / path).unlink()
    return [*changed, *gone]


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _is_generated(path: Path) -> bool:
    return MARKER in path.read_text(encoding="utf-8").splitlines()[:3]


def main() -> int:
    """Write the pages, or check them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m studies.pages", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is not up to date")
    options = parser.parse_args()
    changed = stale(pages()) if options.check else write_all()
    for path in changed:
        print(f"docs/{path}" + (": not up to date; run `python -m studies.pages`" if options.check else ""))
    return int(options.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
