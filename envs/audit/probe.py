"""The tools of the contract checker: the environment under test, tokens to step through it, and readings of the result."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simko.envs import registry
from simko.envs.data import rows
from simko.envs.episode import Episode
from simko.envs.token_env import TokenEnv
from simko.envs.verifiers import FOREIGN
from simko.errors import UserError
from simko.types import Task

Step = tuple[dict[str, Any], float, bool, bool, dict[str, Any]]
ROLL = 48  # tokens in a random episode, at most
SECONDS = 120  # time limit of the second process


@dataclass(frozen=True, slots=True)
class Subject:
    """The environment under test. A check may make it as often as it needs. `settings` can be written as JSON."""

    id: str
    settings: dict[str, Any]

    def make(self, **changes: Any) -> TokenEnv:
        """A fresh environment."""
        return registry.make(self.id, **{**self.settings, **changes})


def first_split(subject: Subject) -> str:
    """`"train"`, or `"eval"` if there is no training split. Raises the `UserError` of train if there is neither."""
    try:
        subject.make(split="train")
    except UserError as error:
        try:
            subject.make(split="eval")
        except UserError:
            raise error from None
        return "eval"
    return "train"


def sample(env: TokenEnv, count: int) -> list[Task]:
    """Up to `count` tasks. A small source has fewer."""
    count = count if env.source.size is None else min(count, env.source.size)
    while True:
        try:
            return env.source.tasks(count, seed=0)
        except UserError:
            if count == 1:
                raise
            count = max(1, count // 2)


def answer(env: TokenEnv, task: Task) -> str | None:
    """A response that must grade correct: the source's `answer(task)` if it has one, else the gold answer.

    None: the source says that it knows none.
    """
    make = getattr(env.source, "answer", None)
    response = make(task) if make else task.gold
    return None if response is None else str(response)


def several_golds(env: TokenEnv) -> str | None:
    """How many problems of a data set have gold answers that differ, and the first of them; None if there is none.

    A problem of several turns may well have: the number that is guessed is no part of it.
    """
    if env.source.size is None or not env.single_turn or env.verifier_name in FOREIGN:
        return None
    return rows.several_golds(
        env.source.name,
        env.source.tasks(None, seed=0),
        env.verifier_name,
        lambda task, other: env.grade(answer(env, other) or "", task).correct,
    )


def is_listed(answer: str, task: Task) -> bool:
    """Whether the gold answer is a JSON list of right answers that has `answer` in it."""
    try:
        gold = json.loads(task.gold)
    except (ValueError, RecursionError):
        return False
    return isinstance(gold, list) and answer in gold


def random_tokens(env: TokenEnv, seed: int) -> list[int]:
    """Random token ids. One of them ends a turn, if the tokenizer has such a token."""
    rng = np.random.default_rng(seed)
    tokens = [int(t) for t in rng.integers(len(env.tokenizer), size=min(ROLL, env.max_new_tokens))]
    if env.stop_ids:
        tokens[int(rng.integers(len(tokens)))] = min(env.stop_ids)
    return tokens


def dull_tokens(env: TokenEnv, count: int) -> list[int]:
    """`count` tokens that do not end a turn."""
    letter = [t for t in env.tokenizer.encode("a", add_special_tokens=False) if t not in env.stop_ids]
    return (letter * count)[:count]


def steps(env: TokenEnv, tokens: list[int]) -> Iterator[Step]:
    """Step through `tokens` until the episode ends."""
    for token in tokens:
        step = env.step(token)
        yield step
        if step[2] or step[3]:
            return


def ids(observation: dict[str, Any], slot: int | None = None) -> list[int]:
    """The token ids of an observation, or of one slot of a batched one."""
    tokens, length = observation["tokens"], observation["length"]
    if slot is not None:
        tokens, length = tokens[slot], length[slot]
    return [int(t) for t in tokens[: int(length)]]


def equal(a: Step, b: Step) -> bool:
    """Whether two steps returned the same results."""
    return ids(a[0]) == ids(b[0]) and a[1:] == b[1:]


def gold_places(call: str, info: dict[str, Any], task: Task) -> set[str]:
    """The places in `info` that hold the gold answer or a verdict."""
    named = {f"{call} info['{key}']" for key in ("gold", "verdict") if key in info}
    return named | {f"{call} info{path}" for path, value in _leaves(info) if str(value) == task.gold}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in nested dicts and lists, each with its place before it."""
    if isinstance(value, dict | list | tuple):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{path}[{key!r}]")
    else:
        yield path, value


def reply_tells_gold(env: TokenEnv, episode: Episode) -> bool:
    """Whether the environment's replies hold the gold answer as a whole word that neither problem nor policy said."""
    replies = env.tokenizer.decode([i for i, sampled in zip(episode.ids, episode.sampled, strict=True) if not sampled])
    whole = re.compile(rf"(?<!\w){re.escape(episode.task.gold)}(?!\w)")
    return bool(whole.search(replies)) and not whole.search(f"{episode.task.problem}\n{episode.text}")


def digest(env: TokenEnv) -> str:
    """A hash of the trajectories of random actions for three seeds. Equal environments have equal digests."""
    digest = hashlib.sha256()
    for seed in range(3):
        observation, info = env.reset(seed=seed)
        digest.update(repr((ids(observation), sorted(info.items()))).encode())
        for observation, *rest in steps(env, random_tokens(env, seed)):
            digest.update(repr((ids(observation), *rest)).encode())
    return digest.hexdigest()


def digest_elsewhere(subject: Subject) -> str:
    """The digest of the same environment in a second process, which has another hash seed (another order of sets).

    Raises `RuntimeError` with that process's last line if the environment cannot be made there.
    """
    path = os.pathsep.join(p or os.getcwd() for p in sys.path)
    request = json.dumps({"id": _importable_id(subject), "settings": subject.settings})
    process = subprocess.run(
        [sys.executable, "-c", "from simko.envs.audit.probe import second_process; second_process()", request],
        env={
            **os.environ,
            "PYTHONPATH": path,
            "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if process.returncode != 0:
        raise RuntimeError((process.stderr.strip().splitlines() or ["no message"])[-1])
    return process.stdout.split()[-1]


def second_process() -> None:
    """The main function of the second process: print the digest."""
    request = json.loads(sys.argv[1])
    print(digest(Subject(request["id"], request["settings"]).make()))


def _importable_id(subject: Subject) -> str:
    """The id behind the name of the module that registers it, `"module:id"`."""
    if ":" in subject.id:
        return subject.id
    spec = subject.make().spec
    entry = spec and spec.entry_point
    # an environment of `@task` has the author's module in the source's entry point
    source = spec.kwargs.get("env", {}).get("source", entry) if spec else None
    module = source.partition(":")[0] if isinstance(source, str) else str(getattr(source, "__module__", "__main__"))
    if module == "__main__":
        raise RuntimeError("it is defined in a script or notebook, which other processes cannot import: use a module")
    return f"{module}:{subject.id}"
