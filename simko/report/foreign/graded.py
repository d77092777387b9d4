"""Other people's responses, graded by our verifiers: on the tasks of an environment, or against answers that the rows bring."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from simko.envs import registry, verifiers
from simko.envs.split import normalise
from simko.envs.watched import watched
from simko.errors import UserError
from simko.files import digest
from simko.grading import Grading
from simko.report.counts import Tally
from simko.report.foreign.samples import Sample
from simko.types import Task, Verdict

CHUNK = 4096
"""Samples that wait for their verdicts at a time."""
_ANY_LENGTH = 1 << 20  # prompt tokens: the answers are there already, so a prompt may have any length


@dataclass(frozen=True)
class Judge:
    """Who grades: which task a sample answers, and the verdict on its text. `facts` says so to a comparison."""

    task: Callable[[Sample], Task]
    grade: Callable[[str, Task], Verdict]
    facts: dict[str, Any] = field(default_factory=dict)


def judge(env: str | None, data: str | None, level: int | None, verifier: str | None) -> Judge:
    """The judge of an environment's held-out problems. Without `env`, of problems and answers in the rows, by `verifier`.

    Raises:
        UserError: neither is given, the environment or the verifier is unknown, or the data cannot be read.
    """
    if env is not None:
        return _of_environment(env, data, level, verifier)
    if verifier is None:
        raise UserError(
            "completions are graded by our verifiers; give --env, or --verifier for rows that bring 'answer'"
        )
    for name, value in (("--data", data), ("--level", level)):
        if value is not None:
            raise UserError(f"{name} is for an environment; give --env, too, or leave it out")
    verifiers.warm_up(verifier)
    return Judge(_brought, _by(verifiers.get_verifier(verifier)), {"verifier": verifier})


def grade(samples: Iterable[Sample], judge: Judge) -> tuple[dict[str, Tally], int]:
    """The tallies of each task, and how many samples were left out because they hold no text.

    A sample whose verifier failed is no sample, as in our own evaluations.

    Raises:
        UserError: a sample has no task, or a verifier does not return.
    """
    tallies: dict[str, Tally] = {}
    without_text = 0
    stream = iter(samples)
    while chunk := list(islice(stream, CHUNK)):
        pairs = [(judge.task(sample), sample.text) for sample in chunk]
        with Grading(judge.grade) as grading:
            for task, text in pairs:
                if text is not None:
                    grading.submit(task, text)
            for task, text in pairs:
                tally = tallies.setdefault(task.id, Tally())
                if text is None:
                    without_text += 1
                elif (verdict := grading.verdict(task, text)).valid:
                    tally.count(verdict, text)
    return tallies, without_text


def _of_environment(env: str, data: str | None, level: int | None, verifier: str | None) -> Judge:
    environment = watched(
        registry.make(env, split="eval", data=data, level=level, verifier=verifier, max_prompt_tokens=_ANY_LENGTH), env
    )
    name = str(environment.verifier_name)
    verifiers.warm_up(name)
    data_sha256 = digest(data) if data is not None and Path(data).is_file() else None
    facts = {"env": env, "level": level, "data_sha256": data_sha256, "verifier": name}
    return Judge(_Finder(environment.source, env).task, environment.grade, facts)


class _Finder:
    """Finds the held-out task that a sample answers: by its id, else by the text of its problem."""

    def __init__(self, source: Any, env: str) -> None:
        self._source, self._env = source, env
        self._by_text: dict[str, list[Task]] | None = None

    def task(self, sample: Sample) -> Task:
        """The task. Raises `UserError` if there is none, several, or one whose problem is another one."""
        try:
            task = self._source.get(sample.id)
        except UserError as error:
            if (other := self._of_text(sample)) is not None:
                return other
            mend = "give the environment's own ids, or the field 'problem', or another --env, --data or --level"
            raise UserError(f"{sample.place}: {error}; {mend}") from error
        if sample.problem is None or _key(sample.problem) == _key(task.problem):
            return task
        if (other := self._of_text(sample)) is not None:  # a number of a row means another row elsewhere
            return other
        raise UserError(
            f"{sample.place}: its problem is {sample.problem[:40]!r}, and task '{task.id}' of {self._env} is "
            f"{task.problem[:40]!r}; take the environment that it is from"
        )

    def _of_text(self, sample: Sample) -> Task | None:
        if sample.problem is None or self._source.size is None:
            return None
        if self._by_text is None:
            self._by_text = {}
            for task in self._source.tasks(None, 0):
                self._by_text.setdefault(_key(task.problem), []).append(task)
        tasks = self._by_text.get(_key(sample.problem), [])
        if len(tasks) > 1:
            names = ", ".join(task.id for task in tasks[:3])
            raise UserError(f"{sample.place}: several tasks have its problem ({names}); give their ids")
        return tasks[0] if tasks else None


def _key(problem: str) -> str:
    return normalise(problem).casefold()


def _brought(sample: Sample) -> Task:
    if sample.gold is None:
        raise UserError(
            f"{sample.place}: no answer to grade against; give the field 'answer', or --env with its problems"
        )
    return Task(sample.id, sample.problem or "", sample.gold)


def _by(check: Callable[[str, str], Verdict]) -> Callable[[str, Task], Verdict]:
    return lambda text, task: check(text, task.gold)


def texts_alone(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The samples, of which all must be of one part. Raises `UserError` for the first of another one."""
    first: str | None = None
    for sample in samples:
        first = sample.part if first is None else first
        if sample.part != first:
            raise UserError(
                f"{sample.place}: the file has '{first[:60]}' and '{sample.part[:60]}'; choose one with --filter to grade it"
            )
        yield sample
