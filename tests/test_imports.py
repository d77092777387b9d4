"""The import graph: what each room may import, read from the source, and what importing simko loads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHORTCUTS = {"envs": "simko.envs", "agents": "simko.agents"}  # folders at the root, and what they import as

HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "accelerate"}


def sources() -> dict[str, Path]:
    """Every module of simko, by the name that it imports as."""
    modules: dict[str, Path] = {}
    for folder in ("simko", *SHORTCUTS):
        for path in sorted((ROOT / folder).rglob("*.py")):
            inside = path.relative_to(ROOT)
            if len(inside.parts) > 1 and inside.parts[:2] in {("simko", name) for name in SHORTCUTS}:
                continue  # the symlinks: each file counts once
            parts = [*SHORTCUTS.get(folder, folder).split("."), *inside.with_suffix("").parts[1:]]
            modules[".".join(parts).removesuffix(".__init__")] = path
    return modules


def imports(tree: ast.AST, module: str, at_import_only: bool = False) -> Iterator[str]:
    """Absolute names that a module imports; with `at_import_only`, not those inside a function or TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                raise AssertionError(f"{module}: relative import; say from where")
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif at_import_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif at_import_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports(ast.Module(node.orelse, []), module, at_import_only)
        else:
            yield from imports(node, module, at_import_only)


SOURCES = sources()


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_modules_are_imported_by_their_installed_name(module: str) -> None:
    """`envs` and `agents` are folders of the checkout; the order between rooms is import-linter's, in pyproject.toml."""
    names = imports(ast.parse(SOURCES[module].read_text(encoding="utf-8")), module)
    assert {name.split(".")[0] for name in names} & set(SHORTCUTS) == set()


@pytest.mark.parametrize("module", sorted(name for name in SOURCES if name.startswith(("simko.envs", "simko.report"))))
def test_environments_and_reports_need_no_torch(module: str) -> None:
    names = imports(ast.parse(SOURCES[module].read_text(encoding="utf-8")), module, at_import_only=True)
    assert {name.split(".")[0] for name in names} & HEAVY == set()


def test_third_party_imports_are_declared() -> None:
    """What simko imports, it asks for: nothing comes along by luck."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    optional = (lines for name, lines in extras.items() if name != "test")
    lines = [*project["dependencies"], *chain.from_iterable(optional)]
    declared = {re.split(r"[<>=!~ ;\[]", line)[0].lower().replace("_", "-") for line in lines}
    owners = {"llama_cpp": ["llama-cpp-python"]} | dict(metadata.packages_distributions())  # seldom installed
    used = {
        name.split(".")[0]
        for module, path in SOURCES.items()
        for name in imports(ast.parse(path.read_text(encoding="utf-8")), module)
    }
    foreign = {name for name in used if name not in sys.stdlib_module_names and name != "simko"}
    foreign -= {"verifiers"}  # only in the user's own interpreter: simko.envs.foreign.taskset_bridge
    missing = {
        name for name in foreign if not {d.lower().replace("_", "-") for d in owners.get(name, [name])} & declared
    }
    assert missing == set()


@pytest.mark.parametrize(
    "statement",
    ["import simko", "import simko.envs", "import simko.cli", "import simko.report", "from simko import types, config"],
)
def test_light_imports(statement: str) -> None:
    code = f"{statement}; import sys; print([m for m in {sorted(HEAVY)} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
