"""docs/results/gpu/uncovered.md lists every function that does something else on CUDA, and the tests that it names are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results" / "gpu" / "uncovered.md"
PLACES = ["agents/**/*.py", "simko/head/*.py", "simko/memory/*.py", "simko/device.py", "simko/run/rescue.py"]
ROW = re.compile(
    r"^\| `(?P<file>[\w/]+\.py)` `(?P<function>[\w.]+)` \| (?P<test>`[\w/]+\.py`|nothing) \|", re.MULTILINE
)


def functions(node: ast.AST, prefix: str = "") -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef) and any(map(names_cuda, ast.walk(child))):
            yield prefix + child.name


def names_cuda(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in ("cuda", "is_cuda")
    return isinstance(node, ast.Constant) and node.value == "cuda"


def test_the_page_lists_each_function_with_a_branch_for_cuda() -> None:
    files = {path for pattern in PLACES for path in ROOT.glob(pattern)}
    code = {
        (path.relative_to(ROOT).as_posix(), function)
        for path in files
        for function in functions(ast.parse(path.read_text(encoding="utf-8")))
    }
    rows = {(row["file"], row["function"]) for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))}
    assert code == rows, f"docs/results/gpu/uncovered.md: missing {sorted(code - rows)}, gone {sorted(rows - code)}"


def test_each_test_that_the_page_names_is_there_and_speaks_of_cuda() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = {row["test"].strip("`") for row in ROW.finditer(text)} - {"nothing"}
    named |= set(re.findall(r"`(?:pytest -m slow )?(tests/[\w/]+\.py)`", text))
    assert len(named) >= 10
    for test in named:
        assert "cuda" in (ROOT / test).read_text(encoding="utf-8").lower(), test
