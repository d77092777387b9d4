"""The worker process: kept, limited, replaced, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from simko.envs import grade
from simko.envs.verifiers import math as math_verifier
from simko.envs.verifiers import pool
from simko.envs.verifiers.pool import Worker

HARD = "99999999 !"  # `admit` would not let it through


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_started_at_the_first_question_and_kept(worker: Worker) -> None:
    assert worker.starts == 0
    assert worker.pid is None
    answer, used = worker.compare("x + 1", "1 + x")
    assert answer == "equal"
    assert 0 <= used < 1
    assert worker.compare("x + 1", "2 + x")[0] == "different"
    assert worker.starts == 1


def test_what_it_cannot_read_is_different(worker: Worker) -> None:
    for gold, answer in [("x", "\\frac"), ("(", "("), ("x", ""), ("", "")]:
        assert worker.compare(gold, answer)[0] == "different"
    assert worker.starts == 1


def test_a_limit_in_float_seconds_ends_it_and_the_next_question_is_answered(worker: Worker) -> None:
    begun, starts = time.monotonic(), worker.starts
    answer, _ = worker.compare("5", HARD, limit=0.3)
    assert answer == "timeout"
    assert time.monotonic() - begun < 10
    assert worker.compare("x + 1", "1 + x")[0] == "equal"
    assert worker.starts == starts + 1


def test_killed_from_outside_is_an_error_once(worker: Worker) -> None:
    worker.compare("x", "x")
    pid = worker.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    assert worker.compare("x + 1", "1 + x")[0] == "equal"  # seen to be dead before it was asked
    assert worker.pid != pid
    os.kill(worker.pid or 0, signal.SIGSTOP)  # dies while it is asked
    threading.Timer(0.3, os.kill, (worker.pid, signal.SIGKILL)).start()
    assert worker.compare("x + 1", "1 + x")[0] == "error"
    assert worker.compare("x + 1", "1 + x")[0] == "equal"


def test_a_stopped_worker_meets_the_wall_clock(worker: Worker) -> None:
    worker.compare("x", "x")
    os.kill(worker.pid or 0, signal.SIGSTOP)
    begun = time.monotonic()
    assert worker.compare("x + 1", "1 + x", limit=0.05)[0] == "timeout"
    assert time.monotonic() - begun < 5


def test_from_many_threads(worker: Worker) -> None:
    answers: dict[int, str] = {}

    def ask(i: int) -> None:
        answers[i] = worker.compare(f"x + {i}", f"{i} + x" if i % 2 else f"{i + 1} + x")[0]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {i: "equal" if i % 2 else "different" for i in range(12)}


def test_the_callers_alarm_is_left_alone(worker: Worker) -> None:
    before = signal.getsignal(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        worker.compare("x + 1", "1 + x")
        assert signal.getsignal(signal.SIGALRM) is before
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_closed_and_used_again() -> None:
    made = Worker()
    made.compare("x", "x")
    pid = made.pid
    assert pid
    made.close()
    assert not alive(pid)
    assert made.pid is None
    made.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("end", ["", "import os; os.kill(os.getpid(), 9)", "import os; os._exit(0)", "1/0"])
def test_ends_with_its_parent(end: str) -> None:
    program = (
        "from simko.envs import grade; from simko.envs.verifiers import pool\n"
        "assert grade('\\\\boxed{1+x}', 'x+1').correct\n"
        f"print(pool.shared.pid, flush=True)\n{end}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    for _ in range(100):
        if not alive(pid):
            break
        time.sleep(0.05)
    assert not alive(pid)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_worker_of_its_own() -> None:
    program = (
        "import os; from simko.envs import grade; from simko.envs.verifiers import pool\n"
        "assert grade('\\\\boxed{1+x}', 'x+1').correct; mine = pool.shared.pid\n"
        "child = os.fork()\n"
        "assert grade('\\\\boxed{2+x}', 'x+2').correct\n"
        "if child == 0: assert pool.shared.pid != mine; pool.shared.close(); os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "assert pool.shared.pid == mine and grade('\\\\boxed{3+x}', 'x+3').correct and pool.shared.starts == 1\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_interpreter_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert Worker().compare("x", "x")[0] == "error"
    monkeypatch.setattr(sys, "executable", "/bin/true")
    assert Worker().compare("x", "x")[0] == "error"


class Fake(Worker):
    def __init__(self, answer: pool.Answer, used: float = 0.0) -> None:
        super().__init__()
        self.answer, self.used = answer, used
        self.limits: list[float] = []

    def compare(
        self, gold: str, answer: str, digits: int | None = None, limit: float = pool.CPU_SECONDS
    ) -> tuple[pool.Answer, float]:
        self.limits.append(limit)
        return self.answer, self.used


@pytest.mark.parametrize("answer", ["timeout", "error"])
def test_a_worker_that_fails_is_no_wrong_answer(answer: pool.Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "shared", Fake(answer))
    verdict = grade("\\boxed{1+x}", "x+1")
    assert (verdict.outcome, verdict.valid) == (answer, False)


def test_all_questions_of_one_answer_share_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake("different", 0.4)
    monkeypatch.setattr(pool, "shared", fake)
    assert not math_verifier.answers_equal("a+x,b+x,c+x", "x+d,x+e,x+f")
    assert fake.limits == pytest.approx([1.0, 0.6, 0.2])
    fake = Fake("equal")
    monkeypatch.setattr(pool, "shared", fake)
    assert math_verifier.answers_equal("(a+x,b+x)", "(x+d,x+e)")
    assert len(fake.limits) == 2
