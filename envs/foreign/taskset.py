"""Tasksets of `verifiers` (v1), run in the user's own interpreter: tasks come from there, and its rewards grade answers.

`data` is the taskset, as `verifiers` names it: an installed module, or one in the working folder. `--python` names the
interpreter that has it. Options: `size` (how many of its tasks), `correct_from` (the reward from which an answer is correct),
`seconds` (a grade may take), and every key of the taskset's own config.

An answer is one message. Its thinking is left out, as a server with a reasoning parser would. The reward is the sum that the
taskset defines, and each of its rewards is a part of the verdict. A taskset that raises, ends or sends rubbish gives `error`,
one that is late gives `timeout`: both are masked.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from simko.console import one_line
from simko.envs.data.chat import asked
from simko.envs.data.rows import RowSource, Sieve
from simko.envs.foreign.interpreter import VARIABLE, interpreter
from simko.envs.foreign.peer import LateError, Peer
from simko.envs.foreign.plain import ForeignError, gold_of, mark, number, own_verifier, real, text, whole
from simko.envs.split import is_eval, normalise
from simko.envs.verifiers.answer.visible import without_thinking
from simko.errors import UserError
from simko.types import Outcome, Task, Verdict

NAME = "verifiers"
START_SECONDS = 300.0
LIST_SECONDS = 60.0
HANDFUL = 50
MAX_PARTS = 32
SHOWN = 200


class Taskset:
    """The process of one taskset, and what is known of it."""

    def __init__(self, module: str, python: str, config: dict[str, Any], size: int) -> None:
        script = str(Path(__file__).absolute().with_name("taskset_bridge.py"))
        about = {"module": module, "config": config, "size": size}
        self.module, self.python = module, python
        self.peer = Peer(f"taskset '{module}'", [python, "-P", "-B", script], about, START_SECONDS)
        self.correct_from, self.seconds = 1.0, 20.0
        self.rows: list[dict[str, Any]] | None = None
        self.notes: list[str] = []
        self._lock = threading.Lock()

    def load(self) -> list[dict[str, Any]]:
        """Its tasks, as they came. Raises `UserError` in its words."""
        with self._lock:
            if self.rows is None:
                try:
                    self.rows = self._listed()
                except LateError as error:
                    raise UserError(
                        f"taskset '{self.module}': it did not load in {START_SECONDS:g} s; try it in its own interpreter"
                    ) from error
                except ForeignError as error:
                    raise UserError(f"taskset '{self.module}': {error}; try it in its own interpreter") from error
            return self.rows

    def _listed(self) -> list[dict[str, Any]]:
        reply = self.peer.start()
        if "failed" in reply:
            self.peer.end()
            why = one_line(str(reply["failed"]))[:240]
            mend = "pip install verifiers there, or give another --python" if "'verifiers'" in why else "mend it there"
            raise UserError(f"taskset '{self.module}': {why}; {mend}")
        count = reply.get("count")
        if not isinstance(count, int) or count < 1:
            raise UserError(f"taskset '{self.module}': it has no tasks; give another --data")
        self.notes = [one_line(str(note))[:SHOWN] for note in list(reply.get("notes") or [])[:10]]
        rows: list[dict[str, Any]] = []
        while len(rows) < count:
            more = self.peer.ask({"do": "tasks", "first": len(rows), "count": HANDFUL}, LIST_SECONDS).get("tasks")
            if not isinstance(more, list) or not more or not all(isinstance(row, dict) for row in more):
                raise ForeignError("it lists no tasks")
            rows += more
        return rows[:count]


_tasksets: dict[str, Taskset] = {}
_lock = threading.Lock()


def _opened(
    name: str, module: str, python: str, config: dict[str, Any], size: int, rule: tuple[float, float]
) -> Taskset:
    """The taskset of that name in this process, which stays, with its process, until another interpreter is named."""
    with _lock:
        place = _tasksets.get(name)
        if place is None or place.python != python:
            place = _tasksets[name] = Taskset(module, python, config, size)
        place.correct_from, place.seconds = rule
        return place


class Verifiers(RowSource):
    """The tasks of a taskset. Raises `UserError` if it cannot be loaded, or its tasks cannot be graded here."""

    def __init__(
        self,
        split: str = "train",
        level: Any = None,
        data: str | None = None,
        *,
        python: str | None = None,
        size: int = 1000,
        correct_from: float = 1.0,
        seconds: float = 20.0,
        keep_good_rows: bool = False,
        **config: Any,
    ) -> None:
        if split not in ("train", "eval", "all"):
            raise UserError(f"{NAME}: split is '{split}'; use 'train', 'eval' or 'all'")
        if level is not None:
            raise UserError(
                f"{NAME}: level is {level}, but a taskset has a config of its own; give its keys as options"
            )
        if not data:
            raise UserError(f"{NAME}: no data; name the taskset (--data MODULE)")
        path = interpreter(python)
        if path is None:
            raise UserError(f"{NAME}: no interpreter; give the one that has '{data[:60]}', by --python or {VARIABLE}")
        whole("size", size, 1, 1_000_000)
        self.taskset = mark(data, config, size)
        rule = real("correct_from", correct_from, -1e6, 1e6), real("seconds", seconds, 0.0, 250.0)
        self._opening = data, path, config, size, rule
        place = _opened(self.taskset, *self._opening)
        place.peer.forgive()
        every = [self._task(data, index, row) for index, row in enumerate(place.load())]
        self.is_seeded = len({normalise(task.problem) for task in every}) < len(every)
        """Whether tasks may have the same text and differ in what they hide; then their number decides the split."""
        rows = [task for task in every if split == "all" or is_eval(self.content(task)) == (split == "eval")]
        if not rows:
            raise UserError(f"{NAME}: none of {len(every)} tasks of {data} falls into split '{split}'; raise its size")
        super().__init__(NAME, split, rows, sieve=Sieve(keep_good_rows))
        self.notes += place.notes

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy in another process opens the same taskset there."""
        self.__dict__.update(state)
        _opened(self.taskset, *self._opening)

    def content(self, task: Task) -> str:
        """What decides the split: the text of a task, with its number where texts repeat."""
        return f"{task.id}\n{task.problem}" if self.is_seeded else task.problem

    def check_golds(self, verifier: str, grade: Any) -> None:
        """Gold answers are addresses here: no other verifier reads them. Raises `UserError` for another one."""
        own_verifier("taskset", verifier)

    def answer(self, task: Task) -> str | None:  # type: ignore[override]  # the checkers take None
        """A response that its rewards take as correct: the answer of its data in one of the usual forms; None if none is."""
        answer = gold_of(task.gold)["answer"]
        forms = ("{}", "\\boxed{{{}}}", "<answer>{}</answer>", "Answer: {}", "#### {}")
        tried = (form.format(answer) for form in forms if answer is not None)
        return next((response for response in tried if taskset(response, task.gold).correct), None)

    def _task(self, module: str, index: int, row: dict[str, Any]) -> Task:
        where = f"{NAME}: task {index} of {module}"
        try:
            question = asked(row.get("prompt"), {"system_prompt": row.get("system_prompt")})
            if question is None:
                raise ForeignError(
                    "it has no prompt; a taskset whose user opens the conversation is not for one answer"
                )
            problem = text(question.problem, "its prompt")
            system = None if question.system is None else text(question.system, "its system message")
            answer = row.get("answer")
            gold = None if answer is None else text(answer, "its answer")
        except (ForeignError, ValueError) as error:
            raise UserError(f"{where}: {one_line(str(error))}; take another taskset") from error
        address = {"answer": gold, "index": index, "taskset": self.taskset}
        return Task(f"{module}/{index}", problem, json.dumps(address, sort_keys=True), system=system)


