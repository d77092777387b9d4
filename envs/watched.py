"""A guard round an author's environment: its failures are one line for the user, or a masked answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass, replace
from typing import Any

from simko.envs.verifiers import to_verdict
from simko.errors import UserError
from simko.types import Task, Verdict


def judge(grade: Callable[[str, Task], Any], text: str, task: Task) -> tuple[Verdict, str | None]:
    """The verdict of an environment's `grade`, and the kind of fault if it raised or returned no verdict."""
    try:
        result = grade(text, task)
    except BaseException as error:  # an author's environment raises whatever it likes; Ctrl-C is the main thread's
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        return Verdict("error", 0.0), "grade_raised"
    verdict = to_verdict(result) if isinstance(result, Verdict) else None
    if verdict is None or (verdict.outcome == "error" and result.outcome != "error"):
        return Verdict("error", 0.0), "grade_rubbish"
    return verdict, None


class WatchedEnv:
    """An environment whose failures are a line for the user, or a masked answer. It raises nothing else.

    `grading` wraps the environment's own `grade`. The environment's replies call the wrapped one too.
    """

    def __init__(
        self, env: Any, name: str, grading: Callable[[Callable[[str, Task], Any]], Callable[[str, Task], Verdict]]
    ) -> None:
        self._env, self._name = env, name
        self.grade = grading(env.grade)
        reply = getattr(env, "reply", None)
        if is_dataclass(reply) and not isinstance(reply, type) and hasattr(reply, "grade"):
            env.reply = replace(reply, grade=self.grade)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    @property
    def source(self) -> WatchedSource:
        """Where its tasks come from."""
        return WatchedSource(self._env.source, self._name)

    def begin(self, task: Task) -> WatchedEpisode:
        """A fresh episode. Raises `UserError` if the environment raises."""
        episode = _asked(self._name, "begin", task, self._env.begin, task)
        return WatchedEpisode(episode, self._name, task)


def watched(env: Any, name: str) -> WatchedEnv:
    """An environment outside training: no journal, and no count."""
    return WatchedEnv(env, name, lambda grade: lambda text, task: judge(grade, text, task)[0])


class WatchedSource:
    """A task source whose failures are `UserError`."""

    def __init__(self, source: Any, name: str) -> None:
        self._source, self._name = source, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def draw(self, rng: Any) -> Task:
        """One task."""
        return self._checked("draw", _asked(self._name, "draw", None, self._source.draw, rng))

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        """Several."""
        tasks = _asked(self._name, "tasks", None, self._source.tasks, count, seed)
        return [self._checked("tasks", task) for task in tasks]

    def content(self, task: Task) -> str:
        """What decides the split of a task: the key of a generated one, else its text."""
        content = getattr(self._source, "content", None)
        return task.problem if content is None else str(_asked(self._name, "content", task, content, task))

    def _checked(self, what: str, task: Any) -> Task:
        if not isinstance(task, Task):
            raise UserError(
                f"environment {self._name}: {what} gave {type(task).__name__} {task!r:.80}; return a simko.types.Task"
            )
        return task


class WatchedEpisode:
    """An episode whose replies may raise."""

    def __init__(self, episode: Any, name: str, task: Task) -> None:
        self._episode, self._name, self._task = episode, name, task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._episode, name)

    def extend(self, tokens: Iterable[int]) -> int:
        """The policy's next turn, and the environment's reply."""
        count: int = _asked(self._name, "reply", self._task, self._episode.extend, tokens)
        return count


def _asked(name: str, what: str, task: Task | None, call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except (UserError, MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # an author's environment raises whatever it likes
        which = "" if task is None else f" of task '{task.id}'"
        message = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"environment {name}: {what}{which} raised {message}; see it with `simko env check`") from error
