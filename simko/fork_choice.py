"""Which groups the forking pass looks at, and their answers as they were, from what a run stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simko.errors import UserError
from simko.report.forks import Source, chosen_answers
from simko.run.folder import RunFolder
from simko.run.records import groups_of
from simko.run.samples import SUFFIX, read_samples
from simko.types import Completion, Group, Task, Verdict

GROUPS, ANSWERS = 2, 4
"""Groups of a step and of an evaluation, and answers of each."""
_SIBLINGS = 32  # answers of an evaluation whose ids are kept for branches


@dataclass(frozen=True)
class Chosen:
    """A group whose forks are wanted: all its answers, and the numbers of those that are looked at token by token."""

    group: Group
    answers: tuple[int, ...]
    samples: tuple[int, ...] = field(default=())
    source: Source = "step"


def choose_of_step(run_folder: RunFolder, env: Any, before: int | None = None) -> tuple[list[Chosen], list[Group]]:
    """The first groups of the last recorded step, up to step `before`, that hold right and wrong answers; and all its groups."""
    steps = [step for step in run_folder.records.recorded_steps() if before is None or step <= before]
    if not steps:
        return [], []
    rows = run_folder.records.rollouts(steps[-1])
    whole = recorded_groups(rows, env)
    mixed = [group for group in whole if len({c.verdict.correct for c in group.completions}) == 2]
    return [choose(group) for group in (mixed or whole)[:GROUPS]], whole


def choose(group: Group, answers: int = ANSWERS) -> Chosen:
    """A few answers of a group of a step, right and wrong ones."""
    numbers = chosen_answers([c.verdict.outcome for c in group.completions], answers)
    return Chosen(group, tuple(numbers))


def recorded_groups(rows: Sequence[Mapping[str, Any]], env: Any) -> list[Group]:
    """The groups of a recorded step as they were, with their prompts made anew.

    Raises:
        UserError: a row has no ids, or its prompt cannot be made.
    """
    groups = []
    for part in groups_of(rows):
        task = Task(part[0]["task"], part[0]["problem"], part[0]["gold"], system=part[0].get("system"))
        prompt = np.array(env.begin(task).prompt_ids, dtype=np.int64)
        groups.append(Group(task, tuple(_completion(row, prompt) for row in part)))
    return groups


def choose_of_evaluation(run_folder: RunFolder, policy: Any, env: Any, groups: int = GROUPS) -> list[Chosen]:
    """Problems of the newest evaluation with stored answers: first those that the trained side solved now and then.

    Their ids are made from the text of the answers, which may differ from those that were sampled. An environment that
    answers back has texts that cannot be told apart: it has none here.
    """
    files = sorted(run_folder.eval_path.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
    if not files or not getattr(env, "single_turn", True):
        return []
    parts: dict[str, list[dict[str, Any]]] = {}
    try:
        for row in read_samples(files[-1]):
            if row["side"] == "trained" and len(part := parts.setdefault(row["task"], [])) < _SIBLINGS:
                part.append(row)
    except UserError:
        return []
    mixed = [part for part in parts.values() if len({row["outcome"] == "correct" for row in part}) == 2]
    chosen = []
    for part in mixed[:groups]:
        task = Task(part[0]["task"], part[0]["problem"], part[0]["gold"], system=part[0].get("system"))
        prompt = np.array(env.begin(task).prompt_ids, dtype=np.int64)
        rows = [{**row, "ids": _encoded(policy, row["text"], env.max_new_tokens)} for row in part]
        group = Group(task, tuple(_completion(row, prompt) for row in rows))
        numbers = chosen_answers([row["outcome"] for row in rows], ANSWERS // 2)
        chosen.append(Chosen(group, tuple(numbers), tuple(row["sample"] for row in rows), "evaluation"))
    return chosen


def _completion(row: Mapping[str, Any], prompt: Any) -> Completion:
    """A stored answer. Raises `UserError` if it has no ids of tokens."""
    ids, sampled, logprobs = row.get("ids"), row.get("sampled"), row.get("logprobs")
    if not isinstance(ids, list) or not all(isinstance(i, int) and i >= 0 for i in ids):
        raise UserError(
            f"task {row['task']!r:.60}, sample {row['sample']}: no token ids; take a newer run, as an old simko stored none"
        )
    parts = {name: np.nan if value is None else float(value) for name, value in row.get("parts", {}).items()}
    mask = np.ones(len(ids), dtype=np.bool_) if sampled is None else np.array(sampled, dtype=np.bool_)
    numbers = logprobs if isinstance(logprobs, list) and len(logprobs) == len(ids) else [0.0] * len(ids)
    return Completion(
        prompt, np.array(ids, dtype=np.int64), np.array([np.nan if x is None else x for x in numbers], dtype=np.float32),
        mask[: len(ids)], row["text"], row["finish"],
        Verdict(row["outcome"], float(row["reward"] or 0.0), row["extracted"], parts=parts),
    )  # fmt: skip


def _encoded(policy: Any, text: str, longest: int) -> list[int]:
    plain = text.encode("utf-8", "replace").decode()
    return [int(i) for i in policy.tokenizer.encode(plain, add_special_tokens=False)][:longest]
