r"""reasoning-gym: items of any of its tasks, graded by the task's own `score_answer` in a worker process.

`data` names a task, or several with commas between. The options are `size` and `seed` of each, `part_credit`, and every key of
the task's own configuration. Items are split by their content: one in five is for evaluation.

The final answer is what stands in `<answer>` tags, as in the package's own prompts. Without tags it is the final answer of
`simko.envs.verifiers.answer` (a box, a statement, a short whole reply). Two answers that differ are incorrect.

Only a score of 1.0 counts. Half of the tasks give a part of it to an answer that only contains the right one, or is
nonsense; with `part_credit` that part is the reward, and the answer is still not correct. An answer on which a scorer raises is
incorrect. One that makes it do more than arithmetic, or takes too long, is `error` or `timeout`, and masked.
"""

from __future__ import annotations

import json
import re
from typing import Any

from simko.console import one_line
from simko.envs.data.rows import RowSource, Sieve
from simko.envs.foreign.gym_pool import gym, last
from simko.envs.foreign.gym_refused import REFUSED
from simko.envs.foreign.interpreter import interpreter
from simko.envs.foreign.plain import ForeignError, flag, gold_of, own_verifier, text, whole
from simko.envs.split import is_eval, normalise
from simko.envs.verifiers.answer.extract import MAX_RESPONSE, final_answer
from simko.envs.verifiers.answer.visible import without_thinking
from simko.envs.verifiers.worker.pool import REFUSED as LOST
from simko.errors import UserError, nearest
from simko.types import Task, Verdict

NAME = "reasoning_gym"
MAX_SIZE = 100_000
MAX_ANSWER = 20_000  # characters
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


class ReasoningGym(RowSource):
    """Items of tasks of reasoning-gym. Raises `UserError` for a task that is unknown or refused, and for wrong options."""

    def __init__(
        self,
        split: str = "train",
        level: Any = None,
        data: str | None = None,
        *,
        python: str | None = None,
        size: int = 1000,
        seed: int = 0,
        part_credit: bool = False,
        keep_good_rows: bool = False,
        **config: Any,
    ) -> None:
        if split not in ("train", "eval", "all"):
            raise UserError(f"{NAME}: split is '{split}'; use 'train', 'eval' or 'all'")
        if level is not None:
            raise UserError(f"{NAME}: level is {level}, but its tasks have settings of their own; give them as options")
        self._path = interpreter(python)
        gym(self._path).forgive()
        self._options = (whole("size", size, 1, MAX_SIZE), flag("part_credit", part_credit))
        self._config = {**config, "seed": whole("seed", seed, 0, 2**32 - 1), "size": size}
        every = [row for task in self._named(data) for row in self._rows(task)]
        rows = list({normalise(row.problem): row for row in reversed(every)}.values())[::-1]  # the first of equal ones
        chosen = [row for row in rows if split == "all" or is_eval(row.problem) == (split == "eval")]
        if not chosen:
            raise UserError(f"{NAME}: none of {len(rows)} items of {data} falls into split '{split}'; raise its size")
        super().__init__(NAME, split, chosen, sieve=Sieve(keep_good_rows))
        if len(rows) < len(every):
            self.notes.append(
                f"{len(every) - len(rows)} of {len(every)} items repeat another's question and are left out"
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy in another process asks the same interpreter."""
        self.__dict__.update(state)
        gym(self._path)

    def check_golds(self, verifier: str, grade: Any) -> None:
        """Gold answers are addresses here: no other verifier reads them. Raises `UserError` for another one."""
        own_verifier("reasoning_gym", verifier)

    def answer(self, task: Task) -> str | None:  # type: ignore[override]  # the checkers take None
        """The package's own answer, in tags; None where it ships none."""
        answer = gold_of(task.gold)["answer"]
        return None if answer is None else f"<answer>{answer}</answer>"

    def _named(self, data: str | None) -> list[str]:
        known = gym(self._path).tasks()
        names = [name.strip() for name in (data or "").split(",") if name.strip()]
        if not names or len(set(names)) < len(names):
            raise UserError(f"{NAME}: data is '{data or ''}'; name tasks (--data TASK,TASK), each once, as {known[0]}")
        for name in names:
            if name not in known:
                raise UserError(
                    f"{NAME}: no task '{name[:60]}'{nearest(name, known)}; docs/results/reasoning_gym.md lists them"
                )
            if name in REFUSED:
                raise UserError(f"{NAME}: task '{name}' is refused: {REFUSED[name]}; take another")
        return names

    def _rows(self, task: str) -> list[Task]:
        size, part_credit = self._options
        config = json.dumps(self._config, sort_keys=True)
        rows = []
        for index, (question, answer) in enumerate(gym(self._path).items(task, config, size)):
            where = f"{task}/{index}"
            try:
                problem = text(question, f"{NAME}: the question of {where}")
                gold = None if answer is None else text(answer, f"{NAME}: the answer of {where}", MAX_ANSWER)
            except ForeignError as error:
                raise UserError(str(error)) from error
            address = {"answer": gold, "config": self._config, "index": index, "task": task}
            if part_credit:
                address["part_credit"] = True
            rows.append(Task(where, problem, json.dumps(address, sort_keys=True)))
        return rows


def stated(response: str) -> tuple[str | None, bool]:
    """The final answer of a response, and whether it states several that differ."""
    visible = without_thinking(response)[-MAX_RESPONSE:]
    if "<answer>" in visible:
        visible = visible[
            : visible.rfind("</answer>") + 9
        ]  # behind the last one, each open tag would be read to the end
        answers = {" ".join(tagged.split()): tagged.strip() for tagged in _TAG.findall(visible)}
        return (next(iter(answers.values())) if len(answers) == 1 else None), len(answers) > 1
    answer = final_answer(response)
    return answer.text, answer.conflict


def reasoning_gym(response: str, gold: str) -> Verdict:
    """Grade the final answer by the task's own scorer. `gold` says which item of which task."""
    item = gold_of(gold, "task", "config", "index")
    answer, conflict = stated(response)
    shown = None if answer is None else one_line(answer)[:200]
    if conflict or (answer is not None and len(answer) > MAX_ANSWER):
        return Verdict("incorrect", 0.0, shown)
    if not answer:
        return Verdict("no_answer", 0.0)
    config = json.dumps(item["config"], sort_keys=True)
    try:
        reply, seconds = last().score(str(item["task"]), config, int(item["index"]), answer)
    except LOST:
        return Verdict("error", 0.0, shown)
    if reply is None:
        return Verdict("timeout", 0.0, shown, seconds)
    if "raised" in reply:
        return Verdict("incorrect", 0.0, shown, seconds)
    score = reply.get("score")
    if not isinstance(score, int | float) or not 0.0 <= score <= 1.0:
        return Verdict("error", 0.0, shown, seconds)
    part = float(score) if item.get("part_credit") is True else float(score == 1.0)
    return Verdict("correct" if score == 1.0 else "incorrect", part, shown, seconds)
