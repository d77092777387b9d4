from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fake_envs
import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

import simko.envs
from simko.envs import ByteTokenizer, TokenEnv, TokenVectorEnv
from simko.envs.token_env import load_object, make_env
from simko.errors import UserError
from simko.types import Task

EOS = 256


def sums(**settings: Any) -> TokenEnv:
    return TokenEnv(fake_envs.Sums, "fake_last_word", **{"max_prompt_tokens": 16, "max_new_tokens": 6, **settings})


def ids(observation: dict[str, Any]) -> list[int]:
    return observation["tokens"][: observation["length"]].tolist()


@pytest.mark.parametrize("id", ["fake/Double-v0", "fake/Twice-v0"])
def test_gymnasiums_checker_is_content(id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(id).unwrapped)


def test_one_episode() -> None:
    env = sums()
    observation, info = env.reset(seed=0, options={"task": "7"})
    assert info == {"task": "7", "text": "7 + 7 =\n"}
    assert ids(observation) == list(b"7 + 7 =\n")
    assert observation["tokens"].shape == (22,)
    assert not observation["tokens"][8:].any()
    steps = [env.step(token) for token in [*b"14", EOS]]
    assert [s[1:4] for s in steps] == [(0.0, False, False), (0.0, False, False), (1.0, True, False)]
    assert [s[4] for s in steps[:2]] == [{}, {}]
    verdict = {"outcome": "correct", "reward": 1.0, "extracted": steps[2][4]["verdict"]["extracted"]}
    assert steps[2][4] == {"verdict": verdict, "gold": "14"}
    assert ids(steps[2][0]) == [*b"7 + 7 =\n14", EOS]
    assert all(s[0] in env.observation_space for s in steps)


def test_observations_share_nothing() -> None:
    env = sums()
    first, _ = env.reset(seed=0)
    before = first["tokens"].copy()
    second = env.step(65)[0]
    second["tokens"][:] = 9
    third = env.step(66)[0]
    assert (first["tokens"] == before).all()
    assert ids(third) == [*ids(first), 65, 66]


def test_a_cut_answer_is_graded_on_its_text() -> None:
    env = sums(max_new_tokens=2)
    env.reset(options={"task": "7"})
    env.step(ord("1"))
    _, reward, terminated, truncated, info = env.step(ord("4"))
    assert (reward, terminated, truncated, info["verdict"]["outcome"]) == (1.0, False, True, "correct")


def test_same_seed_same_task_and_the_stream_goes_on() -> None:
    env = sums()
    first = [env.reset(seed=3)[1]["task"]] + [env.reset()[1]["task"] for _ in range(8)]
    again = [env.reset(seed=3)[1]["task"]] + [env.reset()[1]["task"] for _ in range(8)]
    assert first == again
    assert len(set(first)) > 1


def test_steps_out_of_order() -> None:
    env = sums()
    with pytest.raises(ResetNeeded, match="no episode was begun"):
        env.step(1)
    env.reset()
    env.step(EOS)
    with pytest.raises(ResetNeeded, match="it is over"):
        env.step(1)


@pytest.mark.parametrize("action", [-1, 258, 1.0, "a", None, np.int64(258)])
def test_action_outside_the_vocabulary(action: Any) -> None:
    env = sums()
    env.reset()
    with pytest.raises(InvalidAction, match=r"is not a token id in 0\.\.257"):
        env.step(action)


