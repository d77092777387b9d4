"""Tools and another try: what the policy is told, what the verifier sees, and which tokens are whose."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from fake_envs import chat_tokenizer

import simko.envs
from simko.envs import Episode, TokenEnv, tool_reply
from simko.envs.audit.contract import CHECKS, _run, check
from simko.envs.audit.probe import Subject
from simko.envs.turns import AGAIN, NO_CALLS_LEFT, TryAgain, with_attempts
from simko.errors import UserError
from simko.types import Task, Verdict

SINGLE = [i.id for i in simko.envs.registry.BUNDLED if i.reply is None and i.source == "procedural"]
TASK = Task("t", "?", "42")


def shout(text: str) -> str:
    return text.upper()


def fail(text: str) -> str:
    if text == "why":
        raise ValueError("because")
    raise RuntimeError("secret")


tools = tool_reply({"shout": shout, "fail": fail}, max_calls=2)


@simko.envs.task("fake/Tools-v0", verifier="exact", reply=tools, max_new_tokens=96)
def loud(rng: np.random.Generator, level: int) -> tuple[str, str]:
    word = "".join("abcdefgh"[i] for i in rng.integers(8, size=6))
    return f"Shout {word}.", word.upper()


def say(env: TokenEnv, episode: Episode, *turns: str) -> str:
    """Each turn, ended by a stop string of its own or by EOS; returns what the environment said."""
    before = len(episode.ids)
    for turn in turns:
        ids = env.tokenizer.encode(turn, add_special_tokens=False)
        episode.extend([*ids, min(env.stop_ids)])
    spoken = [i for i, sampled in zip(episode.ids[before:], episode.sampled[before:], strict=True) if not sampled]
    return env.tokenizer.decode(spoken, skip_special_tokens=True)


@pytest.mark.parametrize(
    ("turns", "reply"),
    [
        (["<shout>hello"], "HELLO"),
        (["thinking... <shout> a <shout>b "], "B"),  # the last opening tag
        (["<shout>x <fail>why"], "Error: because"),
        (["<fail>"], "Error: fail failed (RuntimeError)"),  # and nothing of what the tool said
        (["<fail>", "<shout>b"], "B"),
        (["<fail>", "<shout>b", "<shout>c"], NO_CALLS_LEFT),
        (["<fail>", "<shout>b", "<shout>c", "<shout>d"], None),
        (["42"], None),
        (["<shout>a", "42"], None),
        (["<shouts>a"], None),
        (["shout>a"], None),
        ([""], None),
    ],
)
def test_what_a_tool_replies(turns: list[str], reply: str | None) -> None:
    assert tools(TASK, turns) == reply


def test_a_long_result_is_cut_and_the_numbers_agree() -> None:
    long = tool_reply({"shout": shout}, max_calls=1)(TASK, ["<shout>" + "a" * 10_000])
    assert long == "A" * 400
    assert (tools.stop, tools.turns, tools.last_turn_only) == (("</shout>", "</fail>"), 4, True)


@pytest.mark.parametrize("arguments", [({}, 1), ({"a b": shout}, 1), ({"": shout}, 1), ({"a": shout}, 0)])
def test_tool_reply_refuses(arguments: tuple[dict, int]) -> None:
    with pytest.raises(UserError, match="tool"):
        tool_reply(*arguments)


def test_an_authors_tools_through_the_decorator() -> None:
    info = next(info for info in simko.envs.specs() if info.id == "fake/Tools-v0")
    assert (info.reply, info.turns) == ("test_turns:tools", 4)
    env = simko.envs.make("fake/Tools-v0")
    assert env.stop == ("</shout>", "</fail>")
    assert simko.envs.make("fake/Tools-v0", stop=["</fail>", "!"]).stop == ("</fail>", "!", "</shout>")
    task = env.source.tasks(1, seed=0)[0]
    episode = env.begin(task)
    assert say(env, episode, f"<shout>{task.gold.lower()}</shout> and more") == f"\n{task.gold}\n"
    assert say(env, episode, task.gold) == ""
    assert episode.terminated
    assert (episode.text, env.grade(episode.text, task).outcome) == (task.gold, "correct")
    with pytest.raises(UserError, match="not at the top level"):
        simko.envs.task("fake/Nowhere-v0", reply=tool_reply({"shout": shout}))(loud)
    simko.envs.task("fake/Named-v0", reply="test_turns:tools")(loud)
    assert simko.envs.make("fake/Named-v0").reply is tools


def test_the_verifier_sees_the_last_turn_alone() -> None:
    """The right answer as a tool's input, or in an attempt before the last, is not an answer."""
    env = simko.envs.make("fake/Tools-v0")
    task = env.source.tasks(1, seed=0)[0]
    episode = env.begin(task)
    say(env, episode, f"{task.gold} <shout>a</shout>", "no")
    assert (episode.done, episode.text, len(episode.turns)) == (True, "no", 2)
    assert not env.grade(episode.text, task).correct


