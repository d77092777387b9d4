"""Programs in a sandbox of this machine: right ones, wrong ones, and hostile ones. Skipped by name where none works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from timing import wait_until

from simko.envs.code import grading, jails
from simko.envs.code.checks import plan
from simko.envs.code.grading import Graded, SandboxError, grade
from simko.envs.code.jails import Jail, NoSandboxError
from simko.envs.code.limits import Limits
from studies import sandbox


class Short(Limits):
    """Limits with little patience for a program that sleeps, and much for one that a busy machine keeps waiting."""

    wall_seconds = 0.5
    patience_seconds = 200.0


SHORT = Short(cpu_seconds=0.2)
WHOLE = Limits()
SYSTEM_PYTHON = Path("/usr/bin/python3")
IN_UNSAFE = (
    "fork bomb", "endless output", "sleeping", "much memory", "many descriptors", "deep recursion",
    "a process that outlives it", "the environment", "raising its limits", "cheat: os._exit(0)",
)  # fmt: skip
AS_NOBODY = (
    "fork bomb", "a process that outlives it", "TCP to this machine", "Unix sockets", "signals to its parents",
    "kill(-1), kill(getppid())", "the home folder", "other users' files", "/proc of other processes", "threads",
    "ptrace and memory of its parents", "raising its limits", "cheat: rewriting the runner",
)  # fmt: skip


@cache
def found(name: str, python: str | None = None) -> Jail | str:
    try:
        return jails.jail(name, python)
    except NoSandboxError as error:
        return str(error)


def any_sandbox() -> Jail:
    made = next((one for name in jails.NAMES[:2] if isinstance(one := found(name), Jail)), None)
    if made is None:
        pytest.skip(f"no sandbox: {found('sandlock')}, {found('bwrap')}")
    return made


@pytest.fixture(params=jails.NAMES)
def each(request: pytest.FixtureRequest) -> Jail:
    """Each sandbox of this machine, and none."""
    made = found(request.param)
    if isinstance(made, str):
        pytest.skip(made)
    return made


def graded(program: str, where: Jail, gold: dict[str, Any], limits: Limits = WHOLE) -> Graded:
    return grade(program, plan(json.dumps(gold)), where, limits)


ADDS = {"tests": "assert f(1) == 2\nassert f(2) == 3.0\nassert f(-1) == 0"}


def test_a_right_program_and_a_wrong_one(each: Jail) -> None:
    assert graded("def f(x): return x + 1", each, ADDS) == Graded(3, 3, 0)
    wrong = graded("def f(x): return 2 * x", each, ADDS)
    assert (wrong.passed, wrong.right) == (1, False)
    assert "f(2) == 3.0: not so" in wrong.reason


def test_stdin_and_stdout(each: Jail) -> None:
    gold = {"cases": [["1 2\n", "3\n"], ["4 5", "9"], ["x" * 300_000 + " 1", "y"]]}
    program = (
        "import sys\nwords = sys.stdin.read().split()\n"
        "if __name__ == '__main__': print('y' if len(words[0]) > 9 else sum(map(int, words)), ' \\n')"
    )
    assert graded(program, each, gold) == Graded(3, 3, 0)
    assert graded("a, b = map(int, input().split())\nprint(a + b)", each, gold).passed == 2
    assert graded("print(3); import sys; sys.exit(1)", each, gold).passed == 0
    assert graded("import sys; print(3); sys.exit()", each, gold).passed == 1


def test_what_programs_do_wrong_is_their_own_fault() -> None:
    where = any_sandbox()
    for program, reason in (
        ("def f(x) return x", "the program itself: raises SyntaxError"),
        ("raise ValueError", "the program itself: raises ValueError"),
        ("import simko", "the program itself: raises ModuleNotFoundError"),
        ("x = 1", "raises NameError"),
        ("def f(x): return object()", "raises NoValue"),
        ("def f(x): raise KeyboardInterrupt", "raises KeyboardInterrupt"),
        ("import os\ndef f(x): os.kill(os.getpid(), 9)", "it ended early"),
    ):
        assert reason in graded(program, where, ADDS).reason, program


def test_names_and_modules_of_a_program() -> None:
    program = """
from dataclasses import dataclass
from collections import Counter, namedtuple
import re, math, random, datetime, heapq, itertools, functools, typing

@dataclass
class Point:
    x: int

class Solution:
    def f(self, x): return namedtuple("P", "a b")(Point(x).x, Counter("a"))
"""
    assert graded(program, any_sandbox(), {"function": "f", "calls": [[[1], [1, {"a": 1}]]]}).right


def test_a_weaker_check_needs_the_line_that_it_held() -> None:
    gold = {"tests": "for i in range(3):\n    assert f(i) == i"}
    where = any_sandbox()
    assert graded("def f(x): return x", where, gold) == Graded(1, 1, 1)
    assert not graded("def f(x): return 0", where, gold).right
    assert not graded("import os\nos._exit(0)", where, gold).right


def test_two_lines_for_a_step_are_none() -> None:
    program = """