def test_render() -> None:
    env = sums(render_mode="ansi", reply=fake_envs.again, max_new_tokens=20)
    with pytest.raises(ResetNeeded):
        env.render()
    env.reset(options={"task": "3"})
    for token in [*b"6", EOS, *b"7"]:
        env.step(token)
    assert env.render() == "3 + 3 =\n6\nAgain!\n7"
    assert sums().render() is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "trian"}, "split is 'trian'; did you mean 'train'"),
        ({"render_mode": "human"}, "render_mode is 'human'; use 'ansi'"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0; give a whole number"),
        ({"max_prompt_tokens": 2.5}, "max_prompt_tokens is 2.5; give a whole number"),
        ({"stop": ["a", ""]}, "texts of at least one character"),
        ({"reply": "fake_envs:nothing"}, "'fake_envs:nothing' cannot be imported"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sums(**settings)


def test_sources() -> None:
    assert TokenEnv("fake_envs:Sums", "fake_last_word", split="eval").source.get("104").gold == "208"
    source = fake_envs.Sums("eval")
    assert TokenEnv(source, "fake_last_word").source is source
    for path in ("fake_envs:Nothing", "no_such_module:Sums", "fake_envs", ":"):
        with pytest.raises(UserError, match="cannot be imported"):
            load_object(path)
    with pytest.raises(UserError, match="makes a dict; it must have name"):
        TokenEnv(dict, "fake_last_word")
    with pytest.raises(UserError, match="no_such_verifier"):
        TokenEnv(fake_envs.Sums, "no_such_verifier")


def test_prompt_over_its_budget_is_refused() -> None:
    env = sums(max_prompt_tokens=7)
    with pytest.raises(UserError, match="prompt of task '3' has 8 tokens, not 1 to 7; raise max_prompt_tokens"):
        env.reset(options={"task": "3"})


def test_unknown_reset_option() -> None:
    with pytest.raises(UserError, match="no option 'tasks'; did you mean 'task'"):
        sums().reset(options={"tasks": "3"})


def test_make_env_keeps_what_is_none_and_names_a_slip() -> None:
    options = {"source": "fake_envs:Sums", "verifier": "fake_last_word", "instruction": " Go.", "max_new_tokens": 5}
    env = make_env(options, instruction=None, max_new_tokens=None, verifier=None)
    assert (env.max_new_tokens, env.verifier_name) == (5, "fake_last_word")
    assert env.format.prompt_text("x") == "x Go.\n"
    assert make_env(options, instruction="").format.prompt_text("x") == "x\n"
    with pytest.raises(UserError, match="take no 'max_tokens'; did you mean 'max_new_tokens'"):
        make_env(options, max_tokens=5)


def test_tokenizer_of_a_model() -> None:
    env = sums(tokenizer=fake_envs.chat_tokenizer(), max_prompt_tokens=64)
    observation, info = env.reset(options={"task": "3"})
    assert info["text"] == "<s><|im_start|>user\n3 + 3 =<|im_end|>\n<|im_start|>assistant\n"
    assert env.tokenizer.decode(ids(observation)) == info["text"]
    assert env.action_space.n == len(env.tokenizer)
    end = env.tokenizer.convert_tokens_to_ids("<|im_end|>")  # type: ignore[attr-defined]
    answer = env.tokenizer.encode("6", add_special_tokens=False)
    assert env.step(answer[0])[2] is False
    assert env.step(end)[1:4] == (1.0, True, False)


def test_spec_goes_through_json_and_pickle() -> None:
    spec = gymnasium.make("fake/Double-v0", level=1, max_new_tokens=12).spec
    assert spec is not None
    json.loads(spec.to_json())
    assert pickle.loads(pickle.dumps(spec)) == spec
    env = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(spec.to_json())).unwrapped
    assert isinstance(env, TokenEnv)
    assert env.max_new_tokens == 12


def test_pickle_in_the_middle_of_an_episode() -> None:
    env = gymnasium.make("fake/Twice-v0").unwrapped
    env.reset(seed=1)
    env.step(ord("1"))
    copy = pickle.loads(pickle.dumps(env))
    for token in [ord(";"), *b"99", EOS]:
        ours, theirs = env.step(token), copy.step(token)
        assert ids(ours[0]) == ids(theirs[0])
        assert ours[1:] == theirs[1:]
    assert env.reset()[1] == copy.reset()[1]


def two_turns(task: Task, turns: Sequence[str]) -> str | None:
    return f"Not {turns[0]}." if len(turns) == 1 and task.gold not in turns[0] else None


@given(
    tokens=st.lists(st.sampled_from([*b"01468; ab", 0xC3, 0xA9, EOS, 257]), min_size=1, max_size=20),
    budget=st.integers(1, 20),
    stop=st.lists(st.sampled_from([";", "ab", "é"]), max_size=2),
    reply=st.sampled_from([None, two_turns]),
    task=st.sampled_from(["0", "2", "3", "4"]),
)
def test_one_trajectory_on_three_paths(tokens: list[int], budget: int, stop: list[str], reply: Any, task: str) -> None:
    env = sums(max_new_tokens=budget, stop=stop, reply=reply)
    steps = []
    prompt = ids(env.reset(options={"task": task})[0])
    for token in tokens:
        steps.append(env.step(token))
        if steps[-1][2] or steps[-1][3]:
            break

    episode = env.begin(env.source.get(task))
    taken = 0
    while taken < len(tokens) and not episode.done:
        taken += episode.extend(tokens[taken:])
    assert taken == len(steps)
    assert episode.prompt_ids == prompt
    assert ids(steps[-1][0]) == prompt + episode.ids
    assert steps[-1][2:4] == (episode.terminated, episode.truncated)
    if episode.done:
        assert steps[-1][1] == env.grade(episode.text, episode.task).reward

    many = TokenVectorEnv(env, 2)
    observation, _ = many.reset(options={"task": [task, "1"]})
    assert ids({key: value[0] for key, value in observation.items()}) == prompt
    for token, alone in zip(tokens, steps, strict=False):
        observation, rewards, terminated, truncated, infos = many.step(np.array([token, ord("x")]))
        assert ids({key: value[0] for key, value in observation.items()}) == ids(alone[0])
        assert (rewards[0], terminated[0], truncated[0]) == alone[1:4]
        if alone[4]:
            assert infos["gold"][0] == alone[4]["gold"]
            assert infos["verdict"]["outcome"][0] == alone[4]["verdict"]["outcome"]
        else:
            assert not infos.get("_gold", [False])[0]


def test_byte_tokenizer_is_the_default() -> None:
    assert isinstance(sums().tokenizer, ByteTokenizer)


NO_SYSTEM = "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}{% endfor %}"


def test_a_system_message_reaches_the_prompt_or_its_row_is_refused(tmp_path: Path) -> None:
    rows = [{"problem": "1 + 1?", "answer": "2"}, {"problem": "2 + 2?", "answer": "4", "system": "Be brief."}]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = fake_envs.chat_tokenizer()
    env = simko.envs.make("simko/JSONL-v0", data=path, split="all", tokenizer=tokenizer)
    for task in env.source.tasks(None, 0):
        shown = tokenizer.decode(env.prompt_ids(task))
        assert ("<|im_start|>system\nBe brief.<|im_end|>" in shown) == (task.system is not None)
        observation, info = env.reset(options={"task": task.id})
        assert (
            observation["tokens"][: observation["length"]].tolist()
            == env.begin(task).prompt_ids
            == env.prompt_ids(task)
        )
        assert info["text"] in shown
    settings = {"data": path, "split": "all", "tokenizer": fake_envs.chat_tokenizer(NO_SYSTEM)}
    with pytest.raises(UserError, match=r"a\.jsonl:2: .*system"):
        simko.envs.make("simko/JSONL-v0", **settings)
    good = simko.envs.make("simko/JSONL-v0", **settings, source_options={"keep_good_rows": True}).source
    assert (good.size, len(good.bad_rows)) == (1, 1)  # type: ignore[attr-defined]


def test_a_long_system_message_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"problem": "1 + 1?", "answer": "2", "system": "word " * 100}) + "\n")
    assert simko.envs.make("simko/JSONL-v0", data=path, split="all", max_prompt_tokens=700).source.size == 1
    with pytest.raises(UserError, match=r"makes a prompt of \d+ tokens"):
        simko.envs.make("simko/JSONL-v0", data=path, split="all", max_prompt_tokens=400)


