"""Code tasks: `HumanEval` (Chen et al. 2021), `MBPP` (Austin et al. 2021), and `Code`, a file of your own.

Every source reads the tests of a row into the gold answer of the verifier `code` (`simko.envs.code.checks`); a row whose tests
cannot be read is refused by its place. How many tests are *weaker* checks, which run inside the sandbox as a whole, stands in
`notes`, and for each task in `extra["weaker_checks"]`. The reference program stays in `extra["solution"]`.

A row of `Code` has a problem as every data set has it (a text or a chat), and its tests in one of these forms:
  - `tests`: asserts, as a text or as a list of them, with `setup` before them if there is one;
  - `test` and `entry_point`, as HumanEval has them;
  - `inputs` and `outputs`: texts for stdin, and what must be printed. With `function` they are lists of arguments and values.
    Both may lie in `input_output`, as APPS has them (`fn_name`).
`solution` is optional. `id`, `level` and `system` are as in simko/JSONL-v0, and so are the splits.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simko.envs.code.checks import Plan, parse, plan
from simko.envs.code.outside import Hole, Literal, Node
from simko.envs.data.columns import Columns
from simko.envs.data.jsonl import JSONL
from simko.envs.data.loading import Row, load_rows
from simko.envs.data.rows import RowSource, Sieve, text_of
from simko.errors import UserError
from simko.types import Task

SHOWN_TESTS = 1
"""How many of MBPP's tests a problem shows: they tell the name of the function, and the rest stays hidden."""
MBPP_PARTS = {"train": range(601, 975), "eval": range(11, 511)}
"""Task ids of the published splits; 1 to 10 are for prompts, and 511 to 600 for validation."""
PROBLEMS = ("problem", "question", "prompt", "text", "messages", "conversations")
SOLUTIONS = ("solution", "canonical_solution", "code")


class CodeRows(RowSource):
    """Tasks whose gold answers are tests. `size` tasks; `answer` is the reference program in a fenced block."""

    def tell_weaker(self) -> None:
        """Note how many tests of how many tasks are weaker checks."""
        if note := weaker_note(self.name, self._tasks):
            self.notes.append(note)

    def answer(self, task: Task) -> str:
        """The reference program; without one, a program that knows the values that the tests ask for."""
        return answer_of(task)


class HumanEval(CodeRows):
    """164 functions to complete (Chen et al. 2021). A test set: it has no train split."""

    def __init__(
        self,
        split: str = "eval",
        level: int | str | None = None,
        data: str | Path | None = None,
        keep_good_rows: bool = False,
    ) -> None:
        if split != "eval":
            raise UserError(
                f"humaneval: has no split '{split}', it is for evaluation; use split 'eval', and another data set to train on "
                "(simko/MBPP-v0, simko/Code-v0)"
            )
        _no_level("humaneval", level)
        hub = "openai/openai_humaneval"
        where, rows, sieve = _rows("humaneval", hub, (), "test", ("humaneval",), data, keep_good_rows)
        tasks, places = _tasks(where, rows, sieve, humaneval_task)
        self.rows, self.published = len(rows), 164
        super().__init__("humaneval", split, tasks, places, sieve)
        self.tell_weaker()

    def answer(self, task: Task) -> str:
        """The reference completion, which the prompt goes before, in a fenced block."""
        return f"```python\n{task.extra['completion']}\n```"


class MBPP(CodeRows):
    """Short functions from a sentence (Austin et al. 2021): 374 to train on, 500 to test, by task id as published."""

    def __init__(
        self,
        split: str = "train",
        level: int | str | None = None,
        data: str | Path | None = None,
        keep_good_rows: bool = False,
    ) -> None:
        if split not in MBPP_PARTS:
            raise UserError(f"mbpp: split is '{split}'; use 'train' or 'eval'")
        _no_level("mbpp", level)
        hub, part = "google-research-datasets/mbpp", "train" if split == "train" else "test"
        where, rows, sieve = _rows("mbpp", hub, ("full",), part, ("mbpp", f"mbpp_{part}"), data, keep_good_rows)
        rows = [(number, row) for number, row in rows if _task_id(row) is None or _task_id(row) in MBPP_PARTS[split]]
        if not rows:
            ids = MBPP_PARTS[split]
            raise UserError(f"{where}: no row of split '{split}' (task ids {ids[0]} to {ids[-1]}); give another file")
        tasks, places = _tasks(where, rows, sieve, mbpp_task)
        self.rows, self.published = len(rows), len(MBPP_PARTS[split])
        super().__init__("mbpp", split, tasks, places, sieve)
        self.tell_weaker()


