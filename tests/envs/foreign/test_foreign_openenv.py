"""simko/OpenEnv-v0 on a stand-in for a server, and on a real server where SIMKO_TEST_PYTHON has OpenEnv."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stand_ins

import simko.envs
from simko.envs import TokenEnv, grade
from simko.envs.audit.contract import check
from simko.envs.audit.rows import audit
from simko.envs.foreign import openenv, openenv_world
from simko.envs.foreign.openenv import OpenEnv
from simko.envs.prompts import PromptFormat
from simko.errors import UserError
from simko.types import Task, Verdict

REAL = os.environ.get("SIMKO_TEST_PYTHON", "")
HAS_WEBSOCKETS = importlib.util.find_spec("websockets") is not None


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """The stand-in for websockets, and no waiting for a server that is not there."""
    if "real" not in request.node.name:
        _install(monkeypatch)
    yield
    for world in openenv._worlds.values():
        world.end()
    openenv._worlds.clear()


def _install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "websockets"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(stand_ins.PACKAGES))
    monkeypatch.setattr(openenv_world, "_AGAIN_SECONDS", 0.05)


@pytest.fixture
def server() -> Iterator[stand_ins.Server]:
    with stand_ins.serving() as made:
        yield made


def make(server: stand_ins.Server, **options: Any) -> TokenEnv:
    return simko.envs.make("simko/OpenEnv-v0", data=server.url, split="all", source_options={"size": 8, **options})


def low(task: Task) -> int:
    return int(re.findall(r"\d+", task.problem)[0])


def play(env: TokenEnv, task: Task, *turns: str) -> tuple[str, Verdict]:
    """The episode's tokens as text, and the verdict."""
    episode = env.begin(task)
    for turn in turns:
        if not episode.done:
            episode.extend([*turn.encode(), env.tokenizer.eos_token_id or 0])
    return env.tokenizer.decode(episode.ids, skip_special_tokens=True), env.grade(episode.text, task)


def solution(env: TokenEnv, task: Task) -> str:
    return next(str(n) for n in range(low(task), low(task) + 3) if play(env, task, str(n))[1].correct)


def test_episodes_are_tasks(server: stand_ins.Server) -> None:
    env = make(server, seed=5)
    tasks = env.source.tasks(None, 0)
    assert [task.id for task in tasks] == [f"openenv/{seed}" for seed in range(5, 13)]
    assert all(task.problem.startswith("Guess my number, ") for task in tasks)
    assert make(server, seed=5).source.tasks(None, 0) == tasks
    assert set(json.loads(tasks[0].gold)) == {"seed", "world"}
    parts = [OpenEnv(split, None, server.url, size=30) for split in ("train", "eval")]
    assert not {t.problem for t in parts[0].tasks(None, 0)} & {t.problem for t in parts[1].tasks(None, 0)}


def test_one_turn_is_graded_by_the_server(server: stand_ins.Server) -> None:
    env = make(server)
    task = env.source.tasks(1, 0)[0]
    right = solution(env, task)
    assert play(env, task, f"<think>hm {right}1</think>\n{right}")[1].correct
    wrong = play(env, task, "1000")[1]
    assert (wrong.outcome, wrong.reward, wrong.extracted) == ("incorrect", 0.0, "1000")
    assert play(env, task, "<think>7</think>")[1].outcome == "no_answer"
    step = [message for message in server.messages if message["type"] == "step"][-1]
    assert step["data"] == {"message": "1000"}


def test_replies_of_several_turns_are_not_the_policys(server: stand_ins.Server) -> None:
    env = make(server, turns=3)
    task = env.source.tasks(1, 0)[0]
    right = solution(env, task)
    episode = env.begin(task)
    episode.extend([*b"1000", env.tokenizer.eos_token_id or 0])
    told = bytes(i for i, ours in zip(episode.ids, episode.sampled, strict=True) if not ours and i < 256).decode()
    assert told.strip() == "lower"
    episode.extend([*right.encode(), env.tokenizer.eos_token_id or 0])
    assert episode.terminated
    assert env.grade(episode.text, task).correct
    assert play(env, task, "1000", "1001", "1002", right)[1].outcome == "incorrect"  # three turns, and no fourth
    assert play(env, task, "", right)[1].outcome == "no_answer"


def test_a_turn_that_the_budget_cuts_is_played(server: stand_ins.Server) -> None:
    env = make(server, turns=3)
    task = env.source.tasks(1, 0)[0]
    right = solution(env, task)
    whole = len("1000") + 1 + len(PromptFormat(env.tokenizer).reply_ids("lower")) + len(right)
    cut = simko.envs.make(
        "simko/OpenEnv-v0", data=server.url, split="all", source_options={"size": 8, "turns": 3}, max_new_tokens=whole
    )
    episode = cut.begin(task)
    episode.extend([*b"1000", env.tokenizer.eos_token_id or 0])
    episode.extend([*right.encode()])
    assert episode.truncated
    assert cut.grade(episode.text, task).correct


