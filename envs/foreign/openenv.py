"""Servers of OpenEnv: a task is an episode of the server, and the policy's turns are its actions.

`data` is the server, `ws://host:port`. Options:
  - `action_field`, `observation_field`, `prompt_field`: the text field of an action, of an observation, and of the first
    observation (the same where it is left out). `arguments.message` reaches into an object;
  - `action`, `reset`: objects of JSON with whatever else the server wants in an action and in a reset;
  - `turns`: how many turns the policy may have, 1 by default. With more, the server's observations are its replies;
  - `size`, `seed`: the episodes are those of the seeds from `seed` on;
  - `reward`: `sum` of the steps' rewards, or the `last` one; `correct_from`: the reward from which an answer is correct;
  - `sessions`: connections at most; `seconds`: how long an answer's episode may take.

The prompt is the first observation, which must be the same whenever its seed is asked for. A turn's thinking is no part of the
action. A server that is gone, answers with an error or with rubbish gives the outcome `error`; one that is slow gives
`timeout`. Both are masked. No answers are known, so the checks that need one say so.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from simko.console import one_line
from simko.envs.data.rows import RowSource, Sieve
from simko.envs.foreign.openenv_world import Fields, State, World
from simko.envs.foreign.peer import LateError
from simko.envs.foreign.plain import ForeignError, gold_of, mark, own_verifier, plain_mapping, real, whole
from simko.envs.split import is_eval, normalise
from simko.envs.verifiers.answer.visible import without_thinking
from simko.errors import UserError
from simko.types import Task, Verdict

NAME = "openenv"
SHOWN = 200
MAX_TURNS = 64
FAILED_SECONDS = 60.0
"""So long an answer that failed in a turn is not played again: it is graded in that time. Later the server may be well."""
REMEMBERED = 20_000  # answers whose turns are known
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


class OpenEnv(RowSource):
    """Episodes of a server. Raises `UserError` if it is not there, or does not give one seed one observation."""

    def __init__(
        self,
        split: str = "train",
        level: Any = None,
        data: str | None = None,
        *,
        action_field: str = "message",
        observation_field: str = "message",
        prompt_field: str | None = None,
        action: Any = None,
        reset: Any = None,
        turns: int = 1,
        size: int = 100,
        seed: int = 0,
        reward: str = "sum",
        correct_from: float = 1.0,
        sessions: int = 8,
        seconds: float = 20.0,
        keep_good_rows: bool = False,
    ) -> None:
        if split not in ("train", "eval", "all"):
            raise UserError(f"{NAME}: split is '{split}'; use 'train', 'eval' or 'all'")
        if level is not None:
            raise UserError(f"{NAME}: level is {level}, but a server has settings of its own; leave level out")
        if reward not in ("sum", "last"):
            raise UserError(f"option reward is {reward!r}; give sum or last")
        fields = Fields(
            _named("action_field", action_field),
            _named("observation_field", observation_field),
            _named("prompt_field", prompt_field or observation_field),
            plain_mapping("action", action or {}),
            plain_mapping("reset", reset or {}),
        )
        whole("seed", seed, 0, 2**31 - 1)
        rule = reward, real("correct_from", correct_from, -1e6, 1e6)
        seconds = real("seconds", seconds, 0.0, 250.0)
        counts = whole("turns", turns, 1, MAX_TURNS), whole("sessions", sessions, 1, 256), seconds
        self._url = _url(data)
        self.world = mark(self._url, vars(fields), counts, rule)
        self._world = _opened(self.world, World(self._url, fields, *counts, rule))
        self._world.forgive()
        every = self._episodes(range(seed, seed + whole("size", size, 1, 100_000)))
        self.is_seeded = len({normalise(task.problem) for task in every}) < len(every)
        """Whether episodes have the same first observation and differ in what they hide; then the seed decides the split."""
        chosen = [task for task in every if split == "all" or is_eval(self.content(task)) == (split == "eval")]
        if not chosen:
            raise UserError(f"{NAME}: none of {len(every)} episodes falls into split '{split}'; raise its size")
        super().__init__(NAME, split, chosen, sieve=Sieve(keep_good_rows))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy in another process opens the same server."""
        self.__dict__.update(state)
        self._world = _opened(self.world, self._world)

    def close(self) -> None:
        """Close the connections. Whoever plays on opens them again."""
        self._world.end()

    def content(self, task: Task) -> str:
        """What decides the split: the first observation, with the seed where observations repeat."""
        return f"{task.id}\n{task.problem}" if self.is_seeded else task.problem

    def check_golds(self, verifier: str, grade: Any) -> None:
        """Gold answers are addresses here: no other verifier reads them. Raises `UserError` for another one."""
        own_verifier("openenv", verifier)

    def answer(self, task: Task) -> str | None:  # type: ignore[override]  # the checkers take None
        """None: nobody knows a right answer."""
        return None

    def _episodes(self, seeds: range) -> list[Task]:
        try:
            openings = [self._world.opening(seed) for seed in seeds]
            self._world.again(seeds[0])
        except LateError as error:
            raise UserError(
                f"{NAME}: {self._url} does not answer in {self._world.seconds:g} s; see that it runs, or give another --data"
            ) from error
        except ForeignError as error:
            raise UserError(f"{NAME}: {self._url}: {error}; see that it runs, or give another --data") from error
        if blank := [seed for seed, text in zip(seeds, openings, strict=True) if not text.strip()]:
            raise UserError(
                f"{NAME}: {self._url}: the first observation of seed {blank[0]} is blank; name a prompt_field"
            )
        golds = [json.dumps({"seed": seed, "world": self.world}, sort_keys=True) for seed in seeds]
        return [Task(f"{NAME}/{seed}", text, gold) for seed, text, gold in zip(seeds, openings, golds, strict=True)]


