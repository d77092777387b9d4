"""simko/Verifiers-v0 on a stand-in for verifiers, and on verifiers itself where SIMKO_TEST_PYTHON has it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stand_ins

import simko.envs
from simko.envs import grade
from simko.envs.audit.contract import CHECKS, _run
from simko.envs.audit.probe import Subject
from simko.envs.foreign import peer, taskset
from simko.envs.foreign.plain import ForeignError
from simko.envs.foreign.taskset import Verifiers
from simko.errors import UserError
from simko.types import Verdict

REAL = os.environ.get("SIMKO_TEST_PYTHON", "")


@pytest.fixture(autouse=True, scope="module")
def _ended() -> Iterator[None]:
    yield
    peer.end_all()


def source(python: str, data: str = "stand_in_sums", **options: Any) -> Verifiers:
    return Verifiers("all", None, data, python=python, **options)


def verdict(python: str, answer: str, **options: Any) -> Verdict:
    made = source(python, **options)
    return grade(answer, made.get("stand_in_sums/7").gold, "taskset")


def test_tasks_come_from_the_taskset(python: str) -> None:
    train, held_out, every = (Verifiers(s, None, "stand_in_sums", python=python) for s in ("train", "eval", "all"))
    assert (len(train.tasks(None, 0)) + len(held_out.tasks(None, 0)), every.size) == (20, 20)
    task = every.get("stand_in_sums/7")
    assert (task.problem, task.system, every.answer(task)) == ("What is 7 + 7?", None, "14")
    assert set(json.loads(task.gold)) == {"answer", "index", "taskset"}
    assert source(python).tasks(None, 0) == every.tasks(None, 0)
    assert source(python, size=5).size == 5
    assert source(python, most=3).size == 3


def test_chats_and_equal_prompts(python: str) -> None:
    chat = source(python, kind="chat").get("stand_in_sums/3")
    assert (chat.problem, chat.system) == ("What is 3 + 3?", "Be brief.")
    same = [Verifiers(split, None, "stand_in_sums", python=python, kind="same") for split in ("train", "eval")]
    assert all(part.is_seeded for part in same)
    assert not {t.id for t in same[0].tasks(None, 0)} & {t.id for t in same[1].tasks(None, 0)}


@pytest.mark.parametrize(
    ("data", "options", "line"),
    [
        (None, {}, r"no data; name the taskset \(--data MODULE\)"),
        (
            "no_such_taskset",
            {},
            "'no_such_taskset': ModuleNotFoundError: No module named 'no_such_taskset'; mend it there",
        ),
        ("stand_in_sums", {"nothing": 1}, r"extra inputs are not permitted: \['nothing'\]"),
        ("stand_in_sums", {"kind": "none"}, "task 0 of stand_in_sums: it has no prompt"),
        ("stand_in_sums", {"most": 0}, "it has no tasks"),
        ("stand_in_sums", {"size": 0}, "option size is 0"),
        ("stand_in_sums", {"seconds": 0}, "option seconds is 0; give a number above 0"),
        ("stand_in_container", {}, "none of its rewards can be computed without a container"),
    ],
)
def test_what_cannot_be_used_is_one_line(python: str, data: str | None, options: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        source(python, data, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_an_interpreter_must_be_named_and_have_the_package(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no interpreter; give the one that has 'x', by --python or SIMKO_PYTHON"):
        Verifiers("train", None, "x")
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(UserError, match="No module named 'verifiers'; pip install verifiers there"):
        source(str(bare), "stand_in_sums")


def test_its_rewards_are_the_verdict(python: str) -> None:
    right, wrong, thought = (verdict(python, text) for text in ("14", "a long one", "<think>15</think> 14"))
    assert (right.outcome, right.reward, dict(right.parts)) == ("correct", 1.5, {"right": 1.0, "short": 0.5})
    assert (wrong.outcome, wrong.reward) == ("incorrect", 0.0)
    assert thought.parts == right.parts
    assert verdict(python, " <think>14</think> ").outcome == "no_answer"
    assert verdict(python, "14", correct_from=2).outcome == "incorrect"


@pytest.mark.parametrize(("answer", "outcome"), [
    ("die", "error"), ("exit", "error"), ("raise", "error"), ("nan", "error"), ("huge", "error"), ("hang", "timeout"),
])  # fmt: skip
def test_a_taskset_that_fails_is_masked(python: str, answer: str, outcome: str) -> None:
    failed = verdict(python, answer, seconds=0.5)
    assert (failed.outcome, failed.reward, failed.valid) == (outcome, 0.0, False)
    assert verdict(python, "14").correct  # it is started again


def test_one_that_only_dies_is_not_started_for_ever(
    python: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "MAX_DEATHS", 2)
    made = source(python, most=9)
    gold = made.get("stand_in_sums/7").gold
    assert [grade("die", gold, "taskset").outcome for _ in range(3)] == ["error"] * 3
    assert "its process ended 2 times in a row; answers are masked" in capsys.readouterr().err
    assert grade("14", gold, "taskset").outcome == "error"
    source(python, most=9)  # it is opened anew
    assert grade("14", gold, "taskset").correct


def test_several_threads_and_a_copy_grade_at_once(python: str) -> None:
    made = source(python)
    tasks = pickle.loads(pickle.dumps(made)).tasks(None, 0)
    with ThreadPoolExecutor(4) as threads:
        golds = [task.gold for task in tasks] * 3
        verdicts = list(threads.map(lambda gold: grade(json.loads(gold)["answer"], gold, "taskset"), golds))
    assert all(v.correct for v in verdicts)


def test_gold_answers_of_strangers_start_nothing(python: str) -> None:
    unknown = json.dumps({"taskset": "0" * 16, "index": 0})
    outside = json.dumps({"taskset": source(python).taskset, "index": 10**9})
    assert [grade("14", gold, "taskset").outcome for gold in (unknown, outside, "", "[]")] == ["error"] * 4


def test_the_contract_holds(python: str) -> None:
    subject = Subject("simko/Verifiers-v0", {"data": "stand_in_sums", "source_options": {"python": python}})
    results = [_run(name, look, subject) for name, look in CHECKS.items() if "process" not in name]
    assert not [f"{r.name}: {r.detail}" for r in results if not r.passed]


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_its_process_ends_with_ours(python: str, how: str) -> None:
    """Also while it computes, and when ours is killed."""
    program = (
        "import sys, time, threading; from simko.envs.foreign.peer import Peer;"
        f"p = Peer('x', [{python!r}, '-P', sys.argv[1]],"
        " {'module': 'stand_in_sums', 'config': {}, 'size': 9}, 60); p.start(); print(p._process.pid, flush=True);"
        "threading.Thread(target=p.ask, args=({'do': 'score', 'index': 0, 'answer': 'hang'}, 60), daemon=True).start();"
        f"time.sleep({60 if how == 'killed' else 0.3})"
    )
    script = Path(taskset.__file__).with_name("taskset_bridge.py")
    parent = subprocess.Popen([sys.executable, "-c", program, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    if how == "killed":
        time.sleep(0.2)
        parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(500):
        if not is_running(child):
            return
        time.sleep(0.02)
    raise AssertionError("it is still there")


def test_what_it_started_ends_with_it() -> None:
    """Also when it ends by itself, without ending what it started."""
    program = (
        "import os, subprocess, sys; sys.stdin.readline();"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], stdin=-3, stdout=-3);"
        "os.write(1, b'{\"child\": %d}\\n' % child.pid); sys.stdin.readline(); os._exit(3)"
    )
    asked = peer.Peer("x", [sys.executable, "-c", program], {}, 60)
    child = asked.start()["child"]
    assert is_running(child)
    with pytest.raises(ForeignError, match="its process ended"):
        asked.ask({}, 60)
    for _ in range(500):
        if not is_running(child):
            return
        time.sleep(0.02)
    raise AssertionError("it is still there")


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.skipif(
    not stand_ins.has(REAL, "verifiers"), reason="SIMKO_TEST_PYTHON names no interpreter with verifiers"
)
def test_the_real_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stand_in_sums.py", "stand_in_container.py"):
        (tmp_path / name).write_text((stand_ins.PACKAGES / name).read_text())
    monkeypatch.chdir(tmp_path)
    env = simko.envs.make("simko/Verifiers-v0", data="stand_in_sums", source_options={"python": REAL, "kind": "chat"})
    task = env.source.tasks(1, 0)[0]
    assert env.grade(json.loads(task.gold)["answer"], task).reward == 1.5
    assert env.grade("a long one", task).outcome == "incorrect"
    assert env.grade("raise", task).outcome == "error"
    with pytest.raises(UserError, match="without a container"):
        source(REAL, "stand_in_container")
