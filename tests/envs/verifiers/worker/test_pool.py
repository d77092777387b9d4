"""The pool of workers: started when asked, kept, replaced, shared by threads, and ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from timing import HANGS, wait_until

from simko.envs import grade
from simko.envs.audit.verifier import NEEDS_WORKER
from simko.envs.verifiers import grade_async, warm_up
from simko.envs.verifiers.math import equal as math_verifier
from simko.envs.verifiers.worker import pool
from simko.envs.verifiers.worker.pool import Pool
from simko.errors import UserError

pytestmark = pytest.mark.usefixtures("default_signals")

HARD = "99999999 !"  # `admit` would not let it through
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Workers without sympy: they compare strings; `kill` ends one, `loop` makes it compute for ever."""
    script = tmp_path_factory.mktemp("quick") / "quick.py"
    script.write_text(
        textwrap.dedent(f"""
            import importlib.util, os
            spec = importlib.util.spec_from_file_location("worker", {str(Path(pool.__file__).with_name("worker.py"))!r})
            worker = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(worker)
            worker.warm_up = lambda: None
            def reply(request, guard):
                if request["answer"] == "kill":
                    os.abort()
                while request["answer"] == "loop":
                    pass
                return {{"equal": request["gold"] == request["answer"]}}
            worker.answer_request = reply
            worker.main()
        """)
    )
    made = Pool(script=script)
    yield made
    made.close()


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children() -> list[str]:
    """The processes below this one, dead ones that nobody waited for included."""
    found, below = [], {str(os.getpid())}
    stats = {path.parent.name: path for path in Path("/proc").glob("[0-9]*/stat")}
    for _ in range(3):
        for pid, path in stats.items():
            try:
                fields = path.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if fields[1] in below and pid not in below:
                below.add(pid)
                found.append(pid)
    return found


def test_started_at_the_first_question_and_kept(workers: Pool) -> None:
    assert workers.starts == 0
    assert workers.pids == []
    answer, used = workers.compare("x + 1", "1 + x")
    assert answer == "equal"
    assert 0 <= used < 1
    assert workers.compare("x + 1", "2 + x")[0] == "different"
    assert workers.starts == 1


def test_a_limit_in_float_seconds_ends_it_and_the_next_question_is_answered_at_once(workers: Pool) -> None:
    workers.compare("x + 1", "1 + x")
    starts = workers.starts
    assert workers.compare("5", HARD, limit=0.25) == ("timeout", 0.25)
    assert workers.compare("x + 1", "1 + x")[0] == "equal"
    assert workers.starts == starts + 1
    assert workers.counts["timeout"] == 1


def test_killed_from_outside_is_an_error_at_most_once(workers: Pool) -> None:
    workers.compare("x", "x")
    (pid,) = workers.pids
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not alive(pid))
    assert workers.compare("x + 1", "1 + x")[0] == "equal"  # seen to be dead before it was asked
    assert workers.pids != [pid]
    ask = pool.Worker.ask

    def dies_while_it_is_asked(worker: pool.Worker, *question: Any) -> Any:
        os.kill(worker.pid, signal.SIGSTOP)
        threading.Timer(0.2, os.kill, (worker.pid, signal.SIGKILL)).start()
        return ask(worker, *question)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pool.Worker, "ask", dies_while_it_is_asked)
        assert workers.compare("x + 1", "1 + x", limit=HANGS)[0] == "error"
    assert workers.compare("x + 1", "1 + x")[0] == "equal"


def test_a_fork_server_that_was_killed_is_started_again(workers: Pool) -> None:
    workers.compare("x", "x")
    assert workers._server.pid is not None
    pids = (workers._server.pid, *workers.pids)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not any(map(alive, pids)))
    assert workers.compare("x + 1", "1 + x")[0] == "equal"


def test_a_stopped_worker_meets_the_wall_clock(workers: Pool) -> None:
    workers.compare("x", "x")
    os.kill(workers.pids[0], signal.SIGSTOP)
    assert workers.compare("x + 1", "1 + x", limit=0.05)[0] == "timeout"
    assert workers.compare("x + 1", "1 + x")[0] == "equal"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_from_many_threads_with_any_number_of_workers(workers: Pool, count: int) -> None:
    workers.workers = count
    try:
        with ThreadPoolExecutor(8) as threads:
            asked = [(f"x + {i}", f"{i} + x" if i % 2 else f"{i + 1} + x") for i in range(24)]
            answers = list(threads.map(lambda pair: workers.compare(*pair)[0], asked))
    finally:
        workers.workers = 1
    assert answers == ["equal" if i % 2 else "different" for i in range(24)]


def test_a_slow_answer_delays_nobody_else(quick: Pool) -> None:
    quick.compare("x", "x")
    slow = threading.Thread(target=quick.compare, args=("x", "loop"), kwargs={"limit": HANGS})
    slow.start()
    assert wait_until(lambda: [worker for worker in quick._busy if worker.pid])
    (looping,) = [worker.pid for worker in quick._busy]
    assert looping is not None
    for i in range(10):
        assert quick.compare(str(i), str(i))[0] == "equal"
    assert slow.is_alive()
    os.kill(looping, signal.SIGKILL)
    slow.join()
    assert quick.alive == len(quick._idle) <= 2


