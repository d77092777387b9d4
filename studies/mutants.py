"""Do the tests of code tasks tell right programs from wrong ones? Reference programs, and mutants of each, through the sandbox.

    python -m studies.mutants --data ../shared/data                       # HumanEval and both parts of MBPP
    python -m studies.mutants --data ../shared/data --tasks 40 --each 2

A mutant is the reference program with one change that a test should notice: a whole number that is one off, a comparison the
other way round, another arithmetic operator, a condition negated, a function that returns None or 0. Some mutants compute the
same (an equivalent mutant), and some tests look too little: those survive, and the table says how many.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import simko.envs
from simko.console import table
from simko.envs.code.checks import Plan, plan
from simko.envs.code.grading import Graded, grade
from simko.envs.code.jails import chosen, configure
from simko.envs.code.limits import Limits
from simko.types import Task

SETS = (("simko/HumanEval-v0", "eval"), ("simko/MBPP-v0", "train"), ("simko/MBPP-v0", "eval"))
_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_OTHER: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
}  # fmt: skip


def _off_by_one(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        node.value += 1
        return True
    return False


def _comparison(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _OPPOSITE:
        node.ops[0] = _OPPOSITE[type(node.ops[0])]()
        return True
    return False


def _operator(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _OTHER:
        node.op = _OTHER[type(node.op)]()
        return True
    return False


def _condition(node: ast.AST) -> bool:
    if isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return True
    return False


def _returns(value: int | None) -> Callable[[ast.AST], bool]:
    def change(node: ast.AST) -> bool:
        if isinstance(node, ast.Return) and node.value is not None:
            node.value = ast.Constant(value)
            return True
        return False

    return change


KINDS: dict[str, Callable[[ast.AST], bool]] = {
    "off by one": _off_by_one,
    "comparison": _comparison,
    "operator": _operator,
    "condition": _condition,
    "return None": _returns(None),
    "return 0": _returns(0),
}
"""A kind of mutant to the function that changes a node of that kind, and tells whether it did."""


def mutants(program: str, kind: str, rng: Random, count: int) -> Iterator[str]:
    """Up to `count` mutants of one kind, each with one change."""
    change, nodes = KINDS[kind], len(list(ast.walk(ast.parse(program))))
    made = 0
    for index in rng.sample(range(nodes), nodes):
        if made == count:
            return
        tree = ast.parse(program)
        if change(list(ast.walk(tree))[index]):
            text = ast.unparse(ast.fix_missing_locations(tree))
            if text != ast.unparse(ast.parse(program)):
                made += 1
                yield text


def judge(task: Task, rng: Random, each: int) -> tuple[Graded, list[tuple[str, Graded]]]:
    """The grade of the reference program of a task, and those of its mutants by kind."""
    tests: Plan = plan(task.gold)
    program = str(task.extra["solution"])
    graded = [(kind, grade(text, tests)) for kind in KINDS for text in mutants(program, kind, rng, each)]
    return grade(program, tests, limits=Limits()), graded


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Reference programs and their mutants through the sandbox.")
    parser.add_argument("--data", help="the folder with humaneval and mbpp; SIMKO_DATA, else the Hub, if left out")
    parser.add_argument("--tasks", type=int, help="tasks of each set; all if left out")
    parser.add_argument("--each", type=int, default=1, help="mutants of each kind a task")
    parser.add_argument("--seconds", type=float, default=1.0, help="processor time of a mutant: many of them loop")
    arguments = parser.parse_args()
    configure(cpu_seconds=arguments.seconds)
    print(f"sandbox: {chosen().name}")
    rows = []
    for id, split in SETS:
        source = simko.envs.make(id, split=split, data=arguments.data).source
        tasks = source.tasks(None if arguments.tasks is None else min(arguments.tasks, source.size or 0), seed=0)
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda task: judge(task, Random(task.id), arguments.each), tasks))
        tried = Counter(kind for _, graded in results for kind, _ in graded)
        killed = Counter(kind for _, graded in results for kind, one in graded if not one.right)
        right = sum(reference.right for reference, _ in results)
        weaker = sum(reference.weaker > 0 for reference, _ in results)
        cells = [f"{killed[kind]} / {tried[kind]}" for kind in KINDS]
        share = f"{100 * killed.total() / max(tried.total(), 1):.1f} %"
        rows.append((id, split, f"{right} / {len(tasks)}", str(weaker), *cells, share))
    print(
        table(
            ("ID", "SPLIT", "REFERENCES RIGHT", "WITH WEAKER TESTS", *(f"{k} refused" for k in KINDS), "ALL MUTANTS"),
            rows,
        )
    )


if __name__ == "__main__":
    main()
