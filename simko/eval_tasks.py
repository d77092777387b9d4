"""Problems of an evaluation: which of the held-out ones, and whether the run has seen any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simko.config import Part
from simko.envs.split import is_tuning
from simko.errors import TooFewTasksError, UserError
from simko.run.folder import RunFolder
from simko.run.records import problem_key
from simko.types import Task

GENERATED_PROBLEMS = 100


def choose_tasks(env: Any, problems: int | None, seed: int, part: Part = "all") -> list[Task]:
    """The first `problems` of a part; if None, all of a data set and 100 of a generated task. All of them if there are fewer.

    A part is a partition of the problems by their content; see `simko.envs.split.is_tuning`. The one problem of a source
    that has no other is in every part, as it is in both splits.

    Raises:
        UserError: the part has no problem, or a prompt does not fit the environment.
    """
    source = env.source
    wanted = problems or (GENERATED_PROBLEMS if source.size is None else None)
    whole = part == "all" or source.size == 1
    tasks = _at_most(source, wanted, seed) if whole else _of_part(source, wanted, seed, part)
    if not tasks:
        where = "the evaluation split" if part == "all" else f"the {part} part of the evaluation split"
        raise UserError(f"eval: {where} has no problem; take another --env, --level or --data")
    for task in tasks:
        env.begin(task)  # a prompt that is too long is better found now than after an hour
    return tasks


def in_part(source: Any, task: Task, part: Part) -> bool:
    """Whether a held-out task belongs to a part."""
    content = getattr(source, "content", None)
    return part == "all" or is_tuning(content(task) if content else task.problem) == (part == "tuning")


def _of_part(source: Any, wanted: int | None, seed: int, part: Part) -> list[Task]:
    """The first `wanted` tasks of a part, in the order of the source, which is asked for more until there are enough."""
    for doublings in range(12):
        asked = None if wanted is None else wanted << doublings
        tasks = _at_most(source, asked, seed)
        chosen = [task for task in tasks if in_part(source, task, part)]
        if wanted is None or len(chosen) >= wanted or len(tasks) < (asked or 0):
            break
    return chosen[:wanted]


def _at_most(source: Any, count: int | None, seed: int) -> list[Task]:
    """`count` tasks, or all if there are fewer."""
    try:
        tasks: list[Task] = source.tasks(count, seed)
    except TooFewTasksError as error:
        tasks = source.tasks(error.count, seed) if error.count else []
    return tasks


def context_notes(env: Any, tasks: Sequence[Task]) -> list[str]:
    """A line on generated prompts that leave less than the budget of the model's context. Rows have a line of their own."""
    if env.source.size is not None:
        return []
    tight = [task for task in tasks if env.begin(task).budget_left < env.max_new_tokens]
    if not tight:
        return []
    return [
        f"{len(tight)} of {len(tasks)} prompts leave less than {env.max_new_tokens} of the model's tokens, and their answers "
        f"are cut off there; the first: task '{tight[0].id}'"
    ]


def count_overlap(run: RunFolder | None, tasks: Sequence[Task], allow: bool) -> int:
    """How many problems are among the run's training prompts, compared by their text.

    Raises:
        UserError: there are some, and `allow` is off.
    """
    if run is None:
        return 0
    seen = run.records.training_problems()
    shared = [task for task in tasks if problem_key(task.problem) in seen]
    if shared and not allow:
        raise UserError(
            f"eval: {len(shared)} of {len(tasks)} problems are among the training prompts of {run.path}, one is task "
            f"'{shared[0].id}'; take another --env, --level or --data, or accept it with --allow-overlap"
        )
    return len(shared)
