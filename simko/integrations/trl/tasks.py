"""Tasks as a `datasets.Dataset`, verifiers as reward functions, environments as TRL's `environment_factory`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from simko.envs import TokenEnv, make, verifiers
from simko.envs.spoken import take_turn
from simko.errors import UserError
from simko.grading import Grading
from simko.types import Task, Verdict

Reward = Callable[..., list[float | None]]
"""TRL's reward function: `f(prompts, completions, **columns)`, one number an answer; None: it does not apply."""


def dataset(
    env: str, split: str = "train", *, count: int | None = None, seed: int = 0, chat: bool = True, **settings: Any
) -> Any:
    """The tasks of an environment as a `datasets.Dataset` with the columns `prompt`, `task`, `gold` and `split`.

    Args:
        env: an id, `module:id` or `jsonl:PATH`.
        split: `train` or `eval`.
        count: how many tasks; all of a data set where None. Generated tasks need a number.
        seed: of the choice.
        chat: prompts are messages, for the tokenizer's chat template; else one text.
        settings: of the environment, as `data=`, `level=`, `verifier=`.

    Raises:
        UserError: `datasets` is not installed, the environment cannot be made, or `count` is missing.
    """
    try:
        from datasets import Dataset
    except ImportError as error:
        raise UserError("simko.integrations.trl.dataset needs datasets: pip install 'simko[trl]'") from error
    world = make(env, split=split, **settings)
    if count is None and world.source.size is None:
        raise UserError(f"{env} generates its tasks without end; say how many: dataset({env!r}, count=1000)")
    rows = [
        {"prompt": _prompt(world, task, chat), "task": task.id, "gold": task.gold, "split": split}
        for task in world.source.tasks(count, seed)
    ]
    return Dataset.from_list(rows)


def reward(name: str, *, gold: str = "gold", **settings: Any) -> Reward:
    """A reward function from an environment or a verifier, to give to `GRPOTrainer(reward_funcs=...)`.

    An answer whose verifier fails (a time-out, an error) is not a wrong answer. Beside another reward function TRL counts None
    as 0, so such an answer gets the mean reward of the others to its prompt that this process has: it neither gains nor loses.
    Where all of them fail, they get None.

    Args:
        name: an environment's id (it has a `/`), whose `dataset` has the column `task`; or the name of a verifier, as `math`.
        gold: for a verifier, the column with the gold answers.
        settings: of the environment.

    Raises:
        UserError: the environment or the verifier is unknown. The function itself raises it if a column is missing.
    """
    if "/" in name or (":" in name and name.partition(":")[0] not in verifiers.BUNDLED):
        worlds: dict[str, TokenEnv] = {}

        def graded(texts: Sequence[str], columns: dict[str, Any]) -> list[Verdict]:
            splits = columns.get("split") or ["train"] * len(texts)
            for split in dict.fromkeys(splits):
                if split not in worlds:
                    worlds[split] = make(name, split=split, **settings)
            ids = _column(columns, "task", name)
            tasks = [worlds[split].source.get(id) for split, id in zip(splits, ids, strict=True)]
            by_id = {task.id: worlds[split] for split, task in zip(splits, tasks, strict=True)}
            return _verdicts(lambda text, task: by_id[task.id].grade(text, task), texts, tasks)

        make(name, **settings)  # a mistake is told now, and not in the first step
    else:
        check = verifiers.get_verifier(name)

        def graded(texts: Sequence[str], columns: dict[str, Any]) -> list[Verdict]:
            golds = [str(value) for value in _column(columns, gold, name)]
            tasks = [Task(value, "", value) for value in golds]
            return _verdicts(lambda text, task: check(text, task.gold), texts, tasks)

    def function(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        found = graded([answer_text(completion) for completion in completions], columns)
        if log := columns.get("log_metric"):
            log("verifier_failed", float(sum(not verdict.valid for verdict in found)))
        return _rewards([_key(prompt) for prompt in prompts], found)

    function.__name__ = name.rpartition("/")[2] or name  # the name under which TRL logs it
    return function


def environment(env: str, split: str = "train", **settings: Any) -> type:
    """A class for `GRPOTrainer(environment_factory=...)`: the policy answers through the tool `answer`, and is told the reply.

    The training set is `dataset(env)`; its column `task` chooses the task. The reward is the verdict on the answers of an
    episode, 0 where the policy gave none, and None where the verifier failed.

    Raises:
        UserError: the environment cannot be made.
    """
    world = make(env, split=split, **settings)

    class Environment:
        """One episode at a time, as TRL's protocol has it."""

        def reset(self, task: str, **_row: Any) -> str | None:
            """Begin the task of a row. The prompt holds the problem already, so nothing is added to it."""
            self._task = world.source.get(task)
            self._episode = world.begin(self._task)
            return None

        def answer(self, text: str) -> str:
            """Give an answer to the problem.

            Args:
                text: Your answer, or your next move.

            Returns:
                What you are told.
            """
            if self._episode.done:
                return "The episode is over."
            reply = take_turn(world, self._episode, text)
            return "Your answer is in." if self._episode.done else reply.strip() or "Go on."

        def get_reward(self) -> float | None:
            """The reward of the episode."""
            verdict = world.grade(self._episode.text, self._task)
            return verdict.reward if verdict.valid else None

    Environment.__name__ = Environment.__qualname__ = env.rpartition("/")[2].replace("-", "_")
    return Environment


def answer_text(completion: Any) -> str:
    """The policy's own text in a completion: a text, or messages of which those of the assistant count."""
    if isinstance(completion, str):
        return completion
    texts = [message.get("content") or "" for message in completion if message.get("role") == "assistant"]
    return "\n".join(text for text in texts if isinstance(text, str))


def _prompt(world: TokenEnv, task: Task, chat: bool) -> Any:
    if not chat:
        return world.format.prompt_text(task.problem, task.system)
    system = [] if task.system is None else [{"role": "system", "content": task.system}]
    return [*system, {"role": "user", "content": task.problem + world.format.instruction}]


def _column(columns: dict[str, Any], column: str, name: str) -> Sequence[Any]:
    if column not in columns:
        mend = "make the training set with simko.integrations.trl.dataset" if column == "task" else "name it with gold="
        raise UserError(f"reward '{name}': the training set has no column '{column}'; {mend}")
    values: Sequence[Any] = columns[column]
    return values


def _verdicts(grade: Callable[[str, Task], Verdict], texts: Sequence[str], tasks: Sequence[Task]) -> list[Verdict]:
    pairs = list(zip(tasks, texts, strict=True))
    with Grading(grade) as grading:
        for task, text in pairs:
            grading.submit(task, text)
        return [grading.verdict(task, text) for task, text in pairs]


def _key(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else repr(prompt)


def _rewards(prompts: Sequence[str], found: Sequence[Verdict]) -> list[float | None]:
    """The rewards; the mean of the others to a prompt stands for a verdict that failed."""
    valid: dict[str, list[float]] = {}
    for prompt, verdict in zip(prompts, found, strict=True):
        if verdict.valid:
            valid.setdefault(prompt, []).append(float(verdict.reward))
    means = {prompt: fmean(values) for prompt, values in valid.items()}
    return [float(v.reward) if v.valid else means.get(prompt) for prompt, v in zip(prompts, found, strict=True)]
