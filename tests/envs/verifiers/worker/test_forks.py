"""The workers beside a caller that is forked, interrupted, stopped or killed, or that runs where little is to be had."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from timing import HANGS, wait_until

from simko.envs import grade
from simko.envs.verifiers.worker import fork_server, pool
from simko.envs.verifiers.worker.pool import Pool

pytestmark = pytest.mark.usefixtures("default_signals")

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
HARD = "99999999 !"
START = "import os, signal, sys, threading, time\nfrom simko.envs.verifiers.worker import pool\ncompare = pool.shared.compare\n"


def run(program: str, quiet: bool = True) -> list[str]:
    """The words that a program prints; by default nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", START + program],
        capture_output=True, text=True, check=False, timeout=HANGS,
    )  # fmt: skip
    assert not (quiet and done.stderr), done.stderr
    return done.stdout.split()


def state(pid: int) -> str:
    """R, S, T and so on; Z for a process that is gone, buried or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def all_end(pids: list[int]) -> bool:
    """Whether these processes end by themselves."""
    return wait_until(lambda: all(state(pid) == "Z" for pid in pids))


def test_an_interrupted_caller_leaves_nothing_counted() -> None:
    words = run(
        """
import random
class Stop(Exception): pass
def stop(*_): raise Stop
signal.signal(signal.SIGALRM, stop)
compare("x", "x")
stopped = tries = 0
while stopped < 60 and (tries := tries + 1) < 20_000:
    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 0.015))
    try:
        compare("x", "x + 1")
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Stop:
        stopped += 1
del stop
print(stopped, len(pool.shared._busy), compare("x", "x")[0], pool.shared.alive <= 2)
""",
        quiet=False,
    )  # an interruption of a destructor is told there, by Python
    assert words == ["60", "0", "equal", "True"]


@LINUX
def test_a_stopped_fork_server_is_replaced() -> None:
    made = Pool()
    try:
        assert made.compare("x", "x")[0] == "equal"
        server = made._server.pid
        assert server is not None
        os.kill(server, signal.SIGSTOP)
        worker = made.pids[0]
        os.kill(worker, signal.SIGKILL)
        assert all_end([worker])
        assert made.compare("x + 1", "1 + x")[0] == "equal"
        assert made._server.pid != server
        assert all_end([server])
    finally:
        made.close()


@LINUX
def test_a_stopped_worker_ends_with_the_others() -> None:
    words = run("""
compare("x", "x")
print(pool.shared.pids[0], pool.shared._server.pid, flush=True)
os.kill(pool.shared.pids[0], signal.SIGSTOP)
""")
    assert all_end([int(pid) for pid in words])


@LINUX
def test_a_busy_worker_ends_at_once_with_a_parent_that_is_killed() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", START + f"""
compare("x", "x")
print(pool.shared.pids[0], flush=True)
threading.Thread(target=compare, args=("5", {HARD!r}), kwargs={{"limit": 50}}).start()
"""], stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    with child.stdout:
        pid = int(child.stdout.readline())
    time.sleep(0.3)  # so that the worker computes; if it does not yet, the test shows less and does not fail
    child.kill()
    child.wait()
    assert all_end([pid])


@LINUX
def test_workers_end_with_their_parent_though_its_copies_live_on() -> None:
    """Copied while a worker is idle, and while one is busy."""
    program = """
compare("x", "x")
worker = pool.shared._met()
if (first := os.fork()) == 0:
    os.close(1); os.close(2); time.sleep(600); os._exit(0)
worker.ask({"gold": "x", "answer": "x", "digits": None, "seconds": 1.0}, 1.0)
pool.shared._give_back(worker, True)
if (copy := os.fork()) == 0:
    os.close(1); os.close(2); time.sleep(600); os._exit(0)
