"""The contract checker of environments: Gymnasium's `check_env`, and the further rules that RLVR needs.

for result in check("my_pkg:my/Env-v0"):
    print(result.name, result.passed, result.detail)
"""

from __future__ import annotations

import math
import pickle
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from simko.envs import registry
from simko.envs.audit import probe
from simko.envs.audit.probe import Step, Subject
from simko.envs.split import normalise
from simko.envs.verifiers.answer.visible import closing_of
from simko.errors import UserError


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check. `detail` says what is wrong, or what could not be checked."""

    name: str
    passed: bool
    detail: str = ""


def check(
    id: str,
    data: str | None = None,
    level: Any = None,
    split: str | None = None,
    tokenizer: str | None = None,
    source_options: dict[str, Any] | None = None,
) -> list[CheckResult]:
    """Run every check on the environment `id` (or `"module:id"`, `"jsonl:PATH"`). A check that fails stops no other.

    Without a `split`, the training split is checked, or evaluation if there is no training split. Raises `UserError` if
    the environment cannot be made at all: the id is unknown, or there is no data.
    """
    settings = {"data": data and str(data), "level": level, "tokenizer": tokenizer and str(tokenizer)}
    settings |= {"source_options": source_options}
    settings = {key: value for key, value in settings.items() if value is not None}
    subject = Subject(id, {**settings, "split": split or probe.first_split(Subject(id, settings))})
    subject.make()
    return [_run(name, look, subject) for name, look in CHECKS.items()]


def _run(name: str, look: Callable[[Subject], str | None], subject: Subject) -> CheckResult:
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            note = look(subject)
    except Exception as error:  # any error of an author's code is a finding
        kind = "" if isinstance(error, _ContractError) else f"{type(error).__name__}: "
        return CheckResult(name, False, f"{kind}{error}")
    messages = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    return CheckResult(name, not messages, "; ".join(messages) or note or "")


_UNKNOWN = "nothing to compare: the source knows no right answers"


class _ContractError(Exception):
    """The environment does not keep the contract."""


def _require(condition: Any, what: str) -> None:
    if not condition:
        raise _ContractError(what)


def _gymnasium(subject: Subject) -> None:
    check_env(subject.make())


def _types(subject: Subject) -> None:
    env = subject.make()
    for seed in range(4):
        first, _ = env.reset(seed=seed)
        _require(first in env.observation_space, "the observation of reset is not in its space")
        copy = first["tokens"].copy()
        for observation, reward, terminated, truncated, _ in probe.steps(env, probe.random_tokens(env, seed)):
            _require(observation in env.observation_space, "an observation is not in its space")
            _require(isinstance(reward, float) and math.isfinite(reward), f"reward {reward!r} is not a finite float")
            _require(type(terminated) is bool and type(truncated) is bool, "terminated and truncated must be bool")
            _require(not (terminated and truncated), "an episode both terminated and truncated")
            _require(reward == 0.0 or terminated or truncated, f"reward {reward} before the end")
            _require(observation["tokens"] is not first["tokens"], "two observations are one array")
        _require(np.array_equal(first["tokens"], copy), "an observation changed after it was returned")


def _budget(subject: Subject) -> None:
    env = subject.make()
    env.reset(seed=0)
    taken = list(probe.steps(env, probe.dull_tokens(env, env.max_new_tokens)))
    _require(taken and (taken[-1][2] or taken[-1][3]), f"no end within max_new_tokens = {env.max_new_tokens}")
    if env.stop_ids and env.single_turn:
        env.reset(seed=0)
        step = env.step(min(env.stop_ids))
        _require(step[2] and not step[3], "EOS did not terminate the episode")


def _after_the_end(subject: Subject) -> None:
    env = subject.make()
    for when in ("before reset", "after the end"):
        try:
            env.step(0)
        except ResetNeeded:
            pass
        else:
            raise _ContractError(f"a step {when} does not raise gymnasium.error.ResetNeeded")
        first, _ = env.reset(seed=0)
        for _ in probe.steps(env, probe.dull_tokens(env, env.max_new_tokens)):
            pass
    again, _ = env.reset(seed=0)
    _require(probe.ids(again) == probe.ids(first), "reset after the end does not begin anew")


def _gold_hidden(subject: Subject) -> None:
    env = subject.make()
    leaks: list[set[str]] = []
    for seed, task in enumerate(probe.sample(env, 4)):
        prompt = env.prompt_ids(task)
        _require(prompt == env.prompt_ids(replace(task, gold="-")), "the prompt depends on the gold answer")
        observation, info = env.reset(seed=seed, options={"task": task.id})
        _require(probe.ids(observation) == prompt, "the first observation is not the prompt of the task")
        places = probe.gold_places("reset", info, task)
        episode = env.begin(task)
        for token in probe.random_tokens(env, seed):
            observation, _, terminated, truncated, info = env.step(token)
            episode.push(token)
            _require(
                probe.ids(observation) == prompt + episode.ids, "an observation is not prompt, actions and replies"
            )
            if terminated or truncated:
                break
            places |= probe.gold_places("step", info, task)
        _require(not probe.reply_tells_gold(env, episode), "a reply of the environment tells the gold answer")
        leaks.append(places)
    always = set.intersection(*leaks)  # a gold answer may equal a count or an id by chance, but not in every task
    _require(not always, f"the gold answer is in info before the end: {', '.join(sorted(always))}")


def _gold_correct(subject: Subject) -> str | None:
    env = subject.make()
    known = 0
    for task in probe.sample(env, 5):
        answer = probe.answer(env, task)
        if answer is None:
            continue
        known += 1
        verdict = env.grade(answer, task)
        _require(verdict.correct, f"the gold answer of task '{task.id}' grades {verdict.outcome}: {answer[:80]!r}")
        if not env.stop_ids:
            continue
        thought = env.begin(task).thought
        spoken = (
            closing_of(thought) + answer if thought else answer
        )  # the answer comes after a thought that the prompt opens
        tokens = [*env.tokenizer.encode(spoken, add_special_tokens=False), min(env.stop_ids)]
        _require(len(tokens) <= env.max_new_tokens, f"the gold answer of '{task.id}' does not fit max_new_tokens")
        env.reset(options={"task": task.id})
        *_, (_, reward, _, _, info) = probe.steps(env, tokens * env.max_new_tokens)
        outcome = info["verdict"]["outcome"]
        _require(outcome == "correct", f"the gold answer of task '{task.id}', stepped through, grades {outcome}")
        _require(reward == verdict.reward, f"step gives reward {reward} where grade gives {verdict.reward}")
        _require(info.get("gold") == task.gold, "info has no gold answer at the end")
    notes = _several_golds(subject) if known else [_UNKNOWN]
    if not env.stop_ids:
        notes.append("the tokenizer has no EOS: graded as text alone")
    return "; ".join(notes) or None


def _several_golds(subject: Subject) -> list[str]:
    """Problems with several gold answers, a line for each split that has some."""
    notes = []
    for split in ("train", "eval"):
        try:
            told = probe.several_golds(subject.make(split=split))
        except UserError:
            continue  # there is no such split
        if told and told not in notes:
            notes.append(told)
    return notes


def _other_gold(subject: Subject) -> str | None:
    env = subject.make()
    tasks = probe.sample(env, 8)
    for task in tasks:
        _require(not env.grade("", task).correct, f"an empty answer to task '{task.id}' grades correct")
    pairs = [(a, b) for a, b in pairwise(tasks) if a.gold != b.gold]
    answers = {task.id: probe.answer(env, task) for task in tasks}
    if None in answers.values():
        return _UNKNOWN
    for task, other in pairs:
        answer = str(answers[other.id])
        if probe.is_listed(answer, task):
            continue
        _require(
            not env.grade(answer, task).correct,
            f"the gold answer of task '{other.id}' ({answer[:40]!r}) grades correct on '{task.id}' too",
        )
    return None if pairs else "all tasks have one gold answer: nothing to compare"


def _splits(subject: Subject) -> str | None:
    problems: dict[str, set[str]] = {}
    for split in ("train", "eval"):
        try:
            env = subject.make(split=split)
            tasks = probe.sample(env, 100) if env.source.size is None else env.source.tasks(None, seed=0)
        except UserError as error:
            return f"not compared, there is no split '{split}': {error}"
        if env.source.size == 1:
            return "one problem only: there is nothing to hold out"
        if getattr(env.source, "is_seeded", False):
            return "not compared: problems of one text differ in what they hide, so their numbers decide the split"
        problems[split] = {normalise(task.problem) for task in tasks}
    both = problems["train"] & problems["eval"]
    if problems["train"] == problems["eval"] and Path(str(subject.settings.get("data"))).is_file():
        return "one file serves as both splits: give a folder with one for each to hold problems out"
    _require(not both, f"{len(both)} problems are in train and in eval: {min(both, default='')[:80]!r}")
    return None


def _seeds(subject: Subject) -> None:
    env = subject.make()
    before = random.getstate(), np.random.get_state()
    try:
        random.seed(1)
        np.random.seed(1)
        watched = repr((random.getstate(), np.random.get_state()))
        first = probe.digest(env)
        _require(watched == repr((random.getstate(), np.random.get_state())), "a global random generator was used")
        random.seed(2)
        np.random.seed(2)
        _require(probe.digest(env) == first, "the same seeds gave another trajectory")
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
    drawn = {env.reset(seed=seed)[1]["task"] for seed in range(20)}
    _require(len(drawn) > 1 or len(probe.sample(env, 2)) == 1, "20 seeds all drew the same task")


def _picklable(subject: Subject) -> None:
    env = subject.make()
    _require(env.spec is not None, "env.spec is None")
    through_json = EnvSpec.from_json(env.spec.to_json()) if env.spec else None
    same = through_json == env.spec == pickle.loads(pickle.dumps(env.spec))
    _require(same, "the spec changes through JSON or pickle")
    env.reset(seed=0)
    for token in probe.dull_tokens(env, min(3, env.max_new_tokens - 1)):
        env.step(token)
    twin = pickle.loads(pickle.dumps(env))
    tokens = probe.random_tokens(env, 0)
    ours, theirs = list(probe.steps(env, tokens)), list(probe.steps(twin, tokens))
    same = len(ours) == len(theirs) and all(map(probe.equal, ours, theirs))
    _require(same, "a pickled copy continues differently from the environment itself")


def _processes(subject: Subject) -> None:
    env = subject.make()
    ours = probe.digest(env)
    env.close()  # a server may have room for one
    theirs = probe.digest_elsewhere(subject)
    _require(ours == theirs, "another process gets other trajectories for the same seeds")


def _vector(subject: Subject) -> None:
    single, seeds = subject.make(), [5, 6, 6]
    name, settings = registry.resolve(subject.id, subject.settings)
    many = gymnasium.make_vec(name, num_envs=3, **settings)
    tokens = [probe.random_tokens(single, slot) for slot in range(3)]
    observation, _ = many.reset(seed=seeds)  # type: ignore[arg-type]  # a list, as in Gymnasium's own
    expected: list[list[Step]] = []
    for slot, seed in enumerate(seeds):
        first, _ = single.reset(seed=seed)
        same = probe.ids(observation, slot) == probe.ids(first)
        _require(same, f"slot {slot} begins differently from the single environment")
        expected.append(list(probe.steps(single, tokens[slot])))
    for t in range(max(map(len, expected))):
        observation, rewards, terminated, truncated, _ = many.step(np.array([row[t] for row in tokens]))
        for slot, alone in enumerate(expected):
            got = float(rewards[slot]), bool(terminated[slot]), bool(truncated[slot])
            if t < len(alone):
                same = probe.ids(observation, slot) == probe.ids(alone[t][0]) and got == alone[t][1:4]
                _require(same, f"slot {slot} differs from the single environment at token {t}")
            elif many.metadata.get("autoreset_mode") == AutoresetMode.DISABLED:
                same = got == (0.0, *alone[-1][2:4])
                _require(same, f"the finished slot {slot} does not keep its flags with reward 0")
    many.close()


def _fast_path(subject: Subject) -> None:
    env = subject.make()
    for seed in range(4):
        _, info = env.reset(seed=seed)
        episode = env.begin(env.source.get(info["task"]))
        tokens = probe.random_tokens(env, seed)
        for token, step in zip(tokens, probe.steps(env, tokens), strict=False):
            episode.push(token)
            same = probe.ids(step[0]) == episode.prompt_ids + episode.ids
            same = same and step[2:4] == (episode.terminated, episode.truncated)
            _require(same, "begin and push give other results than reset and step")
        if episode.done:
            verdict = env.grade(episode.text, episode.task)
            same = (verdict.reward, verdict.outcome) == (step[1], step[4]["verdict"]["outcome"])
            _require(same, f"grade gives {verdict.reward} where step gives {step[1]}")


CHECKS: dict[str, Callable[[Subject], str | None]] = {
    "gymnasium's check_env": _gymnasium,
    "observations, rewards, flags": _types,
    "ends within its budget": _budget,
    "before reset and after the end": _after_the_end,
    "no gold before the end": _gold_hidden,
    "gold grades correct": _gold_correct,
    "another gold does not": _other_gold,
    "train and eval disjoint": _splits,
    "seeds": _seeds,
    "picklable": _picklable,
    "equal across processes": _processes,
    "vector equals single": _vector,
    "fast path equals steps": _fast_path,
}
