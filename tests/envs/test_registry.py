from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import fake_envs
import gymnasium
import numpy as np
import pytest

import simko.envs
from simko.envs import TokenEnv, TokenVectorEnv, registry
from simko.envs.author import FunctionTasks
from simko.envs.split import is_eval
from simko.envs.token_env import load_object
from simko.errors import UserError

BUNDLED = [info.id for info in registry.BUNDLED]
STRANGER = """
import simko.envs
from simko.envs import TokenEnv
import gymnasium


@simko.envs.task("my/Double-v0", verifier="my_parity", levels=(1, 2))
def double(rng, level):
    n = int(rng.integers(100 * level))
    return f"What is twice {n}?", 2 * n


@simko.envs.verifier("my_parity")
def parity(response, gold):
    return response.strip() == gold


class MyEnv(TokenEnv):
    def __init__(self, **settings):
        super().__init__("my_tasks:double.tasks", "my_parity", **settings)


gymnasium.register("my/Class-v0", entry_point="my_tasks:MyEnv")
gymnasium.register("my/Other-v0", entry_point="gymnasium.envs.classic_control:CartPoleEnv")
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "my_tasks.py").write_text(STRANGER)
    return folder


def python(code: str, folder: Path | None = None) -> str:
    path = os.pathsep.join([*([str(folder)] if folder else []), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_bundled_are_registered_and_their_specs_are_plain() -> None:
    assert [info.id for info in simko.envs.specs()][: len(BUNDLED)] == BUNDLED
    for id in BUNDLED:
        spec = gymnasium.spec(id)
        assert isinstance(spec.entry_point, str)
        assert isinstance(spec.vector_entry_point, str)
        assert pickle.loads(pickle.dumps(spec)) == spec
        assert gymnasium.envs.registration.EnvSpec.from_json(spec.to_json()) == spec
        assert id.startswith("simko/")
    simko.envs.register_all()


@pytest.mark.parametrize("info", registry.BUNDLED, ids=BUNDLED)
def test_rows_agree_with_what_they_name(info: registry.EnvInfo) -> None:
    from simko.envs import verifiers

    source = load_object(info.tasks)
    assert tuple(getattr(source, "levels", info.levels)) == info.levels
    verifiers.get_verifier(info.verifier)
    assert (info.reply is None) == (info.turns == 1)
    if info.reply:
        assert callable(load_object(info.reply))


def test_import_is_light_and_loads_no_task() -> None:
    loaded = python(
        """
        import time, gymnasium, numpy.random, gymnasium.vector, sys
        start = time.process_time()
        import simko.envs
        took = time.process_time() - start
        heavy = ("torch", "transformers", "sympy", "math_verify", "simko.envs.puzzles.", "simko.envs.data.", "simko.agents")
        print(took, *[m for m in sys.modules if m.startswith(heavy)])
        """
    ).split()
    assert set(loaded[1:]) <= {"simko.envs.puzzles.procedural"}
    assert float(loaded[0]) < 0.3


def test_make_unknown() -> None:
    with pytest.raises(UserError, match=r"no environment 'simko/Countdwn-v0'; did you mean 'simko/Countdown-v0'"):
        simko.envs.make("simko/Countdwn-v0")
    with pytest.raises(UserError, match=r"'simko/Countdown'; did you mean 'simko/Countdown-v0'"):
        simko.envs.make("simko/Countdown")
    with pytest.raises(UserError, match="No module named 'no_such_package'; install 'no_such_package'"):
        simko.envs.make("no_such_package:my/Env-v0")
    with pytest.raises(UserError, match=r"is a CartPoleEnv, not a simko\.envs\.TokenEnv"):
        simko.envs.make("CartPole-v1")
    with pytest.raises(UserError, match="take no 'max_token'; did you mean 'max_new_tokens'"):
        simko.envs.make("fake/Double-v0", max_token=3)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("def (", r"importing broken raised SyntaxError: invalid syntax \(broken.py, line 1\); mend the module"),
        ("raise ValueError('one\\ntwo')", "raised ValueError: one two; mend the module"),
        ("import sys; sys.exit(3)", "raised SystemExit: 3; mend the module"),
        ("import no_such_package", "no_such_package'; install 'no_such_package'$"),
        ("from math import no_such_name", "raised ImportError: cannot import name 'no_such_name'.*mend the module"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line(
    code: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=line) as refusal:
        simko.envs.make("broken:my/Env-v0")
    assert "\n" not in str(refusal.value)


def test_make_gives_the_bare_environment_with_its_own_settings() -> None:
    env = simko.envs.make("fake/Double-v0", tokenizer=None, data=None, level=None, max_new_tokens=None, verifier=None)
    assert type(env) is TokenEnv
    assert (env.max_new_tokens, env.verifier_name) == (8, "fake_last_word")
    assert simko.envs.make("fake_envs:fake/Double-v0", max_new_tokens=4).max_new_tokens == 4
    assert simko.envs.make("fake/Twice-v0").stop == (";",)
    assert not simko.envs.make("fake/Twice-v0").single_turn


def test_jsonl_path_as_an_id(tmp_path: Path) -> None:
    file = tmp_path / "my.jsonl"
    file.write_text("".join(json.dumps({"problem": f"{n} + 1 =", "answer": str(n + 1)}) + "\n" for n in range(40)))
    env = simko.envs.make(f"jsonl:{file}", verifier="exact")
    _, info = env.reset(seed=0)
    assert " + 1 =" in info["text"]
    assert env.verifier_name == "exact"
    with pytest.raises(UserError):
        simko.envs.make("jsonl:" + str(tmp_path / "nothing.jsonl"))
    with pytest.raises(UserError):
        simko.envs.make("simko/JSONL-v0")


def test_a_strangers_package_in_another_process(stranger: Path) -> None:
    output = python(
        """
        import gymnasium, pickle
        env = gymnasium.make("my_tasks:my/Double-v0", level=2)
        print(env.reset(seed=0)[1]["text"].strip())
        many = gymnasium.make_vec("my/Double-v0", num_envs=2)
        print(type(many).__name__, many.reset(seed=[0, 0])[1]["task"][0] == many.reset(seed=0)[1]["task"][0])
        print(pickle.loads(pickle.dumps(env)).unwrapped.source.name)
        print(gymnasium.make("my/Class-v0", split="eval").reset(seed=0)[1]["task"].split("/")[1])
        """,
        stranger,
    ).splitlines()
    assert output[0].startswith("What is twice ")
    assert output[1:] == ["TokenVectorEnv True", "double", "eval"]


def test_our_make_takes_a_strangers_environments(stranger: Path) -> None:
    output = python(
        """
        import simko.envs
        for id in ("my_tasks:my/Double-v0", "my_tasks:my/Class-v0"):
            env = simko.envs.make(id)
            task = env.source.tasks(1, seed=0)[0]
            print(type(env).__name__, env.grade(task.gold, task).outcome, env.grade("x", task).outcome)
        try:
            simko.envs.make("my_tasks:my/Other-v0")
        except simko.envs.registry.UserError as error:
            print(error)
        """,
        stranger,
    ).splitlines()
    assert output[:2] == ["TokenEnv correct incorrect", "MyEnv correct incorrect"]
    assert "is a CartPoleEnv" in output[2]


def test_a_pickled_environment_opens_where_nothing_was_imported(stranger: Path, tmp_path: Path) -> None:
    file = tmp_path / "env"
    make = "import gymnasium, pickle; env = gymnasium.make('my_tasks:my/Double-v0'); env.reset(seed=0);"
    sent = python(f"{make} pickle.dump(env, open({str(file)!r}, 'wb')); print(env.reset()[1]['text'])", stranger)
    got = python(
        f"import pickle; env = pickle.load(open({str(file)!r}, 'rb')); print(env.reset()[1]['text'])", stranger
    )
    assert got == sent


def test_task_decorator() -> None:
    assert fake_envs.double(np.random.default_rng(0), 1)[0].startswith("What is twice")
    info = next(info for info in simko.envs.specs() if info.id == "fake/Double-v0")
    assert (info.title, info.levels, info.turns) == ("Twice a number.", (1, 2), 1)
    assert info.source == "procedural (fake_envs:double)"
    sources: dict[str, Any] = {s: simko.envs.make("fake/Double-v0", split=s).source for s in ("train", "eval")}
    problems = {s: {t.problem for t in source.tasks(15, seed=0)} for s, source in sources.items()}
    assert not problems["train"] & problems["eval"]
    assert sources["train"].levels == {1: "small", 2: "large"}
    task = sources["train"].tasks(1, seed=3)[0]
    assert sources["train"].get(task.id) == task
    assert task.id.startswith("double/train/")
    with pytest.raises(UserError, match="no task"):
        sources["eval"].get(task.id)
    with pytest.raises(UserError, match="level is 3"):
        simko.envs.make("fake/Double-v0", level=3)


def test_answer_of_a_function_task() -> None:
    source: Any = simko.envs.make("fake/Twice-v0").source
    task = source.tasks(1, seed=0)[0]
    assert source.answer(task) == f"It is {task.gold}"
    double: Any = simko.envs.make("fake/Double-v0").source
    assert double.answer(double.tasks(1, seed=0)[0]).isdigit()


def only_one(rng: np.random.Generator, level: int) -> tuple[str, str]:
    return "Always this", "1"


def test_a_split_that_cannot_be_filled() -> None:
    full, empty = ("eval", "train") if is_eval("Always this") else ("train", "eval")
    assert FunctionTasks(only_one, {1: ""}, full).tasks(1, seed=0)[0].gold == "1"
    with pytest.raises(UserError, match=f"level 1 has no problem in split '{empty}'"):
        FunctionTasks(only_one, {1: ""}, empty).tasks(1, seed=0)


@pytest.mark.parametrize("value", ["text", ("only one",), (1, 2), ("", "1"), None, ("a", "b", "c", "d")])
def test_a_function_that_returns_something_else(value: Any) -> None:
    def wrong(rng: np.random.Generator, level: int) -> Any:
        return value

    with pytest.raises(UserError, match=r"task 'wrong' returned .*return \(problem, gold\)"):
        FunctionTasks(wrong, {1: ""}).tasks(1, seed=0)


def test_what_the_decorator_refuses() -> None:
    def inner(rng: np.random.Generator, level: int) -> tuple[str, str]:
        return "a", "b"

    with pytest.raises(UserError, match="not at the top level of a module"):
        simko.envs.task("fake/Inner-v0")(inner)
    with pytest.raises(UserError, match="not at the top level of a module"):
        simko.envs.task("fake/Inner-v0", reply=lambda task, turns: None)(only_one)
    with pytest.raises(UserError, match="'simko/Countdown-v0' is one of simko's own"):
        simko.envs.task("simko/Countdown-v0")(only_one)
    with pytest.raises(UserError, match="use the form my/Name-v0"):
        simko.envs.task("a:b")(only_one)
    assert not [info for info in simko.envs.specs() if info.id.startswith(("fake/Inner", "a:b"))]


def test_the_same_id_again_replaces_the_first() -> None:
    simko.envs.task("fake/Redefined-v0", title="one")(only_one)
    simko.envs.task("fake/Redefined-v0", title="two")(only_one)
    assert [i.title for i in simko.envs.specs() if i.id == "fake/Redefined-v0"] == ["two"]


def test_make_vec_of_a_bundled_one() -> None:
    env = gymnasium.make_vec("simko/Arithmetic-v0", num_envs=2, level=1)
    assert isinstance(env, TokenVectorEnv)
    assert len(set(env.reset(seed=[1, 1])[1]["text"])) == 1