def taskset(response: str, gold: str) -> Verdict:
    """Grade an answer by the taskset that this process has opened under the name in `gold`."""
    address = gold_of(gold, "taskset", "index")
    answer = without_thinking(response).strip()
    if not answer:
        return Verdict("no_answer", 0.0)
    shown = one_line(answer)[-SHOWN:]
    place = _tasksets.get(str(address["taskset"]))
    if place is None:  # a gold answer may be anybody's: it starts nothing
        return Verdict("error", 0.0, shown)
    begun = time.perf_counter()
    try:
        reply = place.peer.ask({"do": "score", "index": int(address["index"]), "answer": answer}, place.seconds)
        rewards = reply.get("rewards")
        if not isinstance(rewards, dict) or not 1 <= len(rewards) <= MAX_PARTS:
            return Verdict("error", 0.0, shown, time.perf_counter() - begun)
        parts = {text(name, "a reward's name", 100): number(value, "a reward") for name, value in rewards.items()}
        reward = number(reply.get("reward"), "the reward")
    except LateError:
        return Verdict("timeout", 0.0, shown, time.perf_counter() - begun)
    except ForeignError:
        return Verdict("error", 0.0, shown, time.perf_counter() - begun)
    outcome: Outcome = "correct" if reward >= place.correct_from else "incorrect"
    return Verdict(outcome, reward, shown, time.perf_counter() - begun, parts if len(parts) > 1 else {})
