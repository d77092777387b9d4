"""The worker process: what it may do, what it may not, and what of one answer is left for the next."""

from __future__ import annotations

import importlib.util
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from simko.envs.verifiers.worker import pool
from simko.envs.verifiers.worker.channel import LostError
from simko.envs.verifiers.worker.pool import Pool

WORKER = Path(pool.__file__).with_name("worker.py")
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("worker_under_test", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


worker = load()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Workers that do what the answer says: the guard is the only thing in the way."""
    script = tmp_path_factory.mktemp("hostile") / "hostile.py"
    script.write_text(
        textwrap.dedent(f"""
            import importlib.util, ctypes, marshal, pickle, resource, shutil, signal, socket, subprocess
            spec = importlib.util.spec_from_file_location("worker", {str(WORKER)!r})
            worker = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(worker)
            actions = {{}}
            for text in open({str(script.with_suffix(".txt"))!r}).read().split("\\0"):
                space = {{}}
                exec("def act():\\n" + "\\n".join("    " + line for line in text.splitlines()), space)
                actions[text] = space["act"]
            real = worker.compare
            worker.compare = lambda gold, *rest: actions[rest[0]]() if gold == "act" else real(gold, *rest)
            worker.main()
        """)
    )
    script.with_suffix(".txt").write_text("\0".join([*FORBIDDEN, *SWALLOWED, *LIMITED, *FREE, *BROKEN, *LEFT]))
    made = Pool(script=script)
    yield made
    made.close()


FORBIDDEN = {
    "import os; os.system('true')": "os.system",
    "import os; os.execv('/bin/true', ['true'])": "os.exec",
    "import os; os.fork()": "os.fork",
    "import os; os.posix_spawn('/bin/true', ['true'], {})": "os.posix_spawn",
    "import os; os.spawnv(os.P_WAIT, '/bin/true', ['true'])": "os.",
    "import os; os.kill(os.getppid(), 0)": "os.kill",
    "import os; os.listdir('/')": "os.listdir",
    "import os; os.remove('/nothing/there')": "os.remove",
    "import os; os.mkdir('/nothing/there')": "os.mkdir",
    "import os; os.rename('/nothing/there', '/nothing/here')": "os.rename",
    "import os; os.chmod('/nothing/there', 0)": "os.chmod",
    "import os; os.putenv('A', 'b')": "os.putenv",
    "import os; os.open('/etc/hostname', os.O_RDONLY)": "open",
    "open('/etc/hostname').read()": "open",
    "open('/tmp/simko-worker-wrote', 'w')": "open",
    "import subprocess; subprocess.run(['true'])": "subprocess.Popen",
    "import socket; socket.socket()": "socket.__new__",
    "import ctypes; ctypes.CDLL(None)": "ctypes.dlopen",
    "import this": "import",
    "import sympy.physics.quantum.grover": "import",
    "__import__('antigravity')": "import",
    "eval('1 + 1')": "compile",
    "exec('x = 1')": "compile",
    "compile('print(monomial_mul)', 's', 'exec')": "compile",
    "import sympy; sympy.parse_expr('1 + 1')": "compile",
    "import sympy; sympy.lambdify(sympy.Symbol('x'), 1)(2)": "compile",
    "type(lambda: 0)((lambda: 1).__code__, {})()": "function.__new__",
    "import sys; sys.settrace(None)": "sys.settrace",
    "import sys; sys.setprofile(None)": "sys.setprofile",
    "import sys; sys.addaudithook(print)": "sys.addaudithook",
    "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))": "resource.setrlimit",
    "import marshal; marshal.loads(b'N')": "marshal.loads",
    "import pickle; pickle.loads(b'cos\\nsystem\\n.')": "pickle.find_class",
    "input()": "builtins.input",
    "import shutil; shutil.rmtree('/nothing/there')": "shutil.rmtree",
    "import signal; signal.pthread_kill(1, 0)": "signal.pthread_kill",
}  # fmt: skip
SWALLOWED = {
    "try:\n    open('/etc/hostname')\nexcept BaseException:\n    return True": "open",
    "import os\ntry:\n    os.system('true')\nfinally:\n    return True": "os.system",
}
LIMITED = {
    "x = bytearray(3 << 30)": "memory",
    "x = [0] * (1 << 29)": "memory",
}
FREE = {
    "import os; return os.environ.get('SIMKO_SECRET') is None": "equal",
    "import os; return os.getcwd() == '/' and os.getsid(0) != 0": "equal",
    "import sys; return sys.stdin is None or sys.stdin.buffer.raw.read(1) == b''": "equal",
    "import sys; return not any(n.startswith('simko') and '.worker' not in n and hasattr(m, '__file__') "
    "for n, m in sys.modules.items())": "equal",
    "import sympy; return sympy.S('3/2') * 2 == 3 and sympy.Number('-4') == -4": "equal",
    "import sympy; sympy.sympify('__import__(\\'os\\').system(\\'true\\')')": "different",  # it is not read
    "import sympy; return sympy.nsimplify(1.618033988749895, tolerance=1e-12) is not None": "equal",
    "def f(n): return f(n + 1)\nreturn f(0)": "different",
    "return 1 / 0": "different",
}
BROKEN = {
    "import os; os._exit(3)": "error",
    "import os; os.abort()": "error",
    "raise SystemExit": "error",
}
LEFT = {
    "import random; return random.random() == 0.8444218515250481": "equal",  # the first number after seed(0)
    "import sympy.core.random as r; return r.rng.random() == 0.8444218515250481": "equal",
}


@pytest.mark.parametrize("action", [*FORBIDDEN, *SWALLOWED])
def test_what_is_not_arithmetic_is_an_execution(hostile: Pool, action: str) -> None:
    executions = hostile.counts["execution"]
    assert hostile.compare("act", action) == ("error", pytest.approx(0, abs=0.9))
    assert hostile.counts["execution"] == executions + 1
    assert hostile.executions[-1].startswith({**FORBIDDEN, **SWALLOWED}[action])
    assert hostile.compare("x + 1", "1 + x")[0] == "equal"  # by another worker
    assert not os.path.exists("/tmp/simko-worker-wrote")


@pytest.mark.parametrize("action", LIMITED)
def test_memory_is_limited(hostile: Pool, action: str) -> None:
    errors, starts = hostile.counts["error"], hostile.starts
    assert hostile.compare("act", action)[0] == "error"
    assert hostile.counts["error"] == errors + 1
    assert hostile.compare("x + 1", "1 + x")[0] == "equal"
    assert hostile.starts == starts + 1


@pytest.mark.parametrize("action", [*FREE, *BROKEN, *LEFT])
def test_surroundings(hostile: Pool, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMKO_SECRET", "s")
    assert hostile.compare("act", action)[0] == {**FREE, **BROKEN, **LEFT}[action]
    assert hostile.counts["execution"] <= len(FORBIDDEN) + len(SWALLOWED)


def test_random_numbers_start_anew_for_each_answer(hostile: Pool) -> None:
    for action in [*LEFT, *LEFT, *LEFT]:
        assert hostile.compare("act", action)[0] == "equal"


def test_the_kernel_ends_a_worker_whose_parent_does_not(workers: Pool) -> None:
    one = workers._met()
    with pytest.raises(LostError):
        one.ask({"gold": "5", "answer": "99999999 !", "digits": None, "seconds": 0.1}, limit=60)
    workers._give_back(one, sound=False)
    assert workers.compare("x + 1", "1 + x")[0] == "equal"


@LINUX
def test_limits_and_files(workers: Pool) -> None:
    workers.compare("x + 1", "1 + x")
    (pid,) = workers.pids
    limits = Path(f"/proc/{pid}/limits").read_text()
    rows = {line[:25].strip(): line[26:].split()[:2] for line in limits.splitlines()[1:]}
    assert rows["Max address space"] == [str(1 << 30)] * 2
    assert rows["Max core file size"] == rows["Max file size"] == rows["Max processes"] == ["0", "0"]
    assert int(rows["Max open files"][0]) <= 16
    assert os.getsid(pid) != os.getsid(0)
    files = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert len(files) == 2  # nothing but /dev/null and its socket
    assert "/dev/null" in files
    resident = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    assert int(resident.split()[1]) < 300_000  # kB


@LINUX
def test_no_network_where_the_kernel_allows_it(workers: Pool) -> None:
    workers.compare("x + 1", "1 + x")
    (pid,) = workers.pids
    child = os.fork()
    if child == 0:
        before = os.readlink("/proc/self/ns/net")
        worker.leave_network()
        os._exit(0 if os.readlink("/proc/self/ns/net") != before else 1)
    allowed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")) == allowed


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        (b"def monomial_mul(A, B):\n    (a0, a1,) = A\n    (b0, b1,) = B\n    return (a0 + b0, a1 + b1,)\n", True),
        ("def monomial_div(A, B):\n    r0 = a0 - b0\n    if r0 < 0: return None\n    return (r0,)\n", True),
        (b"from sympy import *", False),
        (b"Integer (2 )", False),
        (b"A.B", False),
        (b"A['a1']", False),
        (b"lambda: 0", False),
        (b"a1 ; __import__", False),
        (b"monomial_mul(print)", False),
        (b"1 + 1", False),
        (b"def a1(A):\n    return A", False),
        (None, False),
        (compile("def monomial_mul(A, B):\n    return A", "s", "exec"), True),
        (compile("def monomial_mul(A, B):\n    return A.x", "s", "exec"), False),
        (compile("import os", "s", "exec"), False),
        (compile("9 ** 9 ** 9", "s", "eval"), False),
        (compile("x = lambda: os", "s", "exec"), False),
    ],
)
def test_source_that_may_be_compiled(source: object, allowed: bool) -> None:
    for event in ("compile", "exec"):
        guard = worker.guard.Guard()
        if allowed:
            guard(event, (source, "<string>"))
            assert guard.event is None
        else:
            with pytest.raises(worker.guard.ForbiddenError):
                guard(event, (source, "<string>"))
            assert guard.event.startswith(event)
            assert len(guard.event) <= 300


def test_the_first_event_is_the_one_reported() -> None:
    guard = worker.guard.Guard()
    for event in ("open", "os.system"):
        with pytest.raises(worker.guard.ForbiddenError):
            guard(event, ("x",))
    assert guard.event.startswith("open ('x',) at test_worker.py:")


PAIRS = [
    ("x + 1", "1 + x", None, True), ("x + 1", "2 + x", None, False), (r"\sqrt { 2 }", r"\frac { 2 } { \sqrt { 2 } }", None, True),
    (r"\sqrt { 2 }", r"\frac { 1414214 } { 1000000 }", 6, True), (r"\sqrt { 2 }", r"\frac { 1414215 } { 1000000 }", 6, False),
    ("y = 2 x + 3", "2 x - y + 3 = 0", None, True), ("x < 5", "5 > x", None, True), ("x < 5", "x > 5", None, False),
    ("( x + y ) ^ { 3 }", "x ^ { 3 } + 3 x ^ { 2 } y + 3 x y ^ { 2 } + y ^ { 3 }", None, True),
    (r"\frac { x ^ { 2 } - 1 } { x - 1 }", "x + 1", None, True), (r"2 ^ { 1000 }", "2 ^ { 1000 } + 1", None, False),
    (r"\sin ( 2 x )", r"2 \sin ( x ) \cos ( x )", None, True),
    (r"\sin ( x ) ^ { 2 } + \sqrt { 3 }", r"\sqrt { 3 } + 1 - \cos ( x ) ^ { 2 }", None, True),
    (r"\frac { 1 } { \log _ { 2 } ( 3 ) } + | x |", r"\frac { \ln 2 } { \ln 3 } + | - x |", None, True),
    ("x", r"\frac", None, False), ("(", "(", None, False),
    ("", "", None, False), (r"\log _ { 2 } ( 3 )", r"\frac { \ln ( 3 ) } { \ln ( 2 ) }", None, True),
    ("3 + 2 i", "2 i + 3", None, True), ("3 + 2 i", "3 - 2 i", None, False), (r"\binom { 5 } { 2 }", "10", None, True),
]  # fmt: skip


def test_verdicts_do_not_depend_on_what_came_before(workers: Pool) -> None:
    for order in (PAIRS, PAIRS[::-1], PAIRS[::2] + PAIRS[1::2]):
        for gold, answer, digits, equal in order:
            assert workers.compare(gold, answer, digits)[0] == ("equal" if equal else "different"), (gold, answer)
    assert workers.counts["execution"] == 0


@pytest.mark.parametrize("text", ["007", "0", "42", "123456789012345678901234567890"])
def test_numbers_are_read_without_evaluating_text(workers: Pool, text: str) -> None:
    assert workers.compare(text, f"{text} + x - x")[0] == "equal"
    assert workers.compare(text, f"{text} + 1")[0] == "different"
    assert workers.counts["execution"] == 0
