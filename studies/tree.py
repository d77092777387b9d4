"""docs/tree.md, from the first sentence of each module: `python -m studies.tree` writes it."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("simko", "envs", "agents", "studies", "benchmarks")
WIDTH = 120


def clause(path: Path) -> str:
    """The first sentence of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"[.;](?: |$)", first)[0].replace("`", "")


def tree(root: Path = ROOT) -> str:
    """One line a file, folders first."""
    lines = ["cli.py".ljust(40) + clause(root / "cli.py")]
    for folder in FOLDERS:
        files = sorted((root / folder).rglob("*.py"))
        files = [path for path in files if not any(part.is_symlink() for part in [path, *path.parents])]
        for path in files:
            name = str(path.relative_to(root))
            lines.append(textwrap.shorten(clause(path), WIDTH - 40, placeholder=" ..."))
            lines[-1] = f"{name:<39} {lines[-1]}"
    return "\n".join(lines)


def page(root: Path = ROOT) -> str:
    """docs/tree.md as it should be."""
    return f"# The tree, file by file\n\nWritten by `python -m studies.tree`.\n\n```\n{tree(root)}\n```\n"


def main() -> None:
    """Write docs/tree.md."""
    (ROOT / "docs" / "tree.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