def reply(task: Task, turns: Sequence[str]) -> str | None:
    """The server's observation after the policy's last turn; None where the episode, or the policy's turns, are over.

    The last turn that the policy may have is played when the answer is graded, beside others.
    """
    world, seed = _at(task.gold)
    said = [_said(turn) for turn in turns]
    actions = tuple(said[: said.index("")] if "" in said else said)
    _note_turns(task.gold, said, actions)
    if world is None or len(said) >= world.turns or len(actions) < len(said):
        return None
    state = _played(world, seed, actions)
    return None if isinstance(state, str) or state.is_over else state.text


def openenv(response: str, gold: str) -> Verdict:
    """The reward of the episode that a response has played. A turn that was cut off is played, too."""
    world, seed = _at(gold)
    actions = _actions(response, gold)
    if not actions:
        return Verdict("no_answer", 0.0)
    shown = one_line(actions[-1])[-SHOWN:]
    if world is None:  # a gold answer may be anybody's: it opens nothing
        return Verdict("error", 0.0, shown)
    state = _played(world, seed, actions)
    if isinstance(state, str):
        return Verdict("timeout" if state == "timeout" else "error", 0.0, shown)
    rewards = [value for value in state.rewards if value is not None]
    if not rewards:
        return Verdict("error", 0.0, shown)
    total = sum(rewards) if world.reward == "sum" else rewards[-1]
    return Verdict("correct" if total >= world.correct_from else "incorrect", float(total), shown)


_worlds: dict[str, World] = {}
_turns: OrderedDict[tuple[str, str], tuple[str, ...]] = OrderedDict()
_lock = threading.Lock()


def _opened(name: str, world: World) -> World:
    """The world of that name in this process: the first one stays, with its connections."""
    with _lock:
        return _worlds.setdefault(name, world)


def _at(gold: str) -> tuple[World | None, int]:
    address = gold_of(gold, "seed", "world")
    return _worlds.get(str(address["world"])), int(address["seed"])


def _played(world: World, seed: int, actions: tuple[str, ...]) -> State | str:
    """Where the episode stands, or why nobody knows. What has just failed is not played again for the same answer."""
    with _lock:
        for end in range(1, len(actions) + 1):
            known, when = world.failed.get((seed, actions[:end]), ("", 0.0))
            if known and time.monotonic() - when < FAILED_SECONDS:
                return known
    try:
        return world.play(seed, actions)
    except LateError:
        failure = "timeout"
    except ForeignError as error:
        failure = str(error) or "error"
    with _lock:
        world.failed[seed, actions] = failure, time.monotonic()
        while len(world.failed) > REMEMBERED:
            world.failed.popitem(last=False)
    return failure


def _said(turn: str) -> str:
    """What a turn says, without its thinking."""
    return without_thinking(turn).strip()


def _plain(text: str) -> str:
    """A text by which an answer is found again: lines that are not blank, single blanks in them."""
    return "\n".join(line for line in (" ".join(line.split()) for line in text.splitlines()) if line)


def _note_turns(gold: str, said: Sequence[str], actions: tuple[str, ...]) -> None:
    """Remember which turns a response is made of: the verifier sees them in one text."""
    with _lock:
        _turns[gold, _plain("\n".join(said))] = actions
        while len(_turns) > REMEMBERED:
            _turns.popitem(last=False)


def _actions(response: str, gold: str) -> tuple[str, ...]:
    """The turns of a response. One that nobody has noted is a single turn, or noted ones and a last turn that was cut off."""
    whole_text = _said(response)
    plain = _plain(whole_text)
    if not plain:
        return ()
    with _lock:
        noted = _turns.get((gold, plain))
        before = [
            (len(text), actions)
            for text, actions in ((plain[:i], _turns.get((gold, plain[:i]))) for i in _line_ends(plain))
            if actions is not None
        ]
    if noted is not None:
        return noted
    if not before:
        return (whole_text,)
    length, actions = max(before)
    return (*actions, plain[length:].strip())


def _line_ends(text: str) -> list[int]:
    return [i for i, character in enumerate(text) if character == "\n"]


def _named(name: str, field: Any) -> str:
    if not isinstance(field, str) or not all(field.split(".")) or len(field) > 200:
        raise UserError(f"option {name} is {field!r:.60}; give the name of a field, as message or arguments.message")
    return field


def _url(data: str | None) -> str:
    parts = urlsplit(data or "")
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise UserError(f"{NAME}: data is '{data or ''}'; give the server, as --data ws://localhost:8000")
    path = parts.path.rstrip("/")
    return f"{_SCHEMES[parts.scheme]}://{parts.netloc}{path if path.endswith('/ws') else path + '/ws'}"