def test_a_server_of_one_session_serves_many_answers() -> None:
    with stand_ins.serving(most=1) as server:
        env = make(server, turns=3)
        tasks = env.source.tasks(3, 0)
        right = [solution(env, task) for task in tasks]
        episodes = [env.begin(task) for task in tasks]
        for turn in ("1000", "1001"):  # all first turns, then all second ones
            for episode in episodes:
                episode.extend([*turn.encode(), env.tokenizer.eos_token_id or 0])
        for episode, answer in zip(episodes, right, strict=True):
            episode.extend([*answer.encode(), env.tokenizer.eos_token_id or 0])
        assert all(env.grade(e.text, t).correct for e, t in zip(episodes, tasks, strict=True))


def test_a_server_that_others_have_filled_is_waited_for() -> None:
    with stand_ins.serving(most=1) as server:
        env = make(server, seconds=5)
        env.close()
        other = openenv_world.Session(f"{server.url}/ws", 1.0)
        other.exchange("reset", {"seed": 0}, time.monotonic() + 5)
        threading.Timer(0.3, other.close).start()
        task = env.source.tasks(1, 0)[0]
        assert play(env, task, "1")[1].valid


def test_several_threads_grade_at_once(server: stand_ins.Server) -> None:
    env = make(server, sessions=3)
    tasks = env.source.tasks(None, 0)
    with ThreadPoolExecutor(6) as threads:
        verdicts = list(threads.map(lambda i: env.grade(str(low(tasks[i % 8]) + i // 8), tasks[i % 8]), range(24)))
    assert sum(v.correct for v in verdicts) == 8
    assert all(v.valid for v in verdicts)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        *[("slow", "timeout")],
        *(
            (said, "error")
            for said in ("hang up", "raise", "nan", "huge", "long number", "maybe", "list", "deep", "nothing")
        ),
    ],
)
@pytest.mark.parametrize("turns", [1, 3])
def test_what_a_server_does_wrong_is_masked(server: stand_ins.Server, said: str, outcome: str, turns: int) -> None:
    env = make(server, turns=turns, seconds=0.3)
    task = env.source.tasks(1, 0)[0]
    failed = play(env, task, said)[1]
    if (said, turns) == ("nothing", 3):  # a later step may give a reward
        assert failed.outcome == "error"
        return
    assert (failed.outcome, failed.reward, failed.valid) == (outcome, 0.0, False)
    assert play(env, task, str(low(task)))[1].valid


def test_long_and_odd_observations_are_cut_and_cleaned(server: stand_ins.Server) -> None:
    env = make(server, turns=3)
    env.max_new_tokens = 50_000
    shown, _ = play(env, env.source.tasks(1, 0)[0], "long")
    assert "\x1b" not in shown
    assert len(shown) < openenv_world.MAX_REPLY + 50


def test_a_server_that_comes_back_is_found_again() -> None:
    with stand_ins.serving() as first:
        port = first.server_address[1]
        env = make(first, seconds=5)
        task, other = env.source.tasks(2, 0)
        assert play(env, task, "1")[1].valid
    with stand_ins.serving(port=port):
        assert play(env, other, "1")[1].valid


def test_a_server_that_is_gone_is_masked_and_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    with stand_ins.serving() as server:
        env = make(server, seconds=0.2, sessions=1)
    world = openenv._worlds[env.source.world]  # type: ignore[attr-defined]
    for session in world._idle:
        session.close()
    task = env.source.tasks(1, 0)[0]
    verdicts = [play(env, task, str(n))[1] for n in range(8)]
    assert {v.outcome for v in verdicts} == {"error"}
    assert capsys.readouterr().err.count("was not there 5 times in a row") == 1


@pytest.mark.parametrize(
    ("data", "options", "line"),
    [
        (None, {}, "data is ''; give the server, as --data ws://localhost:8000"),
        ("localhost:8000", {}, "data is 'localhost:8000'"),
        ("ws://127.0.0.1:9", {}, r"ws://127.0.0.1:9/ws: it cannot be reached \(.*refused.*\); see that it runs"),
        ("", {"observation_field": "text"}, r"the observation has no text 'text' \(it has: message, inner\)"),
        ("", {"action_field": "a..b"}, "option action_field is 'a..b'; give the name of a field"),
        ("", {"reset": {"mode": "unseeded"}}, "two resets with one seed gave two observations"),
        ("", {"reset": {"mode": "blank"}}, "the first observation of seed 0 is blank; name a prompt_field"),
        ("", {"reset": "[1]"}, "option reset is '.1.'; give an object"),
        ("", {"reward": "mean"}, "option reward is 'mean'; give sum or last"),
        ("", {"turns": 0}, "option turns is 0"),
        ("", {"actions": 1}, "takes no option 'actions'; did you mean 'action'"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    server: stand_ins.Server, data: str | None, options: dict[str, Any], line: str
) -> None:
    with pytest.raises(UserError, match=line) as caught:
        simko.envs.make("simko/OpenEnv-v0", data=server.url if data == "" else data, source_options=options)
    assert "\n" not in str(caught.value)


def test_fields_reach_into_objects(server: stand_ins.Server) -> None:
    env = make(server, action_field="arguments.message", action={"kind": "say"}, prompt_field="inner.text")
    task = env.source.tasks(1, 0)[0]
    assert play(env, task, str(low(task)))[1].valid
    assert server.messages[-1]["data"] == {"kind": "say", "arguments": {"message": str(low(task))}}


def test_equal_prompts_are_told_apart_by_their_seed(server: stand_ins.Server) -> None:
    parts = [OpenEnv(split, None, server.url, size=30, reset={"mode": "same"}) for split in ("train", "eval")]
    assert all(part.is_seeded for part in parts)
    assert not {t.id for t in parts[0].tasks(None, 0)} & {t.id for t in parts[1].tasks(None, 0)}


def test_a_copy_plays_on_and_strangers_golds_open_nothing(server: stand_ins.Server) -> None:
    env = make(server, turns=3)
    task = env.source.tasks(1, 0)[0]
    env.close()
    openenv._worlds.clear()
    assert grade("1", task.gold, "openenv").outcome == "error"
    twin = pickle.loads(pickle.dumps(env))
    assert play(twin, task, "1000", solution(twin, task))[1].correct
    for gold in ("", "[]", '{"seed": 1, "world": "x"}'):
        assert grade("1", gold, "openenv").outcome == "error"


def test_a_missing_client_names_the_extra(monkeypatch: pytest.MonkeyPatch, server: stand_ins.Server) -> None:
    monkeypatch.setitem(sys.modules, "websockets.sync.client", None)
    with pytest.raises(UserError, match=r"pip install 'simko\[openenv\]'"):
        make(server)


def test_the_contract_and_the_audit_hold(server: stand_ins.Server) -> None:
    options = {"size": 20, "turns": 2}
    results = check("simko/OpenEnv-v0", server.url, source_options=options)
    assert not [f"{r.name}: {r.detail}" for r in results if not r.passed]
    assert "knows no right answers" in next(r.detail for r in results if r.name == "gold grades correct")
    entries = audit("simko/OpenEnv-v0", server.url, checks=False, source_options=options)
    assert [(entry.passed, entry.gold) for entry in entries] == [(True, (0, 0))] * 2


SERVER = """
import random, sys
from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State
class Say(Action):
    message: str
class See(Observation):
    message: str = ""
class Guess(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True
    def __init__(self):
        self.number = 0
    def reset(self, seed=None, episode_id=None, **more):
        low = random.Random(seed).randint(1, 900)
        self.number = low + seed % 3
        return See(message=f"Guess my number, {low} to {low + 2}.")
    def step(self, action):
        right = action.message.strip() == str(self.number)
        return See(message="" if right else "no", reward=float(right), done=right)
    @property
    def state(self):
        return State()
app = create_app(Guess, Say, See, env_name="guess", max_concurrent_envs=8)
if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
"""


@pytest.mark.skipif(
    not HAS_WEBSOCKETS or not stand_ins.has(REAL, "openenv"),
    reason="websockets, or OpenEnv in SIMKO_TEST_PYTHON, is missing",
)
def test_the_real_server(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    python = REAL if Path(REAL).is_file() else str(Path(REAL) / "bin" / "python")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen([python, "-P", str(tmp_path / "server.py"), "8497"], env=clean)
    try:
        for attempt in range(120):
            try:
                env = simko.envs.make(
                    "simko/OpenEnv-v0", data="ws://localhost:8497", split="all", source_options={"size": 6, "turns": 3}
                )
                break
            except UserError:
                if attempt == 119 or process.poll() is not None:
                    raise
                time.sleep(1)
        for task in env.source.tasks(3, 0):
            right = str(low(task) + json.loads(task.gold)["seed"] % 3)
            assert play(env, task, "1000", right)[1].correct
            assert play(env, task, "1000", "1001")[1].outcome == "incorrect"
    finally:
        process.kill()
        process.wait()
