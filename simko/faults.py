"""What goes wrong in an environment or a step without ending the run: counted by kind, and named where it must end it."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass, replace
from typing import Any

from simko.envs.verifiers import to_verdict
from simko.errors import UserError
from simko.types import Group, Task, Verdict

IN_A_ROW = 5
"""Steps from which nothing could be learned, after which a run stops."""
_SAID = {
    "fault_verifier_timeout": "answers the verifier took too long over (masked)",
    "fault_verifier_error": "answers the verifier failed on (masked)",
    "fault_every_verdict": "steps in which the verifier failed on every answer",
    "fault_grade_raised": "answers on which the environment's own grade raised (masked)",
    "fault_grade_rubbish": "answers for which the environment gave no verdict (masked)",
    "fault_engine_nonfinite": "steps skipped: logits not finite",
    "updates_skipped": "updates skipped: gradients not finite",
    "nonfinite_rows": "answers with a log-prob that was not finite (masked)",
    "nonfinite_rewards": "answers with a reward that was not finite (masked)",
    "nonfinite_metrics": "metrics that were not finite (null in metrics.jsonl)",
    "oom_halvings": "times that memory ran out and the micro-batch was halved",
}


class Faults:
    """Counts by kind, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, kind: str) -> None:
        """One more."""
        with self._lock:
            self._counts[kind] += 1

    def take(self, groups: Sequence[Group] = ()) -> dict[str, float]:
        """`fault_*` metrics since the last call, with what the verdicts of `groups` show; only kinds that occurred."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        for group in groups:
            counts.update(f"verifier_{c.verdict.outcome}" for c in group.completions if not c.verdict.valid)
        if groups and not any(group.valid for group in groups):
            counts["every_verdict"] += 1
        return {f"fault_{kind}": float(count) for kind, count in sorted(counts.items())}


def judge(grade: Callable[[str, Task], Any], text: str, task: Task) -> tuple[Verdict, str | None]:
    """The verdict of an environment's `grade`, and the kind of fault where it raised or returned what is none."""
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


class _Place:
    """The process and the working folder that an environment's code is called in, and has to come back to."""

    def __init__(self) -> None:
        self._folder = os.getcwd()

    def keeping(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, after which the working folder is the old one, and a child that it forked ends instead of training on."""

        def kept(*arguments: Any) -> Any:
            process = os.getpid()
            try:
                return call(*arguments)
            finally:
                if os.getpid() != process:
                    os._exit(0)
                with suppress(OSError):
                    if os.getcwd() != self._folder:
                        os.chdir(self._folder)

        return kept


class WatchedEnv:
    """An environment whose failures are a line for the user, or a masked answer: nothing else raises out of it.

    `grading` makes of the environment's own `grade` what is called in its place, by the environment's replies too.
    """

    def __init__(
        self, env: Any, name: str, grading: Callable[[Callable[[str, Task], Any]], Callable[[str, Task], Verdict]]
    ) -> None:
        self._env, self._name = env, name
        self._place = _Place()
        self.grade = grading(self._place.keeping(env.grade))
        reply = getattr(env, "reply", None)
        if is_dataclass(reply) and not isinstance(reply, type) and hasattr(reply, "grade"):
            env.reply = replace(reply, grade=self.grade)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    @property
    def source(self) -> WatchedSource:
        """Where its tasks come from."""
        return WatchedSource(self._env.source, self._name, self._place)

    def begin(self, task: Task) -> WatchedEpisode:
        """A fresh episode; raises `UserError` where the environment raises."""
        begin = self._place.keeping(self._env.begin)
        return WatchedEpisode(_asked(self._name, "begin", task, begin, task), self._name, task, self._place)


def watched(env: Any, name: str) -> WatchedEnv:
    """An environment outside training: no journal, and no count."""
    return WatchedEnv(env, name, lambda grade: lambda text, task: judge(grade, text, task)[0])


class WatchedSource:
    """A task source whose failures are `UserError`."""

    def __init__(self, source: Any, name: str, place: _Place) -> None:
        self._source, self._name, self._place = source, name, place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def draw(self, rng: Any) -> Task:
        """One task."""
        return self._checked("draw", _asked(self._name, "draw", None, self._place.keeping(self._source.draw), rng))

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        """Several."""
        found = _asked(self._name, "tasks", None, self._place.keeping(self._source.tasks), count, seed)
        return [self._checked("tasks", task) for task in found]

    def _checked(self, what: str, task: Any) -> Task:
        if not isinstance(task, Task):
            raise UserError(f"environment {self._name}: {what} gave {type(task).__name__} {task!r:.80}, not a Task")
        return task


class WatchedEpisode:
    """An episode whose replies may raise."""

    def __init__(self, episode: Any, name: str, task: Task, place: _Place) -> None:
        self._episode, self._name, self._task, self._place = episode, name, task, place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._episode, name)

    def extend(self, tokens: Iterable[int]) -> int:
        """The policy's next turn, and the environment's reply."""
        taken: int = _asked(self._name, "reply", self._task, self._place.keeping(self._episode.extend), tokens)
        return taken


class Streak:
    """How many steps in a row nothing could be learned from, `lines` of metrics.jsonl included."""

    def __init__(self, lines: Iterable[Mapping[str, Any]] = ()) -> None:
        self._length = 0
        for line in lines:
            self._follow(line)

    def step(self, metrics: Mapping[str, Any]) -> None:
        """Take a step's metrics; raises `UserError` with the reason after `IN_A_ROW` bad ones."""
        reason = self._follow(metrics)
        if reason and self._length >= IN_A_ROW:
            raise UserError(f"stopped: {self._length} steps in a row were skipped: {reason}")

    def _follow(self, metrics: Mapping[str, Any]) -> str | None:
        reason = _why_nothing(metrics)
        if reason:
            self._length += 1
        elif metrics.get("updates"):
            self._length = 0
        return reason


def summary(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """What went wrong in a run, from its metrics: a line for each kind that occurred."""
    totals: Counter[str] = Counter()
    for line in lines:
        totals.update({k: v for k, v in line.items() if v and (k in _SAID or k.startswith("fault_"))})
    return [f"{totals[kind]:.0f} {_SAID.get(kind, kind.removeprefix('fault_'))}" for kind in sorted(totals)]


def _why_nothing(metrics: Mapping[str, Any]) -> str | None:
    if metrics.get("updates"):
        return None
    if metrics.get("updates_skipped"):
        return "gradients were not finite; start another run with a lower --learning-rate or --max-grad-norm"
    if metrics.get("fault_engine_nonfinite"):
        return "the model's logits were not finite; try another --device or --quantization, or an earlier checkpoint"
    if metrics.get("fault_every_verdict"):
        return "the verifier failed on every answer; look at one with `simko sample`"
    return None


def _asked(name: str, what: str, task: Task | None, call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except (UserError, MemoryError):
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an author's environment raises whatever it likes
        which = "" if task is None else f" of task '{task.id}'"
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"environment {name}: {what}{which} raised {said}; see it with `simko env check`") from error
