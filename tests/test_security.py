"""Nothing in the tree executes what a model, a data set or a checkpoint says.

The source is read as a syntax tree: a mention in a text or a comment is no breach, an alias is one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("simko", "envs", "agents", "recipes", "benchmarks", "studies", "examples")
BANNED_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "code", "codeop"}
BANNED_NAMES = {"eval", "exec", "compile", "__import__", "sympify", "S", "parse_expr", "parse_latex", "literal_eval"}
BANNED_NAMES -= {"S", "literal_eval"}  # `S` is a common letter; `ast.literal_eval` builds literals alone
BANNED_ATTRIBUTES = {
    ("torch", "load"), ("torch.serialization", "load"), ("numpy", "fromregex"), ("yaml", "load"), ("yaml", "full_load"),
    ("yaml", "unsafe_load"), ("os", "system"), ("os", "popen"), ("pandas", "read_pickle"), ("pandas", "eval"),
}  # fmt: skip
EXACT_KEYWORDS = {"trust_remote_code": True, "allow_pickle": True, "shell": True, "weights_only": False}
IN_A_SANDBOX = "envs/code/runner.py"
"""The one script whose work it is to run a model's program: in a process of its own, under a sandbox."""


def files() -> list[Path]:
    """Every Python file that is not a test, each once (the symlinks in simko/ lead to the same)."""
    paths = {path.resolve() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    return sorted({*paths, ROOT / "cli.py"})


def breaches(text: str) -> list[str]:
    """The forbidden constructs in a source, each with its line."""
    tree = ast.parse(text)
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    round_trips = {id(call.func) for call in ast.walk(tree) if _is_own_round_trip(call, aliases)}
    return [f"line {line}: {what}" for line, what in sorted(_forbidden(tree, aliases, round_trips))]


def _forbidden(tree: ast.AST, aliases: dict[str, str], round_trips: set[int]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in BANNED_MODULES:
            yield node.lineno, f"from {node.module} import"
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name in BANNED_NAMES or (node.module, alias.name) in BANNED_ATTRIBUTES:
                    yield node.lineno, f"from {node.module} import {alias.name}"
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in BANNED_NAMES:
            yield node.lineno, node.id
        if isinstance(node, ast.Attribute):
            yield from ((node.lineno, what) for what in _attribute(node, aliases, round_trips))
        if isinstance(node, ast.keyword) and node.arg in EXACT_KEYWORDS:
            yield from _setting(node.arg, node.value)
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in EXACT_KEYWORDS:
                    yield from _setting(key.value, value)


def _setting(name: str, value: ast.expr) -> Iterator[tuple[int, str]]:
    """A dangerous setting that is on, or not plainly off."""
    if not isinstance(value, ast.Constant) or value.value is EXACT_KEYWORDS[name]:
        yield value.lineno, f"{name}={ast.unparse(value)}"


def _attribute(node: ast.Attribute, aliases: dict[str, str], round_trips: set[int]) -> Iterator[str]:
    name = ast.unparse(node)
    top, _, rest = name.partition(".")
    full = f"{aliases.get(top, top)}.{rest}"
    module, _, attribute = full.rpartition(".")
    if module in BANNED_MODULES:
        if attribute != "dumps" and id(node) not in round_trips:
            yield full
    elif (module, attribute) in BANNED_ATTRIBUTES or (attribute in BANNED_NAMES and not _is_method(module, attribute)):
        yield full


def _is_method(module: str, attribute: str) -> bool:
    """`model.eval()` and `re.compile()` are neither the builtin `eval` nor the builtin `compile`."""
    return attribute in ("eval", "exec", "compile") and module not in ("builtins", "sympy", "pandas", "numexpr")


def _is_own_round_trip(node: ast.AST, aliases: dict[str, str]) -> bool:
    """`pickle.loads(pickle.dumps(x))`: an object of this process through bytes that it made itself."""
    if not isinstance(node, ast.Call) or len(node.args) != 1 or not isinstance(node.args[0], ast.Call):
        return False
    names = ast.unparse(node.func), ast.unparse(node.args[0].func)
    return names == ("pickle.loads", "pickle.dumps") and aliases.get("pickle") == "pickle"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_executes_text(path: Path) -> None:
    found = breaches(path.read_text(encoding="utf-8"))
    if path == ROOT / IN_A_SANDBOX:
        assert {what.split(": ")[1] for what in found} == {"exec", "eval", "compile"}
    else:
        assert found == []


def test_nothing_imports_what_runs_programs() -> None:
    for path in files():
        assert "code.runner" not in path.read_text(encoding="utf-8"), path
        assert not re.search(
            r"from simko\.envs\.code import [^\n]*\b(runner|supervise)\b", path.read_text(encoding="utf-8")
        ), path


def test_the_scan_covers_the_tree() -> None:
    names = {str(path.relative_to(ROOT)) for path in files()}
    assert {"cli.py", "simko/head/sweep.py", "envs/verifiers/expression.py", "agents/engine/local.py"} <= names
    assert not any(name.startswith(("simko/envs", "simko/agents", "simko/recipes", "tests")) for name in names)


@pytest.mark.parametrize(
    "text",
    [
        "eval(answer)",
        "run = exec",
        "import builtins\nbuiltins.eval(x)",
        "from sympy import sympify",
        "import sympy as s\ns.sympify(x)",
        "import sympy\nsympy.parsing.sympy_parser.parse_expr(x)",
        "from sympy.parsing.sympy_parser import parse_expr as p",
        "import pickle\npickle.load(f)",
        "import pickle as p\np.loads(b)",
        "import pickle\npickle.loads(data)",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "from torch import load",
        "import torch as t\nt.load('x', weights_only=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=flag)",
        "options = {'trust_remote_code': True}",
        "np.load(path, allow_pickle=True)",
        "import yaml\nyaml.load(text, Loader)",
        "subprocess.run(command, shell=True)",
        "import os\nos.system(command)",
        "__import__(name)",
        "compile(text, '', 'exec')",
    ],
)
def test_a_breach_is_seen(text: str) -> None:
    assert breaches(text) != []


@pytest.mark.parametrize(
    "text",
    [
        "model.eval()",
        "import re\nre.compile('x')",
        "'never eval(x)'  # eval(x)",
        "AutoTokenizer.from_pretrained(name, trust_remote_code=False)",
        "import pickle\nassert pickle.loads(pickle.dumps(env))",
        "import yaml\nyaml.safe_load(text)",
        "np.load(path, allow_pickle=False)",
        "from safetensors.torch import load_file",
    ],
)
def test_what_is_harmless_passes(text: str) -> None:
    assert breaches(text) == []