import os
for d in range(3, 64):
    try: os.write(d, b'[0, "value", 2]\\n')
    except OSError: pass
def f(x): return x + 1
"""
    result = graded(program, any_sandbox(), ADDS)
    assert "several results" in result.reason
    assert result.passed == 2


def test_the_same_set_has_the_same_order_each_time() -> None:
    gold = {"tests": "assert f() == 1"}
    shown = {
        graded("def f(): raise type('-'.join({'a', 'b', 'c', 'd', 'e'}), (Exception,), {})", any_sandbox(), gold).reason
        for _ in range(3)
    }
    assert len(shown) == 1


def run_all(where: Jail, names: tuple[str, ...]) -> dict[str, str]:
    """What did not hold, and `left behind` if anything is: all at once, since most of them wait for the end of their time."""
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        outcomes = dict(zip(names, pool.map(lambda name: sandbox.one(name, where, SHORT), names), strict=True))
    broken = {name: outcome.what for name, outcome in outcomes.items() if not outcome.held}
    rest = sandbox.left_behind(begun)
    return broken if rest.held else {**broken, "left behind": rest.what}


def test_every_hostile_program_is_held() -> None:
    assert run_all(any_sandbox(), sandbox.PROBES) == {}


def test_limits_hold_without_a_sandbox() -> None:
    where = found("unsafe")
    if isinstance(where, str):
        pytest.skip(where)
    assert run_all(where, IN_UNSAFE) == {}


@pytest.mark.skipif(
    os.getuid() != 0, reason="only root can become another user; the tests above ran as an ordinary one"
)
def test_hostile_programs_of_an_ordinary_user_are_held() -> None:
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"no {SYSTEM_PYTHON}, and an ordinary user may not read root's Python")

    def probe() -> dict[str, str]:
        for name in jails.NAMES[:2]:
            try:
                where = jails.jail(name, os.path.realpath(SYSTEM_PYTHON))
            except NoSandboxError as error:
                reason = str(error)
                continue
            return run_all(where, AS_NOBODY)
        return {"skip": reason}

    result = sandbox.as_nobody(probe)
    if isinstance(result, dict) and "skip" in result:
        pytest.skip(result["skip"])
    assert result == {}


def test_a_sandbox_that_is_killed_from_outside_is_no_wrong_answer() -> None:
    where = any_sandbox()
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(graded("import time\ntime.sleep(60)", where, ADDS, Limits(cpu_seconds=10)))
        except SandboxError as error:
            outcome.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    assert wait_until(lambda: bool(children_of(os.getpid(), thread)))
    os.kill(children_of(os.getpid(), thread)[0], signal.SIGKILL)
    thread.join(20)
    assert len(outcome) == 1
    assert "killed" in str(outcome[0])  # before it began, or after


def children_of(pid: int, thread: threading.Thread) -> list[int]:
    return [int(number) for number in Path(f"/proc/{pid}/task/{thread.native_id}/children").read_text().split()]


def test_a_sandbox_that_does_not_begin_is_no_wrong_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho no more of them >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SandboxError, match="did not begin: no more of them"):
        graded("def f(x): return x + 1", Jail("bwrap", sys.executable), ADDS)
    fake.write_text("no program")
    with pytest.raises(SandboxError, match="cannot be started"):
        graded("def f(x): return x + 1", Jail("bwrap", sys.executable), ADDS)


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that grades a program which sleeps in a process of its own."""
    script = (
        "import json\nfrom simko.envs.code import grading, jails\nfrom simko.envs.code.checks import plan\n"
        "program = '''import os, time\\nif os.fork() == 0:\\n    os.setsid()\\n    time.sleep(600)\\ntime.sleep(600)'''\n"
        "grading.grade(program, plan(json.dumps({'tests': 'assert f() == 1'})))"
    )
    any_sandbox()
    process = subprocess.Popen([sys.executable, "-c", script], cwd=Path(grading.__file__).parents[3])
    yield process
    process.kill()
    process.wait()


def test_nothing_is_left_when_simko_itself_is_killed(parent: subprocess.Popen[bytes]) -> None:
    assert wait_until(lambda: len(sandbox.runners(parent.pid)) >= 2)
    parent.kill()
    assert wait_until(lambda: not sandbox.runners(parent.pid))


def test_a_program_that_waits_for_a_processor_is_not_one_that_sleeps() -> None:
    """Both take more than the wall-clock time that a sleeper has; the limits of the processor itself are far away."""
    where, limits = any_sandbox(), Short(cpu_seconds=20)
    gold = {"tests": "assert f() == 1"}
    busy = "import time\ndef f():\n    end = time.monotonic() + 2\n    while time.monotonic() < end: pass\n    return 1"
    sleeping = "import time\ndef f():\n    time.sleep(60)\n    return 1"
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda program: graded(program, where, gold, limits), (busy, sleeping))
    assert first.right
    assert "over its time" in second.reason
