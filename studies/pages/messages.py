"""Every line that simko may say to a user when something is wrong, read out of the source.

A message is the text given to one of `CALLS`. What a run fills in stands as `…`. Text that is chosen (`a if x else b`), that a
local name holds, or that a function of the same module returns is followed, so that one call may give several messages.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HOUSES = ("simko", "envs", "agents", "recipes")
GAP = "…"
CALLS = {
    "UserError": "error", "TooFewTasksError": "error", "NothingLearnedError": "error", "PeerError": "error",
    "BadParameter": "error",
    "refuse": "row", "ForeignError": "reason", "BrokenError": "reason", "SandboxError": "reason", "NoSandboxError": "reason",
    "UnclearError": "reason",
    "note": "note", "note_once": "note", "tell": "note", "fail": "error", "_refuse": "error",
}  # fmt: skip
"""What is called, and the kind of line that it gives. A reason is a part of an error, or why an answer has no grade."""
REASONS = ("envs/data/", "envs/code/checks.py", "envs/foreign/taskset_bridge.py", "agents/gguf_kinds.py")
"""Where the text of a ValueError becomes a part of what a user reads."""
MOST = 4  # messages of one call that has several choices in it; beyond, one choice at a time is shown
DEPTH = 6  # names and functions that are followed, one inside the other


@dataclass(frozen=True)
class Message:
    """A line with its gaps, its kind, and the file and line that say it."""

    text: str
    kind: str
    file: str
    line: int


@cache
def messages(root: Path = ROOT) -> tuple[Message, ...]:
    """Every message, in the order of files and lines. A text that two calls give is there twice."""
    found: list[Message] = []
    for path in files(root):
        name = path.relative_to(root).as_posix()
        found += list(_of_module(ast.parse(path.read_text(encoding="utf-8")), name))
    return tuple(found)


def files(root: Path = ROOT) -> Iterator[Path]:
    """The modules of the product, each once: three folders of simko/ are links."""
    for house in HOUSES:
        for path in sorted((root / house).rglob("*.py")):
            if not any(parent.is_symlink() for parent in path.relative_to(root).parents for parent in [root / parent]):
                yield path


def _of_module(module: ast.Module, file: str) -> Iterator[Message]:
    scopes = _Scopes(module)
    for call, inside in scopes.calls():
        kind = _kind(call, file)
        if kind and call.args:
            texts = dict.fromkeys(_tidy(text) for text in scopes.texts(call.args[0], inside))
            for text in texts:
                if len(re.findall(r"[A-Za-z]{2,}", text)) > 1:
                    yield Message(text, kind, file, call.lineno)


def _kind(call: ast.Call, file: str) -> str | None:
    match call.func:
        case ast.Name(id=name):
            if name == "ValueError":
                return "reason" if file.startswith(REASONS) else None
            return CALLS.get(name)
        case ast.Attribute(value=owner, attr="refuse"):
            return "row" if "sieve" in ast.unparse(owner) else None
        case ast.Attribute(attr="BadParameter"):
            return "error"
    return None


def _tidy(text: str) -> str:
    return re.sub(rf"{GAP}(?:{GAP})+", GAP, " ".join(text.split())) if "\n" not in text else text


class _Scopes:
    """The names of a module: its constants, its functions, and what is assigned in each function."""

    def __init__(self, module: ast.Module) -> None:
        self._module = module
        self._constants = _assignments(module.body, inside=False)
        nodes = (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef))
        self._functions = {node.name: node for node in nodes}

    def calls(self) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
        """Every call, with the innermost function around it."""
        yield from self._below(self._module, None)

    def _below(
        self, node: ast.AST, inside: ast.FunctionDef | None
    ) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                yield child, inside
            yield from self._below(child, child if isinstance(child, ast.FunctionDef) else inside)

    def texts(self, node: ast.expr | None, inside: ast.FunctionDef | None, depth: int = 0) -> list[str]:
        """What this expression may be, with gaps."""
        if depth > DEPTH:
            return [GAP]
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return self._all(parts, inside, depth)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.texts(value, inside, depth)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._all([left, right], inside, depth)
            case ast.IfExp(body=body, orelse=other):
                return self._any([body, other], inside, depth)
            case ast.BoolOp(op=ast.Or(), values=values):
                return self._any(values, inside, depth)
            case ast.Name(id=name):
                local = _assignments(inside.body).get(name, []) if inside else []
                known = local or ([] if inside and name in _parameters(inside) else self._constants.get(name, []))
                blank = all(
                    isinstance(value, ast.Constant) and value.value == "" for value in known
                )  # filled elsewhere
                return [GAP] if blank else self._any(known, inside, depth)
            case ast.Call(func=ast.Name(id="nearest")):
                return ["; did you mean '…'?"]
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self"), attr=name)):
                return self._of_function(name, depth)
        return [GAP]

    def _of_function(self, name: str, depth: int) -> list[str]:
        function = self._functions.get(name)
        if function is None:
            return [GAP]
        values = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
        return self._any([value for value in values if value is not None], function, depth)

    def _any(self, nodes: Iterable[ast.expr], inside: ast.FunctionDef | None, depth: int) -> list[str]:
        texts = [text for node in nodes for text in self.texts(node, inside, depth + 1)]
        return list(dict.fromkeys(texts)) or [GAP]

    def _all(self, nodes: Iterable[ast.expr], inside: ast.FunctionDef | None, depth: int) -> list[str]:
        choices = [self.texts(node, inside, depth + 1) for node in nodes]
        if math.prod(map(len, choices)) <= MOST:
            return ["".join(parts) for parts in itertools.product(*choices)]
        plain = [texts[0] if len(texts) == 1 else GAP for texts in choices]
        several = [place for place, texts in enumerate(choices) if len(texts) > 1]
        return ["".join([*plain[:k], text, *plain[k + 1 :]]) for k in several for text in choices[k]]


def _parameters(function: ast.FunctionDef) -> set[str]:
    return {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}


def _assignments(body: Iterable[ast.stmt], inside: bool = True) -> dict[str, list[ast.expr]]:
    """What each name is set to in these statements, and `inside` of them."""
    found: dict[str, list[ast.expr]] = {}
    for statement in body:
        for node in ast.walk(statement) if inside else [statement]:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    found.setdefault(name, []).append(value)
                case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                    for target, value in zip(names, values, strict=False):
                        if isinstance(target, ast.Name):
                            found.setdefault(target.id, []).append(value)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    found.setdefault(name, []).append(value)
    return found
