"""docs/reference/tree.md, one line a room, from the docstrings: `python -m studies.tree` writes it."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOUSES = ("simko", "envs", "agents")
PLAIN = {
    "examples": "Programs to start from. A test runs each of them",
    "recipes": "Settings to start from, for simko train --recipe, each with what it gives and takes",
    "notebooks": "Two notebooks to begin with, with what they print; a test runs them, small",
    "tests": "They mirror the files. tests/faults breaks whole runs on purpose",
}
"""Folders that are no packages, so that no docstring says what they are."""
NAME = 28  # columns of the names
WIDTH = 120


def sentence(path: Path) -> str:
    """The first sentence of a module's docstring, without its full stop and backticks."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"\.(?: |$)", first)[0].replace("`", "")


def rooms(house: Path) -> list[tuple[str, str]]:
    """(name, sentence) of a folder, of the modules in it, then of each folder below it that is a package."""
    lines = [(f"{house.name}/", sentence(house / "__init__.py"))]
    modules = sorted(path for path in house.glob("*.py") if not path.name.startswith("__"))
    lines += [(f"  {path.name}", sentence(path)) for path in modules]
    for init in sorted(house.rglob("__init__.py")):
        folder = init.parent.relative_to(house)
        linked = any((house / part).is_symlink() for part in [folder, *folder.parents])
        if folder.parts and not linked:
            lines.append((f"  {folder.as_posix()}/", sentence(init)))
    return lines


def tree(root: Path = ROOT) -> str:
    """One line a room. Only the text is wrapped, never cut."""
    lines = [("cli.py", sentence(root / "cli.py"))]
    for house in HOUSES:
        lines += [("", ""), *rooms(root / house)]
    lines += [("", "")]
    for folder in ("benchmarks", "studies"):
        lines.append((f"{folder}/", sentence(root / folder / "__init__.py")))
    lines += [(f"{folder}/", text) for folder, text in PLAIN.items()]
    return "\n".join(_line(name, text) for name, text in lines)


def _line(name: str, text: str) -> str:
    first, rest = name.ljust(NAME), " " * NAME
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest) if text else name


def page(root: Path = ROOT) -> str:
    """docs/reference/tree.md as it should be."""
    intro = (
        "Written by `python -m studies.tree` from the docstrings.\n"
        "[CONTRIBUTING.md](../CONTRIBUTING.md) says which room may import which."
    )
    return f"# The tree, one line a room\n\n{intro}\n\n```text\n{tree(root)}\n```\n"


def main() -> None:
    """Write docs/reference/tree.md."""
    (ROOT / "docs" / "reference" / "tree.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