def test_the_checker_passes_tools() -> None:
    assert [r for r in check("test_turns:fake/Tools-v0") if not r.passed] == []


@pytest.mark.parametrize("id", ["simko/Arithmetic-v0", "simko/Countdown-v0"])
def test_the_checker_passes_another_try(id: str) -> None:
    results = [_run(name, look, Subject(id, {"attempts": 3, "split": "train"})) for name, look in CHECKS.items()]
    assert [r for r in results if not r.passed] == []


@pytest.mark.parametrize("id", SINGLE)
def test_another_try_on_every_single_turn_environment(id: str) -> None:
    env = simko.envs.make(id, attempts=2)
    once = simko.envs.make(id)
    assert not env.single_turn
    assert once.single_turn
    assert env.max_new_tokens == with_attempts(once.max_new_tokens, 2) > 2 * once.max_new_tokens
    assert simko.envs.make(id, attempts=2, max_new_tokens=17).max_new_tokens == 17
    task = env.source.tasks(1, seed=0)[0]
    right = env.source.answer(task)  # type: ignore[attr-defined]
    first = env.begin(task)
    assert (say(env, first, right), first.terminated) == ("", True)
    second = env.begin(task)
    assert say(env, second, "%") == f"\n{AGAIN}\n"
    assert not second.done
    assert (say(env, second, right), second.terminated) == ("", True)
    assert env.grade(second.text, task).correct
    never = env.begin(task)
    say(env, never, "%", "%")
    assert never.terminated
    assert env.conclude(never)[0] == 0.0


def test_another_try_through_the_gym_api_and_in_a_batch(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"problem": f"{n} + 1 =", "answer": str(n + 1)}) + "\n" for n in range(40)))
    env = gymnasium.make("simko/JSONL-v0", data=str(file), attempts=3)
    _, info = env.reset(seed=0)
    bare: TokenEnv = env.unwrapped  # type: ignore[assignment]
    gold = bare.source.get(info["task"]).gold
    eos = min(bare.stop_ids)
    rewards, done = [], False
    for token in [*b"\\boxed{999}", eos, *b"\\boxed{998}", eos, *b"\\boxed{%s}" % gold.encode(), eos]:
        assert not done
        _, reward, terminated, truncated, info = env.step(token)
        rewards.append(reward)
        done = terminated or truncated
    assert done
    assert (sum(rewards), rewards[-1], info["verdict"]["outcome"]) == (1.0, 1.0, "correct")
    many = gymnasium.make_vec("simko/JSONL-v0", num_envs=2, data=str(file), attempts=2)
    many.reset(seed=0)
    observation, *_ = many.step(np.array([eos, eos]))
    assert not any(many.step(np.array([65, 65]))[2])
    assert bytes(int(t) for t in observation["tokens"][0] if 0 < t < 256).endswith(f"\n{AGAIN}\n".encode())


def test_a_correct_first_answer_is_not_undone_and_the_last_answer_counts() -> None:
    """A later attempt that is cut off before its first token leaves the earlier one as the last."""
    env = simko.envs.make("simko/Arithmetic-v0", attempts=2, max_new_tokens=20)
    task = env.source.tasks(1, seed=0)[0]
    episode = env.begin(task)
    say(env, episode, "-1")
    assert (episode.truncated, episode.text) == (True, "-1")
    assert len(episode.ids) == 20


