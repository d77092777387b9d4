"""A server of OpenEnv as its client sees it: sessions over WebSockets, each in the middle of one episode.

The messages are those of OpenEnv's own `GenericEnvClient`: `{"type": "reset" | "step", "data": {...}}`, answered by
`{"type": "observation", "data": {"observation", "reward", "done"}}` or `{"type": "error"}`. No code of the server's comes here.

An episode is (seed, actions). `play` continues a session that has played all actions but the last one. If there is none, it
resets another and plays them again, so a server that allows one session serves any number of answers. What a reset and an
episode gave is remembered: the server is asked once.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from simko.console import note_once, one_line
from simko.envs.data.loading import dig
from simko.envs.foreign.peer import LateError
from simko.envs.foreign.plain import MAX_PROBLEM, ForeignError, number, parsed, text
from simko.errors import UserError

MAX_MESSAGE = 1 << 20  # bytes
MAX_REPLY = 4_000  # characters of an observation that the policy is told
MAX_FAILURES = 5
REMEMBERED = 20_000
_CONNECT_SECONDS = 5.0
_AGAIN_SECONDS = 0.5
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class State:
    """Where an episode stands: the observation's text, the reward of each step (None: it gave none), whether it is over."""

    text: str
    rewards: tuple[float | None, ...] = ()
    is_over: bool = False


@dataclass(frozen=True)
class Fields:
    """Which fields of the server's objects hold what. A name with dots reaches into objects: `arguments.message`."""

    action_field: str
    observation_field: str
    prompt_field: str
    action: Mapping[str, Any]
    reset: Mapping[str, Any]

    def acting(self, said: str) -> dict[str, Any]:
        """The action that says `said`."""
        return _with(self.action, self.action_field.split("."), said)


def _with(value: Any, path: list[str], leaf: Any) -> Any:
    inner = value if isinstance(value, Mapping) else {}
    return {**inner, path[0]: _with(inner.get(path[0]), path[1:], leaf)} if path else leaf


class BrokenError(ForeignError):
    """The connection is gone. The server may have closed one that was idle for long."""


class FullError(ForeignError):
    """The server takes no more sessions."""


class Session:
    """One connection, and the episode that it is in."""

    _socket: Any = None

    def __init__(self, url: str, seconds: float) -> None:
        connect = _connect()
        more: dict[str, Any] = {"proxy": None} if urlsplit(url).hostname in _LOCAL else {}
        try:
            opened = connect(
                url, open_timeout=seconds, close_timeout=1, ping_interval=None, max_size=MAX_MESSAGE, **more
            )
            self._socket = opened.__enter__()  # from 17 on, a connection is what `with` gives
        except TimeoutError as error:
            raise LateError from error
        except Exception as error:  # a socket, a name, a handshake: the library has an exception for each
            raise ForeignError(f"it cannot be reached ({one_line(str(error))[:120]})") from error
        self.seed: int | None = None
        self.actions: tuple[str, ...] = ()
        self.state = State("")

    def exchange(self, kind: str, data: Mapping[str, Any], until: float) -> dict[str, Any]:
        """The `data` of the reply to one message."""
        lost: Exception | None = None
        try:
            self._socket.send(json.dumps({"type": kind, "data": data}))
        except Exception as error:  # a server that is full has said so and closed: what it said is still to be read
            lost, until = error, min(until, time.monotonic() + 1.0)
        try:
            line = self._socket.recv(timeout=max(0.01, until - time.monotonic()))
        except TimeoutError as error:
            if lost is None:
                raise LateError from error
            raise BrokenError(f"the connection broke ({one_line(str(lost))[:120]})") from lost
        except Exception as error:
            raise BrokenError(f"the connection broke ({one_line(str(error))[:120]})") from error
        reply = parsed(line)
        content = reply.get("data")
        if not isinstance(content, dict):
            raise ForeignError("its reply has no data")
        if reply.get("type") != "observation":
            why = one_line(str(content.get("message")))[:120]
            raise (FullError if content.get("code") == "CAPACITY_REACHED" else ForeignError)(f"it says: {why}")
        return content

    def close(self) -> None:
        """Close the connection."""
        opened, self._socket = self._socket, None
        with suppress(Exception):
            opened.close()

    def __del__(self) -> None:
        if self._socket is not None:
            self.close()