class Code(JSONL):
    """The rows of a file of your own; the docstring of the module has their forms."""

    kind = "code"
    holds = "problem and tests"
    row = '{"problem": ..., "tests": ...}'

    def __init__(
        self,
        split: str = "train",
        level: int | str | None = None,
        data: str | Path | None = None,
        keep_good_rows: bool = False,
        columns: str | Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(split, level, data, keep_good_rows, columns)
        if note := weaker_note(self.name, self._tasks):
            self.notes.append(note)

    @staticmethod
    def to_task(row: Row, place: str, name: str, columns: Columns) -> Task:
        """One row as a task. Raises `UserError` with file, line and field."""
        flat = {**row, **row["extra"]} if isinstance(row.get("extra"), Mapping) else dict(row)
        problem = next((row[name] for name in PROBLEMS if name in row), None)
        if problem is None:
            has = ", ".join(map(str, row))[:200]
            raise UserError(f"{place}: no field 'problem' (it has: {has}); each row needs a problem and tests")
        task = JSONL.to_task({**row, "problem": problem, "answer": "tests"}, place, name, columns)
        return with_tests(task, _tests_of(flat, task.problem, place), _solution(flat), place)

    def answer(self, task: Task) -> str:
        """The reference program; without one, a program that knows the values that the tests ask for."""
        return answer_of(task)


def humaneval_task(row: Row, number: int, place: str) -> Task:
    """One row of HumanEval. Raises `UserError` with the row and the column."""
    flat = {**row, **row["extra"]} if isinstance(row.get("extra"), Mapping) else dict(row)
    prompt = _column(flat, ("prompt", "problem"), place)
    tests = {
        "tests": _column(flat, ("test",), place),
        "entry": _column(flat, ("entry_point",), place),
        "prompt": prompt,
    }
    solution = _column(flat, ("canonical_solution", "answer"), place)
    extra = {"completion": solution.rstrip()}
    task = Task(text_of(row.get("id")) or f"humaneval-{number - 1}", prompt, "", extra=extra)
    return with_tests(task, tests, f"{prompt.rstrip()}\n{solution}", place)


def mbpp_task(row: Row, number: int, place: str) -> Task:
    """One row of MBPP. Raises `UserError` with the row and the column."""
    flat = {**row, **row["extra"]} if isinstance(row.get("extra"), Mapping) else dict(row)
    text = _column(flat, ("text", "problem", "prompt"), place)
    solution = _column(flat, ("code", "answer"), place)
    tests = _texts(flat, "test_list", place) + _texts({"challenge_test_list": [], **flat}, "challenge_test_list", place)
    gold = {
        "tests": "\n".join(tests),
        "setup": flat.get("test_setup_code") or "\n".join(flat.get("test_imports") or ()),
        "names": _own_names(solution, "\n".join(tests)),
    }
    shown = "\n".join(tests[:SHOWN_TESTS])
    problem = f"{text.strip()}\nThe function must pass tests such as this one:\n{shown.strip()}"
    task = Task(text_of(row.get("id")) or f"mbpp-{_task_id(flat) or number}", problem, "")
    return with_tests(task, gold, solution, place)


def with_tests(task: Task, tests: Mapping[str, Any], solution: str | None, place: str) -> Task:
    """The task with its tests as gold answer. Raises `UserError` with the row for tests that cannot be read."""
    gold = json.dumps(tests, ensure_ascii=False)
    try:
        made = plan(gold)
    except (ValueError, TypeError, RecursionError) as error:  # a value of the wrong type raises `TypeError` on the way
        raise UserError(f"{place}: the tests of this row cannot be used: {error}; correct them") from error
    extra = {**task.extra, "weaker_checks": made.weaker, "checks": made.total}
    for name in ("test", "tests", "test_list", "challenge_test_list", "inputs", "outputs", "input_output"):
        extra.pop(name, None)
    if solution is not None:
        extra["solution"] = solution.replace("\r\n", "\n")
    return replace(task, gold=gold, extra=extra)


def weaker_note(name: str, tasks: Sequence[Task]) -> str | None:
    """How many tests are weaker checks; None if there is none."""
    tests = sum(task.extra["checks"] for task in tasks)
    weaker = sum(task.extra["weaker_checks"] for task in tasks)
    of = [task.id for task in tasks if task.extra["weaker_checks"]]
    if not of:
        return None
    where = f"in {len(of)} tasks, as '{of[0]}'"
    return f"{name}: {weaker} of {tests} tests run inside the sandbox as a whole, a weaker check ({where})"


def answer_of(task: Task) -> str:
    """The reference program of a task in a fenced block, or a table of what its tests ask for."""
    solution = task.extra.get("solution")
    return f"```python\n{solution if isinstance(solution, str) else table(plan(task.gold))}\n```"


def table(tests: Plan) -> str:
    """A program that answers exactly what the tests ask: it shows that they can be met, where a row has no solution."""
    if tests.inputs is not None:
        pairs = dict(zip(tests.inputs, tests.outputs, strict=True))
        return f"import sys\nprint({pairs!r}[sys.stdin.read()])"
    lines = ["_table = {}", "def _key(*a, **k):", "    return repr((a, k))"]
    names = set()
    for check in tests.checks:
        match check.expression:
            case Node(kind="Compare", parts=(Hole(), Literal(value=value))) if len(check.steps) == 1:
                source = tests.steps[check.steps[0]][1]
                name, _, arguments = source.partition("(")
                names.add(name)
                lines.append(f"_table[_key({arguments}] = {value!r}")
    names = {tests.entry or "" if name == tests.name else name for name in names}
    lines += [
        f"def {name}(*a, **k):\n    return _table[_key(*a, **k)]" for name in sorted(filter(str.isidentifier, names))
    ]
    return "\n".join(lines)


def _rows(
    name: str,
    hub: str,
    configs: tuple[str, ...],
    part: str,
    stems: tuple[str, ...],
    data: str | Path | None,
    keep: bool,
) -> tuple[str, list[tuple[int, Row]], Sieve]:
    sieve = Sieve(keep)
    plain = hub.replace("/", "_")
    more = (f"{plain}_{part}", *(f"{plain}_{config}" for config in configs), *(f"{plain}_{c}_{part}" for c in configs))
    where, rows = load_rows(name, hub, configs, part, (*stems, *more), data, sieve)
    return where, list(rows), sieve


def _tasks(where: str, rows: list[tuple[int, Row]], sieve: Sieve, to_task: Any) -> tuple[list[Task], list[str]]:
    tasks, places = [], []
    for number, row in rows:
        place = f"{where}:{number}"
        try:
            tasks.append(to_task(row, number, place))
        except UserError as error:
            sieve.refuse(str(error))
            continue
        places.append(place)
    if not tasks:
        raise UserError(f"{where}: no rows; give another file")
    return tasks, places


def _no_level(name: str, level: int | str | None) -> None:
    if level is not None:
        raise UserError(f"{name}: its rows have no level, and level is {level}; leave level out")


def _task_id(row: Mapping[str, Any]) -> int | None:
    extra = row.get("extra")
    value = row.get("task_id", extra.get("task_id") if isinstance(extra, Mapping) else None)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _column(row: Mapping[str, Any], names: tuple[str, ...], place: str) -> str:
    name = next((name for name in names if name in row), None)
    if name is None:
        raise UserError(
            f"{place}: no column '{names[0]}' (it has: {', '.join(map(str, row))[:200]}); give another file"
        )
    if not isinstance(row[name], str) or text_of(row[name]) is None:
        raise UserError(f"{place}: column '{name}' is {row[name]!r:.60}; it must be text, not blank")
    value: str = row[name]
    return value.replace("\r\n", "\n")


def _texts(row: Mapping[str, Any], name: str, place: str) -> list[str]:
    """The texts of a column that is a list of them, or one text."""
    value = row.get(name)
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise UserError(f"{place}: column '{name}' is {value!r:.60}; it must be a text or a list of texts")
    return [text.replace("\r\n", "\n") for text in values]


def _solution(row: Mapping[str, Any]) -> str | None:
    return next((row[name] for name in SOLUTIONS if isinstance(row.get(name), str) and row[name].strip()), None)


def _own_names(solution: str, tests: str) -> list[str]:
    """Names that the reference program defines and the tests call. They may be those of builtins, as `sum` once is."""
    try:
        defined = {n.name for n in parse(solution) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    except ValueError:
        return []
    return sorted(name for name in defined if re.search(rf"\b{re.escape(name)}\s*\(", tests))


def _tests_of(row: Mapping[str, Any], problem: str, place: str) -> dict[str, Any]:
    """The tests of a row of `Code`. Raises `UserError` with the field."""
    packed = row.get("input_output")
    if isinstance(packed, str):
        try:
            packed = json.loads(packed)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: field 'input_output' is not JSON; write inputs and outputs") from error
    if isinstance(packed, Mapping):
        row = {**row, **packed}
    if "inputs" in row or "outputs" in row:
        return _pairs(row, place)
    entry = row.get("entry_point")
    if entry is not None and (not isinstance(entry, str) or not entry.isidentifier()):
        raise UserError(f"{place}: field 'entry_point' is {entry!r:.60}; it must be the name of a function")
    name = next((name for name in ("tests", "test_list", "test") if name in row), None)
    if name is None:
        has = ", ".join(map(str, row))[:200]
        raise UserError(f"{place}: no field 'tests' (it has: {has}); each row needs tests, or inputs and outputs")
    tests = "\n".join(_texts(row, name, place))
    setup = next((row[key] for key in ("setup", "test_setup_code") if isinstance(row.get(key), str)), "")
    completes = entry is not None and re.search(rf"^(?:async\s+)?def\s+{entry}\b", problem, re.MULTILINE)
    return {
        "tests": tests,
        "setup": setup,
        "entry": entry,
        "prompt": problem if completes else "",
        "names": _own_names(_solution(row) or "", tests),
    }


def _pairs(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    inputs, outputs = row.get("inputs"), row.get("outputs")
    for name, value in (("inputs", inputs), ("outputs", outputs)):
        if not isinstance(value, list) or not value:
            raise UserError(f"{place}: field '{name}' is {value!r:.60}; it must be a list with an entry for each test")
    assert isinstance(inputs, list)
    assert isinstance(outputs, list)
    if len(inputs) != len(outputs):
        raise UserError(f"{place}: {len(inputs)} inputs and {len(outputs)} outputs; give one output for each input")
    function = next((row[key] for key in ("function", "fn_name") if row.get(key) is not None), None)
    if function is not None:
        return {"function": function, "calls": [list(pair) for pair in zip(inputs, outputs, strict=True)]}
    cases = []
    for name, values in (("inputs", inputs), ("outputs", outputs)):
        texts = ["\n".join(v) if isinstance(v, list) and all(isinstance(x, str) for x in v) else v for v in values]
        wrong = next((text for text in texts if not isinstance(text, str)), None)
        if wrong is not None:
            raise UserError(
                f"{place}: field '{name}' has {wrong!r:.60}; give texts, or 'function' if they are arguments"
            )
        cases.append(texts)
    return {"cases": [list(pair) for pair in zip(*cases, strict=True)]}