def test_a_verifier_that_fails_says_nothing() -> None:
    def verdict(outcome: str) -> TryAgain:
        return TryAgain(lambda text, task: Verdict(outcome, 0.0), 2)  # type: ignore[arg-type]

    replies = {o: verdict(o)(TASK, ["x"]) for o in ("correct", "incorrect", "no_answer", "timeout", "error")}
    assert replies == {"correct": None, "incorrect": AGAIN, "no_answer": AGAIN, "timeout": None, "error": None}


def test_the_last_attempt_is_the_one_that_is_graded() -> None:
    three = TryAgain(lambda text, task: Verdict("correct" if text == "42" else "incorrect", 0.0), 3)
    assert [three(TASK, turns) for turns in (["1"], ["1", "2"], ["1", "42"], ["1", "2", "3"])] == [
        AGAIN,
        AGAIN,
        None,
        None,
    ]


def test_the_feedback_is_the_same_whatever_the_gold() -> None:
    def wrong(text: str, task: Task) -> Verdict:
        return Verdict("incorrect", 0.25, task.gold)

    assert {TryAgain(wrong, 2)(Task("t", "", gold), ["x"]) for gold in ("1", "2", "no")} == {AGAIN}


def test_an_authors_own_grade_decides() -> None:
    class Lenient(TokenEnv):
        def grade(self, text: str, task: Task) -> Verdict:
            return Verdict("correct" if "yes" in text else "incorrect", 0.0)

    env = Lenient("simko.envs.puzzles.arithmetic:Arithmetic", "numeric", attempts=2)
    episode = env.begin(env.source.tasks(1, seed=0)[0])
    assert say(env, episode, "yes") == ""
    assert episode.terminated


@pytest.mark.parametrize("attempts", [0, -1, True, "2"])
def test_what_attempts_are_refused(attempts: object) -> None:
    with pytest.raises(UserError, match="attempts is"):
        simko.envs.make("simko/Arithmetic-v0", attempts=attempts)


def test_attempts_on_an_environment_that_answers_back_are_refused() -> None:
    with pytest.raises(UserError, match="answers back already"):
        simko.envs.make("simko/GuessNumber-v0", attempts=2)
    assert simko.envs.make("simko/GuessNumber-v0", attempts=1).attempts == 1


@pytest.mark.parametrize(
    ("id", "settings", "first"),
    [
        ("simko/Arithmetic-v0", {"attempts": 3}, [*b"no", 256]),
        ("simko/Calculator-v0", {}, [*b"<calc>1+1</calc>"]),
    ],
)
def test_pickled_in_the_middle_of_a_talk(id: str, settings: dict, first: list[int]) -> None:
    env = simko.envs.make(id, **settings)
    env.reset(seed=0)
    for token in first:
        env.step(token)
    twin = pickle.loads(pickle.dumps(env))
    assert not env.episode.sampled[-1]  # type: ignore[union-attr]  # the environment spoke
    for token in [*first, *b"0"]:
        ours, theirs = env.step(token), twin.step(token)
        assert np.array_equal(ours[0]["tokens"], theirs[0]["tokens"])
        assert ours[1:] == theirs[1:]


def test_chat_templates_frame_what_the_environment_says() -> None:
    """After a stop string the template's own end of turn comes first; after the policy's own, it is not said twice."""
    tokenizer = chat_tokenizer()
    env = simko.envs.make("simko/Calculator-v0", tokenizer=tokenizer)
    episode = env.begin(env.source.tasks(1, seed=0)[0])
    episode.extend(tokenizer.encode("<calc>6*7</calc>", add_special_tokens=False))
    spoken = [i for i, sampled in zip(episode.ids, episode.sampled, strict=True) if not sampled]
    assert tokenizer.decode(spoken) == "<|im_end|>\n<|im_start|>user\n42<|im_end|>\n<|im_start|>assistant\n"
    retry = simko.envs.make("simko/Arithmetic-v0", tokenizer=tokenizer, attempts=2)
    episode = retry.begin(retry.source.tasks(1, seed=0)[0])
    episode.extend([*tokenizer.encode("x", add_special_tokens=False), tokenizer.convert_tokens_to_ids("<|im_end|>")])
    spoken = [i for i, sampled in zip(episode.ids, episode.sampled, strict=True) if not sampled]
    assert tokenizer.decode(spoken) == f"\n<|im_start|>user\n{AGAIN}<|im_end|>\n<|im_start|>assistant\n"