def _connect() -> Any:
    try:
        from websockets.sync.client import connect  # type: ignore[import-not-found]
    except ImportError as error:
        raise UserError("OpenEnv: the package websockets is missing; pip install 'simko[openenv]'") from error
    return connect


class World:
    """One server with the options of an environment. It may be used from any thread."""

    def __init__(
        self, url: str, fields: Fields, turns: int, sessions: int, seconds: float, rule: tuple[str, float]
    ) -> None:
        self.url, self.fields, self.turns, self.seconds = url, fields, turns, seconds
        self.reward, self.correct_from = rule
        self._allowed = sessions
        self._openings: dict[int, str] = {}
        self._twice: set[int] = set()
        self._states: OrderedDict[tuple[int, tuple[str, ...]], State] = OrderedDict()
        self.failed: OrderedDict[tuple[int, tuple[str, ...]], tuple[str, float]] = OrderedDict()
        """Episodes that could not be played, why (`timeout`, or what the server did), and when."""
        self._begin()

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._free = threading.Condition()
        self._idle: list[Session] = []
        self._busy = 0
        self._failures = 0

    def __getstate__(self) -> dict[str, Any]:
        left_out = ("_free", "_idle", "_busy", "_failures", "_owner")
        return {key: value for key, value in self.__dict__.items() if key not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def forgive(self) -> None:
        """Forget that the server was not there: somebody opens an environment on it, so it may be there now."""
        self._failures = 0

    def opening(self, seed: int) -> str:
        """The text of the first observation of an episode. Raises `LateError` or `ForeignError`."""
        if seed not in self._openings:
            with self._session(seed, (), time.monotonic()) as session:
                if session.seed != seed or session.actions:
                    self._reset(session, seed, time.monotonic() + self.seconds)
        return self._openings[seed]

    def again(self, seed: int) -> None:
        """Raise `ForeignError` if another reset with the same seed gives another observation. It is tried once."""
        if seed not in self._twice:
            with self._session(seed, (), time.monotonic()) as session:
                self._reset(session, seed, time.monotonic() + self.seconds)
            self._twice.add(seed)

    def play(self, seed: int, actions: tuple[str, ...]) -> State:
        """Where the episode stands after these actions. Those after its end are not played.

        Raises:
            LateError: the server did not answer in time.
            ForeignError: it is gone, or answered with an error or rubbish.
        """
        with self._free:
            known = self._states.get((seed, actions))
        if known is not None:
            return known
        until = time.monotonic() + self.seconds
        try:
            return self._played(seed, actions, until)
        except BrokenError:
            return self._played(seed, actions, until)

    def end(self) -> None:
        """Close the connections that are idle. The next episode opens one again."""
        with self._free:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def _played(self, seed: int, actions: tuple[str, ...], until: float) -> State:
        with self._session(seed, actions[:-1], until) as session:
            if session.seed != seed or session.actions != actions[: len(session.actions)]:
                self._reset(session, seed, until)
            for action in actions[len(session.actions) :]:
                if session.state.is_over:
                    break
                self._step(session, action, until)
            return session.state

    def _reset(self, session: Session, seed: int, until: float) -> None:
        session.seed, session.actions = None, ()
        content = session.exchange("reset", {**self.fields.reset, "seed": seed}, until)
        opening = self._text(content, self.fields.prompt_field, MAX_PROBLEM)
        if self._openings.setdefault(seed, opening) != opening:
            raise ForeignError("two resets with one seed gave two observations; a task cannot be asked twice there")
        session.seed, session.state = seed, State(opening)

    def _step(self, session: Session, action: str, until: float) -> None:
        seed, session.seed = session.seed, None  # until the reply is there, nobody knows where the episode stands
        assert seed is not None
        content = session.exchange("step", self.fields.acting(action), until)
        reward, is_over = content.get("reward"), content.get("done", False)
        if not isinstance(is_over, bool):
            raise ForeignError(f"done is {is_over!r:.20}, not true or false")
        rewards = (*session.state.rewards, None if reward is None else number(reward, "the reward"))
        told = "" if is_over else self._text(content, self.fields.observation_field, None)[:MAX_REPLY]
        session.seed, session.actions = seed, (*session.actions, action)
        session.state = State(told, rewards, is_over)
        with self._free:
            self._states[seed, session.actions] = session.state
            while len(self._states) > REMEMBERED:
                self._states.popitem(last=False)

    def _text(self, content: dict[str, Any], field: str, limit: int | None) -> str:
        observation = content.get("observation")
        value = dig(observation, field) if isinstance(observation, dict) else None
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            names = ", ".join(map(str, observation)) if isinstance(observation, dict) else type(observation).__name__
            raise ForeignError(f"the observation has no text '{field}' (it has: {one_line(names)[:120]})")
        return text(value, f"the observation's '{field}'", limit or MAX_MESSAGE)

    @contextmanager
    def _session(self, seed: int, actions: tuple[str, ...], until: float) -> Iterator[Session]:
        """A session for this thread alone, if possible one that has played `actions`; it is closed if anything fails.

        A new one has been reset with `seed`. A server that is not there is tried again until the time `until`.
        """
        session = self._taken(seed, actions, until)
        sound = False
        try:
            yield session
            sound = True
        finally:
            if not sound:
                session.close()
            with self._free:
                self._busy -= 1
                if sound:
                    self._idle.append(session)
                self._free.notify()

    def _taken(self, seed: int, actions: tuple[str, ...], until: float) -> Session:
        if self._owner != os.getpid():
            self._begin()  # a fork: the connections are the parent's
        patience = time.monotonic() + self.seconds
        while True:
            with self._free:
                session = next((s for s in self._idle if (s.seed, s.actions) == (seed, actions)), None)
                if session is None and self._idle and len(self._idle) + self._busy >= self._allowed:
                    session = self._idle[0]  # the one that was used longest ago
                if session is not None:
                    self._idle.remove(session)
                    self._busy += 1
                    return session
                if len(self._idle) + self._busy >= self._allowed:
                    if not self._free.wait(max(0.0, patience - time.monotonic())):
                        raise LateError
                    continue
                self._busy += 1
            try:
                return self._opened(seed, until)
            except BaseException as error:
                with self._free:
                    self._busy -= 1
                    self._free.notify()
                    ours = len(self._idle) + self._busy
                    if isinstance(error, FullError) and ours:  # make do with what is open
                        self._allowed = ours
                        continue
                if not isinstance(error, FullError) or time.monotonic() + _AGAIN_SECONDS > patience:
                    raise
                time.sleep(_AGAIN_SECONDS)  # others have all its sessions, or it has not seen yet that one is closed

    def _opened(self, seed: int, until: float) -> Session:
        if self._failures >= MAX_FAILURES:
            note_once(
                f"OpenEnv: {self.url} was not there {MAX_FAILURES} times in a row; answers are masked from here on"
            )
            raise ForeignError("it is not there")
        while True:
            try:
                session = Session(self.url, _CONNECT_SECONDS)
                break
            except (LateError, ForeignError):
                if time.monotonic() + _AGAIN_SECONDS > until:
                    with self._free:
                        self._failures += 1
                    raise
                time.sleep(_AGAIN_SECONDS)
        self._failures = 0
        try:
            self._reset(session, seed, time.monotonic() + self.seconds)
        except BaseException:
            session.close()
            raise
        return session