print(worker.pid, pool.shared._server.pid, first, copy, flush=True)
os._exit(0)
"""
    *ours, first, second = map(int, run(program))
    try:
        assert all_end(ours)
        assert state(first) != "Z"
    finally:
        for copy in (first, second):
            os.kill(copy, signal.SIGKILL)


def test_a_copy_of_a_busy_process_grades_and_so_does_the_process() -> None:
    words = run("""
stop, said = False, []
def ask(k):
    n = 0
    while not stop:
        n += 1
        said.append(compare(f"x + {n}", f"{n} + x + {k} - {k}")[0])
compare("x", "x")
threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
[t.start() for t in threads]
copies = []
for _ in range(2):
    time.sleep(0.05)
    if (copy := os.fork()) == 0:
        os._exit(7 if compare("y + 1", "1 + y")[0] == "equal" and len(pool.shared._busy) == 0 else 1)
    copies.append(copy)
ends = [os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) for copy in copies]
stop = True
[t.join() for t in threads]
print(ends == [7] * 2, set(said) == {"equal"}, compare("y + 1", "1 + y")[0])
""")
    assert words == ["True", "True", "equal"]


def test_no_copy_is_made_while_a_socket_is_handed_over() -> None:
    made = Pool()
    copied = threading.Event()

    def copy() -> None:
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)
        copied.set()

    with made._starting:
        thread = threading.Thread(target=copy)
        thread.start()
        assert not copied.wait(0.2)
    assert copied.wait(HANGS)
    thread.join()


@pytest.mark.parametrize("limit", [0, 0.0, -1, -0.5, -math.inf, math.nan, None, "x", -(10**400)])
def test_a_limit_that_is_none_is_a_timeout_that_costs_no_worker(limit: object) -> None:
    made = Pool(script=Path("/nonexistent"))
    assert made.compare("x", "x", limit=limit) == ("timeout", 0.0)  # type: ignore[arg-type]
    assert made.starts == 0


def test_any_limit_is_kept_to() -> None:
    made = Pool()
    try:
        for limit in (math.inf, 1e300, 10**400, 0.5, "0.5"):
            assert made.compare("x + 1", "1 + x", limit=limit)[0] == "equal"  # type: ignore[arg-type]
        assert made.compare("5", HARD, limit=1e-9) == ("timeout", 1e-9)
    finally:
        made.close()


def test_packages_are_found_wherever_the_caller_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sympy", "mpmath"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('it is not to be imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [m for m in sys.modules if m.partition(".")[0] in ("sympy", "mpmath")]:
        monkeypatch.delitem(sys.modules, name)
    assert str(tmp_path) in fork_server._folders()
    assert len(fork_server._folders()) == 2


@LINUX
def test_where_little_is_to_be_had() -> None:
    """No folder, no stdin, no environment, few files, little memory, signals ignored and blocked, none of it its own."""
    words = run(f"""
import resource, tempfile
folder = tempfile.mkdtemp(); os.chdir(folder); os.rmdir(folder)
os.environ.clear(); os.environ["PYTHONPATH"] = "nothing:."
os.close(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20))
for number in (signal.SIGPROF, signal.SIGCHLD):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
print(compare("x + 1", "1 + x")[0], compare("5", {HARD!r}, limit=0.1)[0], compare("x + 1", "1 + x")[0])
pid = pool.shared.pids[0]
masks = dict(line.split(":") for line in open(f"/proc/{{pid}}/status") if line.startswith("Sig"))
print(int(masks["SigIgn"], 16) >> (signal.SIGPROF - 1) & 1, int(masks["SigBlk"], 16))
""")
    assert words == ["equal", "timeout", "equal", "0", "0"]


def test_a_verifier_that_cannot_be_read_just_now_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from simko.envs import verifiers

    def refuse(name: str) -> object:
        raise OSError(24, "Too many open files")

    verifiers._bundled.cache_clear()
    monkeypatch.setattr(verifiers.importlib, "import_module", refuse)
    assert grade("42", "42").outcome == "error"
    monkeypatch.undo()
    assert grade("42", "42").correct
    assert pool.shared.counts["execution"] == 0
