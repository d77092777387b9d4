"""The workers that run reasoning-gym, and what is asked of them: its tasks, items, scores."""

from __future__ import annotations

import atexit
import json
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from simko.console import note_once, one_line
from simko.envs.foreign.interpreter import interpreter
from simko.envs.verifiers.worker.pool import REFUSED, Pool
from simko.errors import UserError

PACKAGE = "reasoning_gym"
EXTRA = "pip install 'simko[reasoning-gym]', or name an interpreter that has it with --python"
HELLO_SECONDS = 10.0
ITEMS_SECONDS = 60.0  # CPU, for a handful
ITEM_SECONDS = 20.0
SCORE_SECONDS = 0.8
HANDFUL = 20
MAX_LOST = 20
"""After so many workers lost in a row none is asked any more: something else than an answer ends them."""


class Gym:
    """reasoning-gym in worker processes. Any number of threads may ask at once."""

    def __init__(self, python: str | None = None, workers: int = 2) -> None:
        script = Path(__file__).absolute().with_name("gym_worker.py")
        self.pool = Pool(workers, script, python, (PACKAGE, "sympy", "mpmath", "numpy"))
        self._lock = threading.Lock()
        self._lost = 0
        self.version = ""
        """Of the package, once its tasks are known."""

    def forgive(self) -> None:
        """Forget how many workers were lost: somebody opens an environment on it."""
        self._lost = 0

    @lru_cache(maxsize=1)  # noqa: B019 - there is one gym for an interpreter, and it stays
    def tasks(self) -> tuple[str, ...]:
        """The names of all tasks. Raises `UserError` if the package is not there."""
        try:
            reply, _ = self.pool.converse([_request("hello", HELLO_SECONDS)], _is_sound)
        except REFUSED as error:
            raise UserError(f"reasoning-gym: its process does not start; {EXTRA}") from error
        names = (reply or {}).get("tasks")
        if not isinstance(names, list):
            why = one_line(str((reply or {}).get("missing", "it does not answer")))[:200]
            raise UserError(f"reasoning-gym: {why}; {EXTRA}")
        self.version = str((reply or {}).get("version", ""))
        return tuple(str(name) for name in names)

    @lru_cache(maxsize=64)  # noqa: B019
    def items(self, task: str, config: str, size: int) -> tuple[tuple[Any, Any], ...]:
        """Question and answer of the first `size` items, as the package gave them. Raises `UserError` with its words."""
        made: list[tuple[Any, Any]] = []
        for first in range(0, size, HANDFUL):
            more = {"first": first, "count": min(HANDFUL, size - first)}
            try:
                reply, _ = self.pool.converse([_request("items", ITEMS_SECONDS, task, config, **more)], _is_sound)
            except REFUSED as error:
                raise UserError(
                    f"reasoning-gym: {task}: its process ended while it made items; try again, or take another task"
                ) from error
            rows = (reply or {}).get("items")
            if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 2 for row in rows):
                late = f"{HANDFUL} items took over {ITEMS_SECONDS:g} s; make them smaller by its options"
                why = (
                    late
                    if reply is None
                    else f"{one_line(str(reply.get('error')))[:200]}; mend its options, or take another"
                )
                raise UserError(f"reasoning-gym: {task}: {why}")
            made += [(question, answer) for question, answer in rows]
        return tuple(made)

    def score(self, task: str, config: str, index: int, answer: str) -> tuple[dict[str, Any] | None, float]:
        """The reply to one answer, `{"score"}` or why there is none, and the CPU seconds. None: out of time.

        Raises one of `REFUSED` if a worker is lost, and at once after `MAX_LOST` of them.
        """
        if self._lost >= MAX_LOST:
            note_once(f"reasoning-gym: {MAX_LOST} of its processes ended in a row; answers are masked from here on")
            raise OSError("the workers end")
        prepare = _request("prepare", ITEM_SECONDS, task, config, index=index)
        lost = True
        try:
            result = self.pool.converse([prepare, _request("score", SCORE_SECONDS, answer=answer)], _is_sound)
            lost = False
            return result
        finally:
            with self._lock:
                self._lost = self._lost + 1 if lost else 0


def _request(do: str, seconds: float, task: str = "", config: str = "{}", **more: Any) -> tuple[dict[str, Any], float]:
    return {"do": do, "task": task, "config": json.loads(config), "seconds": seconds, **more}, seconds


def _is_sound(reply: dict[str, Any]) -> bool:
    return "error" not in reply and "forbidden" not in reply


_gyms: dict[str | None, Gym] = {}
_last: list[str | None] = []
_lock = threading.Lock()


def gym(python: str | None) -> Gym:
    """The gym of an interpreter; None is this one."""
    with _lock:
        _last[:] = [python]
        if python not in _gyms:
            _gyms[python] = Gym(python)
        return _gyms[python]


@atexit.register
def close_all() -> None:
    """End the workers of every gym."""
    for place in list(_gyms.values()):
        place.pool.close()


def last() -> Gym:
    """The gym that was asked for last, else that of the user's interpreter. A gold answer names none: it may be anybody's."""
    with _lock:
        known = list(_last)
    return gym(known[0] if known else interpreter(None))
