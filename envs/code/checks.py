"""Tests taken apart: what runs inside the sandbox, and what is compared outside. `plan(gold)` makes both from a gold answer.

A gold answer of a code task is JSON text of one of three forms:
  - `{"tests": ..., "setup": ..., "entry": ..., "prompt": ...}`: Python source of asserts, or of HumanEval's `check(candidate)`;
  - `{"cases": [[input, output], ...]}`: texts for stdin, and what must come out of stdout;
  - `{"function": ..., "calls": [[arguments, value], ...]}`: arguments and values as JSON.

Expected values stay outside. `assert f(1) == 2` runs `f(1)` inside, and `== 2` is worked out here on the value that came out
(`outside`). What cannot be split so, such as a loop with an assert in it, runs inside as it is: a *weaker* check.
"""

from __future__ import annotations

import ast
import builtins
import json
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from typing import Literal as OneOf

from simko.envs.code.outside import Expression, Hole, Node, Splitter, is_pinned, literal
from simko.envs.code.outside import Literal as Fixed

Kind = OneOf["do", "value", "assert"]
Step = tuple[Kind, str]

MAX_TESTS = 200_000  # characters of the tests of one task
MAX_NESTING = 90  # of brackets and blocks: what Python's parser takes, and no recursion here is deeper
MAX_CHECKS = 2_000
CANDIDATE = "candidate"
_OPENING, _CLOSING = "([{", ")]}"
_BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class Check:
    """One test. `steps` are the steps whose values it needs; `expression` is None where it runs inside as a whole."""

    text: str
    steps: tuple[int, ...]
    expression: Expression | None
    weaker: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs inside (`steps`, or one run for each of `inputs`), and what is said about the results."""

    steps: tuple[Step, ...] = ()
    checks: tuple[Check, ...] = ()
    inputs: tuple[str, ...] | None = None
    outputs: tuple[str, ...] = ()
    entry: str | None = None
    name: str = CANDIDATE
    """What the tests call the entry."""
    prompt: str = ""
    """The beginning of the program that an answer may leave out."""
    values_as_json: bool = False
    """Whether a tuple counts as a list."""

    @property
    def total(self) -> int:
        """How many tests there are."""
        return len(self.checks) or len(self.outputs)

    @property
    def weaker(self) -> int:
        """How many of them run inside as a whole."""
        return sum(check.weaker for check in self.checks)


@lru_cache(maxsize=4096)
def plan(gold: str) -> Plan:
    """The plan of a gold answer. Raises `ValueError` that says what is wrong with it."""
    about = json.loads(gold)
    if not isinstance(about, dict):
        raise ValueError("the tests are no object")
    if "cases" in about:
        inputs, outputs = zip(*about["cases"], strict=True) if about["cases"] else ((), ())
        made = Plan(inputs=tuple(inputs), outputs=tuple(outputs))
    elif "calls" in about:
        made = _calls(about["function"], about["calls"])
    else:
        made = _asserts(about["tests"], about)
    if not made.total:
        raise ValueError("there is no test in it")
    _few(made.total)
    return made


def _few(count: int) -> None:
    if count > MAX_CHECKS:
        raise ValueError(f"there are {count} tests; at most {MAX_CHECKS}")


def _calls(function: str, calls: Sequence[Any]) -> Plan:
    if not isinstance(function, str) or not function.isidentifier():
        raise ValueError(f"the function is {function!r:.40}; give its name")
    steps: list[Step] = []
    checks = []
    for arguments, value in calls:
        if not isinstance(arguments, list):
            raise ValueError(f"the arguments are {arguments!r:.40}; give a list")
        source = f"{CANDIDATE}({', '.join(map(_source, arguments))})"
        expression = Node("Compare", operator.eq, (Hole(0, True), Fixed(value)))
        checks.append(Check(f"{source} == {value!r:.60}", (len(steps),), expression, False))
        steps.append(("value", source))
    return Plan(tuple(steps), tuple(checks), entry=function, values_as_json=True)


def _source(value: Any) -> str:
    """A value of JSON as Python source."""
    if isinstance(value, list):
        return f"[{', '.join(map(_source, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_source(key)}: {_source(item)}" for key, item in value.items()) + "}"
    return f"float('{value}')" if isinstance(value, float) and not math.isfinite(value) else repr(value)


def parse(source: str) -> list[ast.stmt]:
    """The statements of a test. Raises `ValueError` with the reason."""
    if len(source) > MAX_TESTS:
        raise ValueError(f"the tests have {len(source)} characters; at most {MAX_TESTS}")
    depth = 0
    for character in source:  # brackets in texts count too: that errs on the safe side
        depth += character in _OPENING
        depth = max(0, depth - (character in _CLOSING))
        if depth > MAX_NESTING:
            raise ValueError(f"the tests nest deeper than {MAX_NESTING} brackets")
    try:
        return ast.parse(source.replace("\r\n", "\n")).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise ValueError(f"the tests are no Python{where} ({str(error)[:60]})") from error


def _asserts(tests: str, about: dict[str, Any]) -> Plan:
    entry: str | None = about.get("entry")
    before = parse(about.get("setup") or "")
    top = parse(tests)
    check = next((node for node in top if isinstance(node, ast.FunctionDef) and node.name == "check"), None)
    name = CANDIDATE
    if check is not None:
        if len(check.args.args) != 1 or entry is None:
            raise ValueError("check() takes one argument, the function that 'entry_point' names")
        name = check.args.args[0].arg
        calls = [node for node in top if _is_call_of(node, "check")]
        before += [node for node in top if node is not check and node not in calls and not _is_metadata(node)]
        top = check.body
    _few(len(top))
    apart = _Apart(before, top, frozenset(about.get("names") or ()))
    apart.run()
    return Plan(tuple(apart.steps), tuple(apart.checks), entry=entry, name=name, prompt=about.get("prompt") or "")


class _Apart:
    """Takes the statements of one test apart, in their order. `own` are names of the program, which may be those of builtins."""

    def __init__(self, before: list[ast.stmt], tests: list[ast.stmt], own: frozenset[str]) -> None:
        self.before, self.tests = before, tests
        self.foreign = (_BUILTINS | frozenset(_bound([*before, *tests]))) - own
        self.literals: dict[str, Any] = {}
        self.steps: list[Step] = []
        self.checks: list[Check] = []
        self.waiting: dict[str, str] = {}  # assignments of literals that nothing inside has needed yet

    def run(self) -> None:
        """Fill `steps` and `checks`."""
        for node in self.before:
            self._do(node)
        for node in self.tests:
            if isinstance(node, ast.Assert):
                self._assert(node)
            elif any(isinstance(inner, ast.Assert) for inner in ast.walk(node)) and not _defines(node):
                self._inside(node)
            elif not _is_text(node):
                self._assign(node)

    def _do(self, node: ast.AST) -> None:
        source = ast.unparse(node)
        self._need(node)
        self.steps.append(("do", source))

    def _need(self, node: ast.AST) -> None:
        """Run the assignments of the literals that `node` names."""
        for name in {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)} & set(self.waiting):
            self.steps.append(("do", self.waiting.pop(name)))

    def _assign(self, node: ast.stmt) -> None:
        """An assignment of a literal stays outside until something inside names it; all else runs inside."""
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            try:
                value = literal(Splitter({}, self.foreign).take_apart(node.value))
            except ValueError:
                pass
            else:
                self._forget(node)
                self.waiting[name] = ast.unparse(node)
                if not isinstance(value, list | dict | set) or not self._passed(name):
                    self.literals[name] = value
                return
        self._do(node)
        self._forget(node)

    def _forget(self, node: ast.stmt) -> None:
        """What the names that a statement binds were bound to before is no longer known."""
        for name in _bound([node]):
            self.literals.pop(name, None)
            self.waiting.pop(name, None)

    def _passed(self, name: str) -> bool:
        """Whether a call names it: what it holds may be changed by that call."""
        calls = [inner for node in self.tests for inner in ast.walk(node) if isinstance(inner, ast.Call)]
        return any(isinstance(inner, ast.Name) and inner.id == name for call in calls for inner in ast.walk(call))

    def _assert(self, node: ast.Assert) -> None:
        if isinstance(node.test, ast.Constant) and node.test.value:
            return  # `assert True`, which HumanEval has as a placeholder
        splitter = Splitter(self.literals, self.foreign)
        expression = splitter.take_apart(node.test)
        if not splitter.holes:
            self._inside(node)  # it says nothing about the program, and stays in the count
            return
        indices = []
        for source in splitter.holes:
            self._need(ast.parse(source, mode="eval"))
            indices.append(len(self.steps))
            self.steps.append(("value", source))
        self.checks.append(Check(ast.unparse(node.test), tuple(indices), expression, not is_pinned(expression)))

    def _inside(self, node: ast.stmt) -> None:
        self._need(node)
        self._forget(node)
        self.checks.append(Check(ast.unparse(node), (len(self.steps),), None, True))
        self.steps.append(("assert", ast.unparse(node)))


def _bound(nodes: Sequence[ast.stmt]) -> list[str]:
    """The names that statements bind: by an import, an assignment, a definition, a loop."""
    names: list[str] = []
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                names += [alias.asname or alias.name.partition(".")[0] for alias in inner.names]
            elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                names.append(inner.id)
            elif isinstance(inner, ast.FunctionDef | ast.ClassDef):
                names.append(inner.name)
    return names


def _defines(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Call))


def _is_call_of(node: ast.stmt, name: str) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == name
    )


def _is_metadata(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "METADATA" for target in node.targets
    )