def test_workers_are_kept_under_load(quick: Pool) -> None:
    starts = quick.starts
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: quick.compare("x", str(i)), range(400)))
    assert quick.starts - starts <= 2
    assert quick.alive == len(quick._idle) <= 2


def test_the_callers_alarm_is_left_alone(workers: Pool) -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        assert workers.compare("5", HARD, limit=0.3)[0] == "timeout"
        assert rung == [1]  # it came through, and was not ours
        signal.setitimer(signal.ITIMER_REAL, 100)
        assert workers.compare("x + 1", "1 + x")[0] == "equal"
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_from_asyncio() -> None:
    async def several() -> tuple[list[str], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticking = asyncio.create_task(tick())
        answers = [f"\\boxed{{\\log(x) + {i}}}" for i in range(6)]
        verdicts = await asyncio.gather(*(grade_async(answer, "2 + \\log(x)") for answer in answers))
        also = await asyncio.to_thread(grade, answers[2], "2+\\log(x)")
        ticking.cancel()
        return [v.outcome for v in [*verdicts, also]], ticks

    outcomes, ticks = asyncio.run(several())
    assert outcomes == ["incorrect"] * 2 + ["correct"] + ["incorrect"] * 3 + ["correct"]
    assert ticks > 0


@LINUX
def test_a_hundred_kills_leave_nothing_behind(quick: Pool) -> None:
    for _ in range(20):
        assert quick.compare("x", "kill")[0] == "error"
    assert quick.compare("x", "x")[0] == "equal"
    files, processes, starts = len(os.listdir("/proc/self/fd")), len(children()), quick.starts
    for i in range(100):
        assert quick.compare("x", "kill")[0] == "error"
        assert quick.compare(str(i), "x")[0] == "different"
    for _ in range(5):
        assert quick.compare("x", "loop", limit=0.01)[0] == "timeout"
    assert quick.compare("x", "x")[0] == "equal"
    wait_until(lambda: len(children()) <= processes)  # a dead worker is a child until the fork server has waited for it
    assert (len(os.listdir("/proc/self/fd")), len(children())) == (files, processes)
    assert quick.starts == starts + 105
    assert len(quick._idle) == quick.alive <= 2


def test_a_worker_is_replaced_after_many_questions(quick: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "RECYCLED_AFTER", 5)
    quick.compare("x", "x")
    starts = quick.starts
    for _ in range(20):
        assert quick.compare("x", "x")[0] == "equal"
    assert quick.starts - starts in (3, 4, 5)


def test_started_before_the_first_question(quick: Pool) -> None:
    quick.close()
    starts = quick.starts
    quick.start()
    quick.start()
    assert quick.starts == starts + 1
    assert quick.compare("x", "x")[0] == "equal"
    assert quick.starts == starts + 1


@pytest.mark.parametrize(("name", "started"), [("math", 1), ("math_row", 1), ("math:boxed", 1), ("exact", 0), ("", 0)])
def test_started_for_verifiers_that_may_ask(
    quick: Pool, name: str, started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.close()
    monkeypatch.setattr(pool, "shared", quick)
    starts = quick.starts
    warm_up(name)
    assert quick.starts == starts + started


@LINUX
def test_closed_and_used_again(quick: Pool) -> None:
    quick.compare("x", "x")
    (pid,) = quick.pids
    before = len(os.listdir("/proc/self/fd"))
    quick.close()
    assert wait_until(lambda: not alive(pid))
    assert quick.pids == []
    assert len(os.listdir("/proc/self/fd")) < before
    quick.close()
    assert quick.compare("x", "x")[0] == "equal"


@LINUX
@pytest.mark.parametrize("end", ["", "import os; os.kill(os.getpid(), 9)", "import os; os._exit(0)", "1/0"])
def test_ends_with_its_parent(end: str) -> None:
    program = (
        "from simko.envs import grade; from simko.envs.verifiers.worker import pool\n"
        "assert grade('\\\\boxed{\\\\sin(x)+x}', 'x+\\\\sin(x)').correct\n"
        "assert pool.shared.compare('x', 'x')[0] == 'equal'\n"
        f"print(pool.shared.pids[0], pool.shared._server.pid, flush=True)\n{end}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    assert wait_until(lambda: not any(map(alive, pids)))


@LINUX
def test_a_busy_worker_ends_with_its_parent_too() -> None:
    program = (
        "import os, threading, time; from simko.envs.verifiers.worker import pool\n"
        "pool.shared.compare('x', 'x'); print(pool.shared.pids[0], flush=True)\n"
        f"threading.Thread(target=pool.shared.compare, args=('5', {HARD!r})).start()\n"
        "time.sleep(0.2); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    assert wait_until(lambda: not alive(pid))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_workers_of_its_own() -> None:
    program = (
        "import os; from simko.envs.verifiers.worker import pool\n"
        "ask = lambda: pool.shared.compare('x + 1', '1 + x')[0]\n"
        "pool.configure(2)\n"
        "assert ask() == 'equal'; mine = pool.shared.pids\n"
        "child = os.fork()\n"
        "assert ask() == 'equal'\n"
        "if child == 0: assert pool.shared.pids != mine and pool.shared.workers == 2; pool.shared.close(); os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "assert pool.shared.pids == mine and ask() == 'equal' and pool.shared.starts == 1\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_interpreter_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in ("/nonexistent/python", "/bin/true"):
        monkeypatch.setattr(sys, "executable", executable)
        made = Pool()
        assert made.compare("x", "x") == ("error", 0.0)
        made.start()
        assert made.compare("x", "x") == ("error", 0.0)
        assert made.counts["error"] == 2
        made.close()


@pytest.mark.parametrize("line", ["", "[]", "{", "null", '{"equal": 1}', "{}"])
def test_a_reply_that_is_none_is_an_error(line: str, tmp_path: Path) -> None:
    script = tmp_path / "odd.py"
    script.write_text(
        "import os, socket\ncontrol = socket.socket(fileno=os.dup(0))\n"
        "while (got := socket.recv_fds(control, 1, 1))[0]:\n"
        "    channel = got[1][0]\n    os.write(channel, b'{\"pid\": %d}\\n' % os.getpid())\n"
        f"    os.read(channel, 999)\n    os.write(channel, {line!r}.encode() + b'\\n')\n    os.close(channel)\n"
    )
    made = Pool(script=script)
    assert made.compare("x", "x")[0] == "error"
    made.close()


def test_what_was_answered_is_remembered(quick: Pool) -> None:
    quick._answers.clear()
    asked = quick.counts.copy(), quick.starts
    quick.compare("x", "x")
    pids = quick.pids
    for _ in range(3):
        assert quick.ask("x", "x")[0] == "equal"
        assert quick.ask("x", "y")[0] == "different"
        assert quick.ask("x", "loop", limit=0.05) == ("timeout", pytest.approx(0.0, abs=0.05))
    assert quick.counts["timeout"] == asked[0]["timeout"] + 1
    assert quick.ask("x", "loop", limit=0.1)[0] == "timeout"  # it had less time before
    assert quick.counts["timeout"] == asked[0]["timeout"] + 2
    for _ in range(2):
        assert quick.ask("x", "kill")[0] == "error"
    assert quick.counts["error"] == asked[0]["error"] + 2
    assert pids != quick.pids


def test_only_so_much_is_remembered(quick: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REMEMBERED", 3)
    quick._answers.clear()
    for i in (1, 2, 3, 1, 4):
        quick.ask(str(i), "1")
    assert [question[0] for question in quick._answers] == ["3", "1", "4"]


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2", None, 65])
def test_a_number_of_workers_that_is_none(workers: object) -> None:
    with pytest.raises(UserError, match="verifier workers"):
        pool.configure(workers)  # type: ignore[arg-type]


class Fake(Pool):
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
    verdict = grade(*NEEDS_WORKER)
    assert (verdict.outcome, verdict.valid) == (answer, False)


def test_all_questions_of_one_answer_share_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake("different", 0.3)
    monkeypatch.setattr(pool, "shared", fake)
    hard = [f"\\log({c}) + x" for c in "abcdef"]
    assert not math_verifier.answers_equal(",".join(hard[:3]), ",".join(hard[3:]))
    assert fake.limits == pytest.approx([0.8, 0.5, 0.2])
    fake = Fake("different", 0.9)
    monkeypatch.setattr(pool, "shared", fake)
    row = json.dumps({"answer": "\\log(p)", "accepted": ["\\log(q)", "\\log(r)", "\\log(s)"]})
    assert grade("\\boxed{\\log(t)}", row, "math_row").outcome == "timeout"
    assert fake.limits == [0.8]
    fake = Fake("equal")
    monkeypatch.setattr(pool, "shared", fake)
    assert math_verifier.answers_equal("(\\log(a),\\log(b))", "(\\log(c),\\log(d))")
    assert len(fake.limits) == 2


@pytest.mark.parametrize("timeout", [0.0, -1.0, 1e-9])
def test_a_callers_own_limit_holds_for_this_answer_alone(timeout: float) -> None:
    number = len(repr(timeout))  # another question each time: what was decided is remembered
    response, gold = f"\\boxed{{\\sqrt{{z^2}}+{number}}}", f"{number}+|z|"
    assert grade(response, gold, timeout=timeout).outcome == "timeout"
    assert asyncio.run(grade_async(response, gold, timeout=timeout)).outcome == "timeout"
    assert grade(response, gold, timeout=2.5).correct
    assert grade(*NEEDS_WORKER).correct
    assert grade("\\boxed{42}", "42", timeout=timeout).correct  # needs no worker, so no time