def test_a_context_caps_what_an_answer_may_have() -> None:
    env = sums(context=12)
    assert env.max_length == 12
    tasks = [env.source.get(id) for id in ("3", "7")]
    assert [len(env.prompt_ids(task)) for task in tasks] == [8, 8]
    for task in tasks:
        env.reset(options={"task": task.id})
        steps = [env.step(ord("a"))[2:4] for _ in range(4)]
        assert steps == [(False, False)] * 3 + [(False, True)]
        assert env.begin(task).budget_left == 4
    assert sums(context=14).begin(tasks[0]).budget_left == sums(context=999).begin(tasks[0]).budget_left == 6
    with pytest.raises(
        UserError, match="task '3' has 8 tokens, and the model takes 8, prompt and answer together; leave"
    ):
        sums(context=8).begin(tasks[0])


def test_a_reply_that_fills_the_context_truncates() -> None:
    env = sums(context=13, reply=fake_envs.again)
    episode = env.begin(env.source.get("3"))
    episode.extend([*b"1", EOS])
    assert (episode.terminated, episode.truncated, len(episode.ids)) == (False, True, 5)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("It is \\boxed{4}", "no_answer"),
        ("4", "no_answer"),
        ("It is \\boxed{3}.</think>It is \\boxed{4}.", "correct"),
        ("It is \\boxed{4}.</think>It is \\boxed{3}.", "incorrect"),
        ("<think>three</think>4", "correct"),
    ],
)
@pytest.mark.parametrize("verifier", ["math", "numeric", "exact"])
def test_a_thought_that_the_template_opens_is_not_graded(text: str, outcome: str, verifier: str) -> None:
    env = simko.envs.make(
        "simko/Arithmetic-v0", level=1, verifier=verifier, template="{problem}\n<think>\n", max_new_tokens=99
    )
    tokens = [*text.encode(), EOS]
    task = env.source.get("arithmetic/train/1/5")
    assert task.gold == "4"
    env.reset(options={"task": task.id})
    info = [env.step(token)[4] for token in tokens][-1]
    episode = env.begin(task)
    episode.extend(tokens)
    stored = simko.envs.grade(episode.text, task.gold, verifier)  # as rescore reads a record
    assert info["verdict"]["outcome"] == env.grade(episode.text, task).outcome == stored.outcome == outcome


@pytest.mark.parametrize(
    ("stop", "text", "outcome"),
    [
        ("</answer>", "I add. <answer>4</answer>", "correct"),
        ("</answer>", "<answer> 5 </answer>", "incorrect"),
        ("\n\n", "The answer is 4.\n\n", "correct"),
        ("}", "\\boxed{4}", "correct"),
        ("</think>", "<think>\\boxed{4}</think>", "no_answer"),
    ],
)
def test_the_stop_string_that_was_sampled_is_graded(stop: str, text: str, outcome: str) -> None:
    env = simko.envs.make("simko/Arithmetic-v0", level=1, verifier="math", stop=[stop], max_new_tokens=99, attempts=2)
    task = env.source.get("arithmetic/train/1/5")
    episode = env.begin(task)
    episode.extend(text.encode())
    assert episode.turns == [text]
    assert env.grade(episode.turns[0], task).outcome == outcome
    assert episode.done == (outcome != "incorrect" and outcome != "no_answer")
